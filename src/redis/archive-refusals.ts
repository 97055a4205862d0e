/** Why a show cannot be archived or deleted now. */
import { fail, type Result } from '../protocol/codes.ts';

export const NO_HOLDS_RETRY_MS = 5_000;

export function wrongState(showId: string, state: string): Result<never> {
  const message =
    state === 'live'
      ? `The show is live. End it first: POST /v1/shows/${showId}/end.`
      : 'The show has not ended. Delete it, or start and end it first.';
  return fail('illegal_move', message, { details: { state } });
}

export const openHolds = (nextDueAt: number, other = ''): Result<never> =>
  fail('illegal_move', `Holds are open, and may still be confirmed. Try again when they have ended${other}.`, {
    retryAfterMs: NO_HOLDS_RETRY_MS,
    details: { state: 'ended', nextDueAt },
  });
