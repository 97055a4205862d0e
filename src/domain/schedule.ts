/** What falls due in a show at a time: openings and closings of sales, expiry of holds. */
import type { Result } from '../protocol/codes.ts';

export interface Scheduler {
  /**
   * Does what is due in a show, at most `sweepSliceMax` things: opens and closes sales, expires
   * holds. Idempotent. `nextDueAt` is the time of the next thing on the Redis clock, null if
   * nothing is planned. With `mayRest`, a show in which nothing can happen before that time leaves
   * the list of live shows until then.
   */
  tick(showId: string, mayRest?: boolean): Promise<Result<{ done: number; nextDueAt: number | null }>>;
  /** Returns the shows with a sale that has not ended, or with open holds, that do not rest. */
  liveShows(): Promise<Result<string[]>>;
}
