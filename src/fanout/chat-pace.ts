/**
 * How fast each user writes in one room, over all connections and nodes: chat of other nodes is
 * charged here, too. Kept apart from connections, so that reconnecting gains nothing.
 */
import { type Rate, type TokenBucket, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { unpackValues } from '../protocol/codec.ts';

interface Writer extends TokenBucket {
  lastMs: number;
  /** When the writer was last moved to the end of the map. */
  orderedMs: number;
}

/** Moving a writer to the end is the largest cost here, so it is not done for each message. */
const ORDER_EVERY_MS = 1_000;

export class ChatPace {
  private readonly rate: Rate;
  /** Ordered by the last message, to within `ORDER_EVERY_MS`. */
  private readonly writers = new Map<string, Writer>();

  constructor(rate: Rate) {
    this.rate = rate;
  }

  /** Returns the milliseconds until slow mode lets this user write again, 0 = now. */
  slowModeWaitMs(user: string, slowModeMs: number, nowMs: number): number {
    const writer = this.writers.get(user);
    return writer === undefined ? 0 : Math.max(0, Math.ceil(writer.lastMs + slowModeMs - nowMs));
  }

  /** Counts a message and returns 0, or returns the milliseconds until it would be accepted. */
  take(user: string, nowMs: number, slowModeMs: number): number {
    const writer = this.writerOf(user, nowMs);
    const waitMs = takeTokens(writer, this.rate, nowMs);
    if (waitMs === 0) this.onMessage(user, writer, nowMs, slowModeMs);
    return waitMs;
  }

  /** Charges chat of another node, into debt if necessary. `authors`: a packed array of users. */
  charge(authors: Uint8Array, nowMs: number, slowModeMs: number): void {
    const [users] = unpackValues(authors) as [readonly string[] | undefined];
    for (const user of users ?? []) {
      const writer = this.writerOf(user, nowMs);
      takeTokens(writer, this.rate, nowMs, 0);
      writer.tokens -= 1;
      this.onMessage(user, writer, nowMs, slowModeMs);
    }
  }

  /** No spread for a new writer: the object would take three times the memory. */
  private writerOf(user: string, nowMs: number): Writer {
    const { burst } = this.rate;
    return this.writers.get(user) ?? { tokens: burst, atMs: nowMs, lastMs: nowMs, orderedMs: Number.NEGATIVE_INFINITY };
  }

  private onMessage(user: string, writer: Writer, nowMs: number, slowModeMs: number): void {
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
