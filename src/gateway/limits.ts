/** Rates of requests, chat and hearts: per connection, and chat also per person over all nodes. */
import { newBucket, type Rate, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { Connection } from './connection.ts';

const HEARTS: Rate = { perSecond: LIMITS.heartsRatePerConnectionPerSecond, burst: LIMITS.heartsBurstPerConnection };

const limited = (what: string, retryAfterMs: number): Result<never> =>
  fail('rate_limited', `Too many ${what}; wait ${retryAfterMs} ms.`, { retryAfterMs });

/** Every message counts, hearts too. */
export function takeRequest(connection: Connection, nowMs: number): Result<null> {
  const { requests } = connection.room.rates;
  connection.requestBucket ??= newBucket(requests, nowMs);
  const waitMs = takeTokens(connection.requestBucket, requests, nowMs);
  return waitMs === 0 ? ok(null) : limited('messages', waitMs);
}

export function takeHearts(connection: Connection, count: number, nowMs: number): Result<null> {
  connection.heartBucket ??= newBucket(HEARTS, nowMs);
  const waitMs = takeTokens(connection.heartBucket, HEARTS, nowMs, count);
  return waitMs === 0 ? ok(null) : limited('hearts', waitMs);
}

/**
 * The connection's rate, the person's rate, then the show's slow mode, which hosts and moderators
 * are free of.
 */
export function takeChat(connection: Connection, user: string, nowMs: number): Result<null> {
  const { identity, room } = connection;
  const { slowModeMs } = room.replica.show;
  const free = identity.role === 'moderator' || identity.role === 'host';
  if (slowModeMs > 0 && !free) {
    const waitMs = room.pace.slowModeWaitMs(user, slowModeMs, nowMs);
    if (waitMs > 0) return limited('messages: the show is in slow mode', waitMs);
  }
  const { chat } = room.rates;
  connection.chatBucket ??= newBucket(chat, nowMs);
  const waitMs = takeTokens(connection.chatBucket, chat, nowMs) || room.pace.take(user, nowMs, slowModeMs);
  return waitMs === 0 ? ok(null) : limited('chat messages', waitMs);
}
