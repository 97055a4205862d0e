/**
 * How fast people write in one room, whichever connection and node they use: what they wrote
 * elsewhere comes with the relay and is charged here too. Kept beside the people who are connected,
 * so that reconnecting, here or to another node, gives nobody a fresh start.
 */

import { type Rate, type TokenBucket, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { unpackValues } from '../protocol/codec.ts';

interface Writer extends TokenBucket {
  /** When they last wrote. */
  lastMs: number;
  /** When they were last put behind all others. */
  orderedMs: number;
}

/**
 * Putting somebody behind all others costs more than everything else here, so it is not done at
 * each message of who writes fast.
 */
const ORDER_EVERY_MS = 1_000;

export class ChatPace {
  private readonly rate: Rate;
  /** By who wrote longest ago, to within `ORDER_EVERY_MS`. */
  private readonly writers = new Map<string, Writer>();

  constructor(rate: Rate) {
    this.rate = rate;
  }

  /** Milliseconds until the slow mode lets this person write again, 0 = now. */
  slowModeWaitMs(user: string, slowModeMs: number, nowMs: number): number {
    const writer = this.writers.get(user);
    return writer === undefined ? 0 : Math.max(0, Math.ceil(writer.lastMs + slowModeMs - nowMs));
  }

  /** Counts a message accepted here and answers 0, or the milliseconds until it would be. */
  take(user: string, nowMs: number, slowModeMs: number): number {
    const writer = this.writers.get(user) ?? this.newWriter(nowMs);
    const waitMs = takeTokens(writer, this.rate, nowMs);
    if (waitMs === 0) this.wrote(user, writer, nowMs, slowModeMs);
    return waitMs;
  }

  /**
   * Charges what another node accepted: it may put people into debt, which they wait for.
   * `authors`: a packed array of users.
   */
  charge(authors: Uint8Array, nowMs: number, slowModeMs: number): void {
    const [users] = unpackValues(authors) as [readonly string[] | undefined];
    for (const user of users ?? []) {
      const writer = this.writers.get(user) ?? this.newWriter(nowMs);
      takeTokens(writer, this.rate, nowMs, 0);
      writer.tokens -= 1;
      this.wrote(user, writer, nowMs, slowModeMs);
    }
  }

  /** Field by field: objects made with a spread take three times the memory. */
  private newWriter(nowMs: number): Writer {
    return { tokens: this.rate.burst, atMs: nowMs, lastMs: nowMs, orderedMs: Number.NEGATIVE_INFINITY };
  }

  private wrote(user: string, writer: Writer, nowMs: number, slowModeMs: number): void {
    writer.lastMs = nowMs;
    if (nowMs - writer.orderedMs < ORDER_EVERY_MS) return;
    writer.orderedMs = nowMs;
    this.writers.delete(user);
    this.writers.set(user, writer);
    const { perSecond, burst } = this.rate;
    for (const [oldest, { lastMs, tokens }] of this.writers) {
      const owesMs = Math.max(slowModeMs, ((burst - Math.min(0, tokens)) / perSecond) * 1000);
      if (this.writers.size <= LIMITS.chatWritersKeptMax && lastMs + owesMs > nowMs) return;
      this.writers.delete(oldest);
    }
  }
}
