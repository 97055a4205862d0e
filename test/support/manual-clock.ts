/** A clock that the test advances. */
import type { Clock, Timer } from '../../src/domain/clock.ts';

type Armed = { readonly atMs: number; readonly run: () => void };

export class ManualClock implements Clock {
  time = 1_000;
  /** Duration of the writes after a flush. */
  writeMs = 0;
  private readonly timers = new Set<Armed>();
  private writeCallbacks: Array<() => void> = [];

  nowMs(): number {
    return this.time;
  }

  setTimer(run: () => void, delayMs: number): Timer {
    const armed = { atMs: this.time + Math.max(0, delayMs), run };
    this.timers.add(armed);
    return armed;
  }

  clearTimer(timer: Timer): void {
    this.timers.delete(timer as Armed);
  }

  afterWrites(run: () => void): void {
    this.writeCallbacks.push(run);
  }

  get armed(): number {
    return this.timers.size;
  }

  /** Lets the sockets write, which takes `writeMs`. */
  write(): void {
    const callbacks = this.writeCallbacks.splice(0);
    if (callbacks.length > 0) this.time += this.writeMs;
    for (const run of callbacks) run();
  }

  advance(ms: number): void {
    const endMs = this.time + ms;
    for (;;) {
      const next = [...this.timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.timers.delete(next);
      this.time = Math.max(this.time, next.atMs);
      next.run();
      this.write();
    }
    this.time = Math.max(this.time, endMs);
  }

  /** As `advance`, and runs promise callbacks in between. */
  async pass(ms: number): Promise<void> {
    const endMs = this.time + ms;
    while (this.time < endMs) {
      this.advance(Math.min(1, endMs - this.time));
      for (let i = 0; i < 4; i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}
