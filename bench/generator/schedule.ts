/**
 * Schedules of an open model: when work is due does not depend on earlier work. Offsets are
 * milliseconds from the start, ascending. Each worker walks the whole schedule and takes its part,
 * so the offered load depends on the seed and not on the number of workers.
 */
import type { Prng } from './prng.ts';

export type Schedule = Iterator<number, void>;
export type Emit = (dueMs: number, index: number) => void;

export function* steady(perSecond: number, forMs: number): Generator<number, void> {
  const total = Math.floor((perSecond * forMs) / 1000);
  for (let i = 0; i < total; i++) yield (i * 1000) / perSecond;
}

/** A Poisson process of this mean rate, as from independent people. */
export function* poisson(perSecond: number, forMs: number, prng: Prng): Generator<number, void> {
  for (let atMs = prng.waitMs(1000 / perSecond); atMs < forMs; atMs += prng.waitMs(1000 / perSecond)) yield atMs;
}

const running = new Set<Pacer>();

/** Emits what is due in this process, for code that blocks the event loop (large broadcasts). */
export function emitDueWork(): void {
  for (const pacer of running) pacer.poke();
}

/** Calls `emit` when work is due. After a stall, all due work is emitted with its due time. */
export class Pacer {
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  readonly #schedule: Schedule;
  readonly #startMs: number;
  readonly #nowMs: () => number;
  readonly #emit: Emit;
  readonly #onEnd: () => void;
  #nextMs = Number.POSITIVE_INFINITY;
  #index = -1;

  constructor(schedule: Schedule, startMs: number, nowMs: () => number, emit: Emit, onEnd: () => void = () => {}) {
    this.#schedule = schedule;
    this.#startMs = startMs;
    this.#nowMs = nowMs;
    this.#emit = emit;
    this.#onEnd = onEnd;
    running.add(this);
    this.#advance();
    this.#wait();
  }

  /** Ends it without calling `onEnd`. */
  stop(): void {
    this.#stopped = true;
    running.delete(this);
    if (this.#timer) clearTimeout(this.#timer);
  }

  poke(): void {
    if (this.#stopped || this.#nextMs > this.#nowMs()) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#emitDue();
  }

  #advance(): void {
    const next = this.#schedule.next();
    this.#index++;
    this.#nextMs = next.done === true ? Number.POSITIVE_INFINITY : this.#startMs + next.value;
  }

  #wait(): void {
    if (this.#nextMs === Number.POSITIVE_INFINITY) {
      running.delete(this);
      this.#timer = setTimeout(this.#onEnd, 0);
    } else this.#timer = setTimeout(() => this.#emitDue(), Math.max(0, Math.floor(this.#nextMs - this.#nowMs())));
  }

  #emitDue(): void {
    const nowMs = this.#nowMs();
    while (this.#nextMs <= nowMs) {
      const dueMs = this.#nextMs;
      const index = this.#index;
      this.#advance();
      this.#emit(dueMs, index);
      if (this.#stopped) return;
    }
    this.#wait();
  }
}
