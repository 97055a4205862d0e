/** Token buckets that are refilled when they are used: no timers, two numbers per bucket. */

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Rates per connection (requests) and per user (chat). */
export interface Rates {
  readonly requests: Rate;
  readonly chat: Rate;
}

/** The burst is two seconds' worth. */
export const rateOf = (perSecond: number): Rate => ({ perSecond, burst: 2 * perSecond });

export interface TokenBucket {
  tokens: number;
  atMs: number;
}

export const newBucket = (rate: Rate, nowMs: number): TokenBucket => ({ tokens: rate.burst, atMs: nowMs });

/** Takes `cost` and returns 0, or returns the milliseconds until it is available. */
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
