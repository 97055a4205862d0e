/**
 * The Redis clock in this process: a monotonic local clock plus an offset measured as NTP does. The
 * sample with the shortest round trip is the best one. Samples expire, so that drift is followed.
 */
import { performance } from 'node:perf_hooks';

const SAMPLES_MAX = 12;
const FIRST_SAMPLES = 5;
const SAMPLE_EVERY_MS = 5_000;

interface Sample {
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

type RedisTime = () => Promise<[seconds: number | string, micros: number | string]>;

export class RedisClock {
  readonly #time: RedisTime;
  #samples: Sample[] = [];
  /** The local clock is the best guess until Redis replies once. */
  #best: Sample = { offsetMs: Date.now() - performance.now(), roundTripMs: Number.POSITIVE_INFINITY };
  #timer: NodeJS.Timeout | undefined;

  constructor(time: RedisTime) {
    this.#time = time;
  }

  now(): number {
    return Math.round(performance.now() + this.#best.offsetMs);
  }

  errorMs(): number {
    return this.#best.roundTripMs / 2;
  }

  /** Drops all samples: a new connection may be a new server with another clock. */
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
      // The connection reports the error. The last offset stays valid.
    }
  }
}
