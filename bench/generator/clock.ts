/**
 * Clocks. The fleet's clock is CLOCK_MONOTONIC of the coordinator's host, which all processes of
 * that host share. Other hosts, and viewers of the server's time, estimate an offset.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** `performance.now()` is CLOCK_MONOTONIC since the process started, and cheaper than a BigInt. */
const STARTED_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();
export const monotonicMs = (): number => STARTED_MS + performance.now();

/** The same for all processes that share a monotonic clock, until the machine boots again. */
export function hostId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return hostname();
  }
}

type Exchange = { readonly offsetMs: number; readonly errorMs: number; readonly atMs: number };

/** Quartz drifts by up to 50 millionths: half a minute old, an offset may be 1.5 ms off. */
const EXCHANGE_AGE_MS_MAX = 30_000;

/**
 * Offset to another clock from exchanges of four times, as NTP does it (RFC 5905, section 8; T-1 to
 * T-3 of the protocol). Of the recent exchanges the one with the shortest round trip counts. The
 * error of its offset is at most half of that trip.
 */
export class ClockSync {
  exchanges = 0;
  #recent: Exchange[] = [];
  /** The other clock minus this one; 0 before the first exchange. */
  offsetMs = 0;
  errorMs = 0;

  /** `sentMs` and `arrivedMs` on this clock, `receivedMs` and `repliedMs` on the other. */
  add(sentMs: number, receivedMs: number, repliedMs: number, arrivedMs: number): void {
    this.exchanges++;
    const exchange = {
      offsetMs: (receivedMs - sentMs + (repliedMs - arrivedMs)) / 2,
      errorMs: Math.max(0, (arrivedMs - sentMs - (repliedMs - receivedMs)) / 2),
      atMs: arrivedMs,
    };
    this.#recent = [...this.#recent.filter(({ atMs }) => arrivedMs - atMs <= EXCHANGE_AGE_MS_MAX), exchange];
    const best = this.#recent.reduce((least, next) => (next.errorMs < least.errorMs ? next : least));
    this.offsetMs = best.offsetMs;
    this.errorMs = best.errorMs;
  }

  get isSet(): boolean {
    return this.exchanges > 0;
  }

  localMs(otherMs: number): number {
    return otherMs - this.offsetMs;
  }
}
