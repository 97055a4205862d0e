/**
 * The fleet's clock: CLOCK_MONOTONIC of the coordinator's host, which all processes of that host
 * share; other hosts estimate their offset to it.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * `performance.now()` is CLOCK_MONOTONIC minus the start of the process, and cheaper than a BigInt.
 */
const STARTED_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** This host's clock, milliseconds with a fraction. */
export const monotonicMs = (): number => STARTED_MS + performance.now();

/** The same for all processes that share a monotonic clock, until the machine boots again. */
export function hostId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return hostname();
  }
}

interface Exchange {
  readonly offsetMs: number;
  readonly roundTripMs: number;
  readonly atMs: number;
}

/** Quartz drifts by up to 50 millionths: half a minute old, an offset may be 1.5 ms off. */
const EXCHANGE_AGE_MS_MAX = 30_000;

/**
 * Offset to another clock from question-and-answer pairs, as NTP does it (RFC 5905, section 8): of
 * the recent exchanges the one with the shortest round trip counts, and the error of its offset is
 * at most half that trip.
 */
export class ClockOffset {
  #recent: Exchange[] = [];
  #best: Exchange | null = null;

  /** `sentMs` and `receivedMs` on this clock, `answeredMs` on the other. */
  note(sentMs: number, answeredMs: number, receivedMs: number): void {
    const exchange = {
      offsetMs: answeredMs - (sentMs + receivedMs) / 2,
      roundTripMs: receivedMs - sentMs,
      atMs: receivedMs,
    };
    this.#recent = [...this.#recent.filter(({ atMs }) => receivedMs - atMs <= EXCHANGE_AGE_MS_MAX), exchange];
    this.#best = this.#recent.reduce((best, next) => (next.roundTripMs < best.roundTripMs ? next : best));
  }

  /** Add it to this clock. */
  get offsetMs(): number {
    return this.#best?.offsetMs ?? 0;
  }

  get errorMs(): number {
    return this.#best === null ? 0 : this.#best.roundTripMs / 2;
  }
}
