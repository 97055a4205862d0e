/** Moderation of a show's chat, and the numbers of its viewers. */
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import { Mistakes } from './mistakes.ts';

/** A user who may not chat until this time on the Redis clock. */
export interface Mute {
  user: string;
  until: number;
}

/** A chat message as a host sees it: with its author. */
export interface AuthoredMessage {
  id: number;
  at: number;
  user: string;
  name: string;
  text: string;
  /** 0 none, 1 buyer with an order, 2 moderator, 3 host. */
  mark: number;
}

export interface ViewerNumbers {
  viewers: number;
  peak: number;
  /** Estimated number of distinct users with a token: standard error 0.81 % (HyperLogLog). */
  unique: number;
  hearts: number;
}

export interface ModerationStore {
  /**
   * Removes messages for good, from every screen and from the history. An id that was never given
   * is `not_found`, and then nothing is removed. A repeat changes nothing.
   */
  removeChat(showId: string, ids: readonly number[]): Promise<Result<{ removed: number }>>;
  /** Applies on all nodes and survives restarts. Muting a muted user replaces the end. */
  mute(showId: string, user: string, forMs: number): Promise<Result<Mute>>;
  /** Unmuting a user who is not muted is no error. */
  unmute(showId: string, user: string): Promise<Result<null>>;
  mutes(showId: string): Promise<Result<Mute[]>>;
  /** Returns shown, not removed messages, oldest first, at most `chatListedMax`. */
  recentChat(showId: string): Promise<Result<AuthoredMessage[]>>;
  viewerNumbers(showId: string): Promise<Result<ViewerNumbers>>;
}

export function checkMute(user: string, forMs: number): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  mistakes.integer('/forMs', forMs, LIMITS.muteMinMs, LIMITS.muteMaxMs);
  return mistakes.failure();
}
