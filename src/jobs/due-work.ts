/**
 * The work of jobs: ticks of shows. The store decides by the Redis clock and its state what is due,
 * so a job that runs late, early or twice is harmless.
 */
import type { Health } from '../domain/health.ts';
import type { Scheduler } from '../domain/schedule.ts';
import { LIMITS } from '../limits.ts';
import { isClosed, StampedeError } from '../protocol/codes.ts';

type TickStore = Scheduler & Pick<Health, 'now' | 'nowErrorMs'>;

/**
 * Ticks a show until nothing is due. Throws a `StampedeError` if Redis does not reply; a missing
 * show, or one of a newer release, is no error.
 */
export async function tickShow(store: TickStore, showId: string, mayRest = false): Promise<void> {
  for (let slice = 0; slice < LIMITS.jobSlicesPerShowMax; slice++) {
    const ticked = await store.tick(showId, mayRest);
    if (!ticked.ok) {
      if (isClosed(ticked.error.code)) return;
      throw new StampedeError(ticked.error);
    }
    const { done, nextDueAt } = ticked.value;
    // A call that did little may have left the rest of a waitlist to the next one.
    const isMoreDue = done > 0 && nextDueAt !== null && nextDueAt <= store.now() + store.nowErrorMs();
    if (done < LIMITS.sweepSliceMax && !isMoreDue) return;
  }
}

/**
 * Ticks all live shows, several at a time. Throws the first error after all shows were ticked. With
 * `mayRest`, shows leave the list in which nothing can happen before something planned is due.
 */
export async function tickLiveShows(store: TickStore, mayRest = false): Promise<void> {
  const live = await store.liveShows();
  if (!live.ok) throw new StampedeError(live.error);
  const remaining = [...live.value];
  const errors: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let showId = remaining.pop(); showId !== undefined; showId = remaining.pop())
      await tickShow(store, showId, mayRest).catch((error: unknown) => errors.push(error));
  };
  await Promise.all(Array.from({ length: LIMITS.jobShowsAtOnce }, worker));
  if (errors.length > 0) throw errors[0];
}
