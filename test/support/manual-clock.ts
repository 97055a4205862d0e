/** A clock that only moves when told. */
import type { Clock, Timer } from '../../src/domain/clock.ts';

interface Armed {
  readonly atMs: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  time = 1_000;
  /** How long what follows a flush takes until its writes are out. */
  writeMs = 0;
  private timers = new Set<Armed>();
  private afterwards: Array<() => void> = [];

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
    this.afterwards.push(run);
  }

  get armed(): number {
    return this.timers.size;
  }

  /** Lets the sockets write: takes `writeMs`. */
  write(): void {
    const runs = this.afterwards.splice(0);
    if (runs.length > 0) this.time += this.writeMs;
    for (const run of runs) run();
  }

  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = [...this.timers].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.timers.delete(next);
      this.time = Math.max(this.time, next.atMs);
      next.run();
      this.write();
    }
    this.time = Math.max(this.time, end);
  }

  /** As `advance`, with everything that promises do in between. */
  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    while (this.time < end) {
      this.advance(Math.min(1, end - this.time));
      for (let i = 0; i < 4; i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}
