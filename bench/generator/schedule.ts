/**
 * Open-model arrivals: when each piece of work is due, whatever became of the ones before. Offsets
 * are milliseconds from the start, ascending. Every worker walks the whole schedule and takes what
 * is its own, so the load offered depends on the seed and not on the number of workers.
 */
import type { Prng } from './prng.ts';

export type Schedule = Iterator<number, void>;

/** At exactly this rate for this long. */
export function* steady(perSecond: number, forMs: number): Generator<number, void> {
  const total = Math.floor((perSecond * forMs) / 1000);
  for (let i = 0; i < total; i++) yield (i * 1000) / perSecond;
}

/** A Poisson process of this mean rate, as independent people make one. */
export function* poisson(perSecond: number, forMs: number, prng: Prng): Generator<number, void> {
  for (let atMs = prng.waitMs(1000 / perSecond); atMs < forMs; atMs += prng.waitMs(1000 / perSecond)) yield atMs;
}

/**
 * The rate grows (or falls) in a line from one to the other; the i-th is due where the integral of
 * the rate reaches i.
 */
export function* ramp(fromPerSecond: number, toPerSecond: number, forMs: number): Generator<number, void> {
  const seconds = forMs / 1000;
  const growth = (toPerSecond - fromPerSecond) / seconds;
  const total = Math.floor(((fromPerSecond + toPerSecond) / 2) * seconds);
  for (let i = 0; i < total; i++) {
    const root = Math.sqrt(Math.max(0, fromPerSecond * fromPerSecond + 2 * growth * i));
    // The form that stays exact when the growth is small: 2i / (r0 + sqrt(r0^2 + 2gi)).
    yield i === 0 && fromPerSecond === 0 ? 0 : (2 * i * 1000) / (fromPerSecond + root);
  }
}

/** Moments of a recording, played `speed` times as fast. */
export function* recorded(offsetsMs: Iterable<number>, speed = 1): Generator<number, void> {
  for (const atMs of offsetsMs) yield atMs / speed;
}

const running = new Set<Pacer>();

/**
 * Emits what is due by now in all schedules of this process. For code that keeps the loop busy for
 * long: one broadcast to thousands is one long turn of it, and what becomes due meanwhile must not
 * wait for the next timer.
 */
export function emitDueWork(): void {
  for (const pacer of running) pacer.poke();
}

/**
 * Walks a schedule in real time: `emit` is called with each due moment (fleet clock) and its number
 * as soon as the moment has come. After a stall everything that became due meanwhile is emitted at
 * once, with its own due time. Nothing is left out, so nothing that was slow is hidden.
 */
export class Pacer {
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  readonly #schedule: Schedule;
  readonly #startMs: number;
  readonly #nowMs: () => number;
  readonly #emit: (dueMs: number, index: number) => void;
  readonly #onEnd: () => void;
  #nextMs = Number.POSITIVE_INFINITY;
  #index = -1;

  constructor(
    schedule: Schedule,
    startMs: number,
    nowMs: () => number,
    emit: (dueMs: number, index: number) => void,
    onEnd: () => void = () => {},
  ) {
    this.#schedule = schedule;
    this.#startMs = startMs;
    this.#nowMs = nowMs;
    this.#emit = emit;
    this.#onEnd = onEnd;
    running.add(this);
    this.#advance();
    this.#wait();
  }

  /** Nothing more is emitted, `onEnd` is not called. */
  stop(): void {
    this.#stopped = true;
    running.delete(this);
    if (this.#timer) clearTimeout(this.#timer);
  }

  /** Emits what is due by now. */
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
