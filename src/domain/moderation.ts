/** Moderation of a show's chat, and the numbers of its viewers. */
import { hash } from 'node:crypto';
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { ChatEntry } from './chat.ts';
import { Mistakes } from './mistakes.ts';
import type { Counts } from './show-log.ts';

/** A user who may not chat until this time on the Redis clock. */
export interface Mute {
  user: string;
  until: number;
}

/** A chat message as a host sees it. */
export type AuthoredMessage = ChatEntry & { readonly id: number };

export interface ModerationStore {
  /** Removes messages from screens and history, or none if an id is unknown (`not_found`). */
  removeChat(showId: string, ids: readonly number[]): Promise<Result<{ removed: number }>>;
  /** Applies on all nodes and survives restarts. Muting a muted user replaces the end. */
  mute(showId: string, user: string, forMs: number): Promise<Result<Mute>>;
  /** Unmuting a user who is not muted is no error. */
  unmute(showId: string, user: string): Promise<Result<null>>;
  mutes(showId: string): Promise<Result<Mute[]>>;
  /** Returns shown, not removed messages, oldest first, at most `chatListedMax`. */
  recentChat(showId: string): Promise<Result<AuthoredMessage[]>>;
  viewerNumbers(showId: string): Promise<Result<Counts>>;
}

/**
 * Returns the entry of a mute that outlives the erasure of its user. It does not say who that is,
 * but a guess can be checked.
 */
export const muteHash = (showId: string, user: string): string =>
  `${MUTE_HASH_MARK}${hash('sha256', `mute\0${showId}\0${user}`, 'base64url').slice(0, 22)}`;
export const MUTE_HASH_MARK = '#';

export function checkMute(user: string, forMs: number): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  mistakes.integer('/forMs', forMs, LIMITS.muteMinMs, LIMITS.muteMaxMs);
  return mistakes.failure();
}
