/**
 * An estimate of the server's clock, as in NTP: each exchange bounds the offset between the clocks
 * by half its round trip. The exchange with the smallest error is used; errors grow with drift. The
 * monotonic clock of a suspended machine may stop while the wall clock goes on: what one of them
 * has moved more than the other is part of the error, until the next exchange.
 */

/** A time of the server, with a bound of its error. */
export interface ClockReading {
  /** Milliseconds since the Unix epoch on the server's (Redis) clock. */
  readonly now: number;
  /** The true time is within `now` +- this; Infinity before the first exchange. */
  readonly errorMs: number;
}

interface Sample {
  readonly offsetMs: number;
  readonly errorMs: number;
  readonly takenAt: number;
  /** Wall clock minus monotonic clock at that time. */
  readonly wallAheadMs: number;
}

/** Crystal clocks drift by up to 50 parts per million, two clocks by twice that. */
const DRIFT_PER_MS = 0.0001;
const SAMPLES_MAX = 8;
/** Wall clocks are rounded to milliseconds and slewed a little. */
const WALL_NOISE_MS = 20;

/** Returns milliseconds since the Unix epoch, without jumps when the system clock is set. */
export const monotonicNowMs = (): number => performance.timeOrigin + performance.now();

/** Estimates the clock of the server from exchanges of times. The client has one. */
export class ServerClock {
  readonly #localNow: () => number;
  readonly #wallNow: () => number;
  #samples: Sample[] = [];

  /** `wallNow` is only compared with `localNow`. */
  constructor(localNow: () => number = monotonicNowMs, wallNow: () => number = Date.now) {
    this.#localNow = localNow;
    this.#wallNow = wallNow;
  }

  /** Returns local time, as `add` expects it for `sentAt` and `arrivedAt`. */
  localNow(): number {
    return this.#localNow();
  }

  /** Adds an exchange. The server's clock gives `receivedAt` and `repliedAt`. */
  add(sentAt: number, receivedAt: number, repliedAt: number, arrivedAt: number): void {
    const roundTripMs = arrivedAt - sentAt - (repliedAt - receivedAt);
    if (!(roundTripMs >= 0)) return; // also NaN
    // Server times are rounded down to milliseconds, hence the half millisecond.
    const offsetMs = (receivedAt - sentAt + (repliedAt - arrivedAt)) / 2 + 0.5;
    const wallAheadMs = this.#wallNow() - this.#localNow();
    this.#samples.push({ offsetMs, errorMs: roundTripMs / 2 + 0.5, takenAt: arrivedAt, wallAheadMs });
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** Drops all exchanges, for a connection to another node. */
  reset(): void {
    this.#samples = [];
  }

  /** Returns the time of the server, by the exchange with the smallest error. */
  read(): ClockReading {
    const local = this.#localNow();
    const wallAheadMs = this.#wallNow() - local;
    let best: Sample | undefined;
    let bestErrorMs = Infinity;
    for (const sample of this.#samples) {
      const jumpMs = Math.abs(wallAheadMs - sample.wallAheadMs);
      const errorMs = sample.errorMs + (local - sample.takenAt) * DRIFT_PER_MS + (jumpMs > WALL_NOISE_MS ? jumpMs : 0);
      if (errorMs < bestErrorMs) {
        best = sample;
        bestErrorMs = errorMs;
      }
    }
    return { now: local + (best?.offsetMs ?? 0), errorMs: bestErrorMs };
  }
}
