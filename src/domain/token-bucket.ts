/** A rate with a burst, refilled when it is looked at: no timers, two numbers a bucket. */

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** How fast one connection may ask, and one person chat. */
export interface Rates {
  readonly requests: Rate;
  readonly chat: Rate;
}

/** Twice a second's worth may come at once. */
export const rateOf = (perSecond: number): Rate => ({ perSecond, burst: 2 * perSecond });

export interface TokenBucket {
  tokens: number;
  atMs: number;
}

export const newBucket = (rate: Rate, nowMs: number): TokenBucket => ({ tokens: rate.burst, atMs: nowMs });

/**
 * Takes `cost` and answers 0, or takes nothing and answers the milliseconds until it could be had.
 */
export function takeTokens(bucket: TokenBucket, rate: Rate, nowMs: number, cost = 1): number {
  const tokens = Math.min(rate.burst, bucket.tokens + (Math.max(0, nowMs - bucket.atMs) / 1000) * rate.perSecond);
  bucket.atMs = nowMs;
  bucket.tokens = tokens;
  if (tokens >= cost) {
    bucket.tokens = tokens - cost;
    return 0;
  }
  return Math.ceil(((cost - tokens) / rate.perSecond) * 1000);
}
