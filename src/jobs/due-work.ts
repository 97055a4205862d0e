/**
 * The work of jobs: ticks of shows. The store decides by the Redis clock and its state what is due,
 * so a job that runs late, early or twice is harmless.
 */
import type { Scheduler } from '../domain/schedule.ts';
import { LIMITS } from '../limits.ts';
import { StampedeError } from '../protocol/codes.ts';

/**
 * Ticks a show until nothing is due. Throws a `StampedeError` if Redis does not reply; a missing
 * show is no error.
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

/** Ticks all live shows, several at a time. Throws the first error after all shows were ticked. */
export async function tickLiveShows(store: Scheduler): Promise<void> {
  const live = await store.liveShows();
  if (!live.ok) throw new StampedeError(live.error);
  const remaining = [...live.value];
  const errors: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let showId = remaining.pop(); showId !== undefined; showId = remaining.pop())
      await tickShow(store, showId).catch((error: unknown) => errors.push(error));
  };
  await Promise.all(Array.from({ length: LIMITS.jobShowsAtOnce }, worker));
  if (errors.length > 0) throw errors[0];
}
