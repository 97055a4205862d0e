/** Rate limits of messages, chat and hearts per connection; of chat and requests also per user. */
import { newBucket, type Rate, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { Connection } from './connection.ts';

const BULK: Rate = { perSecond: LIMITS.bulkBytesPerSecond, burst: LIMITS.bulkBurstBytes };
const HEARTS: Rate = { perSecond: LIMITS.heartsRatePerConnectionPerSecond, burst: LIMITS.heartsBurstPerConnection };

const allowedAfter = (waitMs: number, what: string): Result<null> =>
  waitMs === 0
    ? ok(null)
    : fail('rate_limited', `Too many ${what}. Try again in ${waitMs} ms.`, { retryAfterMs: waitMs });

/** Every message counts, hearts too. */
export function takeRequest(connection: Connection, nowMs: number): Result<null> {
  const { requests } = connection.room.rates;
  connection.requestBucket ??= newBucket(requests, nowMs);
  return allowedAfter(takeTokens(connection.requestBucket, requests, nowMs), 'messages');
}

/** Counts a message beyond the rate. Returns true if there are too many to reply to. */
export function isFlood(connection: Connection, nowMs: number): boolean {
  const { perSecond } = connection.room.rates.requests;
  const excess: Rate = { perSecond, burst: LIMITS.excessBurstSeconds * perSecond };
  connection.excessBucket ??= newBucket(excess, nowMs);
  return takeTokens(connection.excessBucket, excess, nowMs) > 0;
}

/** For requests that cost more than the reply. Returns the refusal, or null. Guests have no id. */
export function refuseUserRequest({ member, room }: Connection, nowMs: number): Result<never> | null {
  const waitMs = member === null ? 0 : room.requestPace.take(member.user, nowMs);
  return waitMs === 0
    ? null
    : fail('rate_limited', `Too many requests of this user. Try again in ${waitMs} ms.`, { retryAfterMs: waitMs });
}

export function takeHearts(connection: Connection, count: number, nowMs: number): Result<null> {
  connection.heartBucket ??= newBucket(HEARTS, nowMs);
  return allowedAfter(takeTokens(connection.heartBucket, HEARTS, nowMs, count), 'hearts');
}

/** Returns the refusal of a resume if the ones before used up the bytes of the connection. */
export function refuseBulk(connection: Connection, nowMs: number): Result<never> | null {
  connection.bulkBucket ??= newBucket(BULK, nowMs);
  const waitMs = takeTokens(connection.bulkBucket, BULK, nowMs);
  if (waitMs === 0) return null;
  return fail('rate_limited', `You asked for too much. Try again in ${waitMs} ms.`, { retryAfterMs: waitMs });
}

/** Charges what was sent, into debt if necessary. */
export function chargeBulk({ bulkBucket }: Connection, bytes: number): void {
  if (bulkBucket !== null) bulkBucket.tokens -= bytes;
}

/** Applies the show's slow mode, except to hosts and moderators, then both chat rates. */
export function takeChat(connection: Connection, user: string, nowMs: number): Result<null> {
  const { identity, room } = connection;
  const { slowModeMs } = room.replica.show;
  if (slowModeMs > 0 && identity.role !== 'moderator' && identity.role !== 'host') {
    const waitMs = room.chatPace.slowModeWaitMs(user, slowModeMs, nowMs);
    if (waitMs > 0) return allowedAfter(waitMs, 'messages: the show is in slow mode');
  }
  const { chat } = room.rates;
  connection.chatBucket ??= newBucket(chat, nowMs);
  const waitMs = takeTokens(connection.chatBucket, chat, nowMs) || room.chatPace.take(user, nowMs, slowModeMs);
  return allowedAfter(waitMs, 'chat messages');
}
