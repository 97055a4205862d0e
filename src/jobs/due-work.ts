/**
 * What jobs do: ask the store to do what time made due, and nothing else. The store decides on its
 * own clock and its own state, so a job that runs late, early, twice, or with a lapsed lock changes
 * nothing that was not due.
 */

import type { Scheduler } from '../domain/schedule.ts';
import { LIMITS } from '../limits.ts';
import { StampedeError } from '../protocol/codes.ts';

/**
 * Ticks a show until nothing more is due. Throws a `StampedeError` when Redis does not answer; a
 * show that is gone is no error.
 */
export async function tickShow(store: Scheduler, showId: string): Promise<void> {
  for (let slice = 0; slice < LIMITS.jobSlicesPerShowMax; slice++) {
    const ticked = await store.tick(showId);
    if (!ticked.ok) {
      if (ticked.error.code === 'show_not_found') return;
      throw new StampedeError(ticked.error);
    }
    if (ticked.value.done < LIMITS.sweepSliceMax) return;
  }
}

/**
 * Ticks every show with something planned, several at a time. One show's trouble does not keep the
 * others waiting; the first is thrown at the end.
 */
export async function tickLiveShows(store: Scheduler): Promise<void> {
  const live = await store.liveShows();
  if (!live.ok) throw new StampedeError(live.error);
  const waiting = [...live.value];
  const troubles: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (let showId = waiting.pop(); showId !== undefined; showId = waiting.pop()) {
      await tickShow(store, showId).catch((error: unknown) => troubles.push(error));
    }
  };
  await Promise.all(Array.from({ length: LIMITS.jobShowsAtOnce }, lane));
  if (troubles.length > 0) throw troubles[0];
}
