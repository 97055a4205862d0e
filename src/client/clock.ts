/**
 * The server's clock as seen from here, in the manner of NTP: every exchange of (sent, received,
 * answered, arrived) bounds the offset between the two clocks by half its round trip; the exchange
 * with the shortest round trip wins until drift has made it the worse one.
 */

export interface ClockReading {
  /** Milliseconds since the Unix epoch on the server's (Redis) clock. */
  readonly now: number;
  /**
   * The true server time lies within `now` +- this many milliseconds; Infinity before the first
   * exchange.
   */
  readonly errorMs: number;
}

interface Sample {
  readonly offsetMs: number;
  readonly errorMs: number;
  readonly takenAt: number;
}

/**
 * Crystal clocks drift by up to some 50 parts per million each; two of them apart from each other.
 */
const DRIFT_PER_MS = 0.0001;
const SAMPLES_MAX = 8;

/** Milliseconds since the Unix epoch that never jump when somebody sets the machine's clock. */
export const monotonicNowMs = (): number => performance.timeOrigin + performance.now();

export class ServerClock {
  readonly #localNow: () => number;
  #samples: Sample[] = [];

  constructor(localNow: () => number = monotonicNowMs) {
    this.#localNow = localNow;
  }

  /** Local time, the one that `add` expects for `sentAt` and `arrivedAt`. */
  localNow(): number {
    return this.#localNow();
  }

  /** One exchange: sent and arrived by the local clock, received and answered by the server's. */
  add(sentAt: number, receivedAt: number, answeredAt: number, arrivedAt: number): void {
    const roundTripMs = arrivedAt - sentAt - (answeredAt - receivedAt);
    if (!Number.isFinite(roundTripMs) || roundTripMs < 0) return;
    // Server times are whole milliseconds: each reading may be up to one too low.
    const offsetMs = (receivedAt - sentAt + (answeredAt - arrivedAt)) / 2 + 0.5;
    this.#samples.push({ offsetMs, errorMs: roundTripMs / 2 + 0.5, takenAt: arrivedAt });
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** Forgets what it knew: another node, another path. */
  reset(): void {
    this.#samples = [];
  }

  read(): ClockReading {
    const local = this.#localNow();
    let best: Sample | undefined;
    let bestErrorMs = Infinity;
    for (const sample of this.#samples) {
      const errorMs = sample.errorMs + (local - sample.takenAt) * DRIFT_PER_MS;
      if (errorMs < bestErrorMs) {
        best = sample;
        bestErrorMs = errorMs;
      }
    }
    return best === undefined
      ? { now: local, errorMs: Infinity }
      : { now: local + best.offsetMs, errorMs: bestErrorMs };
  }
}
