/**
 * The Redis clock as seen from this process: a monotonic local clock plus an offset measured the
 * way NTP does it. The sample with the shortest round trip wins, because the true time lies within
 * half of it; samples age out so that drift is followed.
 */
import { performance } from 'node:perf_hooks';

const SAMPLES_MAX = 12;
const FIRST_SAMPLES = 5;
const SAMPLE_EVERY_MS = 5_000;

interface Sample {
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

export class RedisClock {
  readonly #time: () => Promise<[seconds: number | string, micros: number | string]>;
  #samples: Sample[] = [];
  /** Until Redis answered once, the machine's own clock is the best guess. */
  #best: Sample = { offsetMs: Date.now() - performance.now(), roundTripMs: Number.POSITIVE_INFINITY };
  #timer: NodeJS.Timeout | undefined;

  constructor(time: () => Promise<[seconds: number | string, micros: number | string]>) {
    this.#time = time;
  }

  now(): number {
    return Math.round(performance.now() + this.#best.offsetMs);
  }

  errorMs(): number {
    return this.#best.roundTripMs / 2;
  }

  /** A new connection may be a new server with another clock: old samples are worth nothing. */
  async restart(): Promise<void> {
    this.stop();
    this.#samples = [];
    for (let i = 0; i < FIRST_SAMPLES; i++) await this.#sample();
    this.#timer = setInterval(() => void this.#sample(), SAMPLE_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #sample(): Promise<void> {
    const sent = performance.now();
    try {
      const [seconds, micros] = await this.#time();
      const received = performance.now();
      const serverMs = Number(seconds) * 1000 + Number(micros) / 1000;
      this.#samples.push({ offsetMs: serverMs - (sent + received) / 2, roundTripMs: received - sent });
      if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
      this.#best = this.#samples.reduce((best, sample) => (sample.roundTripMs < best.roundTripMs ? sample : best));
    } catch {
      // The link reports the trouble; the last offset stays good for as long as the local clock
      // runs true.
    }
  }
}
