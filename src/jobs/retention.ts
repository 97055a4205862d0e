/**
 * The end of shows: what is due is archived, deleted from Redis after that, or deleted at all. The
 * state of a show says which step is next, so every step may be repeated.
 */
import type { ArchiveStore, Archives } from '../domain/archive.ts';
import type { Erasures } from '../domain/erasure.ts';
import { LIMITS } from '../limits.ts';
import type { Result } from '../protocol/codes.ts';
import { errorFields, type Logger } from '../telemetry/logger.ts';

export interface RetentionDeps {
  readonly store: Pick<
    ArchiveStore,
    'dueRetention' | 'retentionOf' | 'planRetention' | 'purgeShow' | 'deleteShow' | 'indexRetention'
  > & { now(): number };
  readonly archives: Archives;
  readonly erasures?: Pick<Erasures, 'runPlanned'>;
  /** Of shows without a separate setting. */
  readonly retentionMs: number;
  readonly logger: Logger;
}

/** Is no id of a show. */
const ERASURES = '';

/** Returns a function that does what is due. Calls while it runs do nothing. */
export function createRetention({
  store,
  archives,
  erasures,
  retentionMs,
  logger,
}: RetentionDeps): () => Promise<void> {
  let isRunning = false;
  let isIndexed = false;
  /** What was logged, so that a failure that stays is logged once. By show, or ERASURES. */
  const logged = new Map<string, string>();

  /** Returns when to look again, null: never; undefined: as planned. */
  async function nextStep(showId: string): Promise<number | null | undefined> {
    const found = await store.retentionOf(showId, retentionMs);
    if (!found.ok) return store.now() + LIMITS.retentionRetryMs;
    const { step, at } = found.value;
    if (step === 'none') return undefined;
    if (at > store.now()) return Math.min(at, store.now() + LIMITS.retentionRecheckMs);
    const after = (done: Result<unknown>, next: number | null): number | null => {
      if (done.ok) {
        logged.delete(showId);
        return next;
      }
      const failure = `${step} ${done.error.code} ${done.error.message}`;
      if (logged.get(showId) !== failure)
        logger.warn({ show: showId, step, ...done.error }, 'a step at the end of a show failed and is repeated');
      logged.set(showId, failure);
      return store.now() + (done.error.retryAfterMs ?? LIMITS.retentionRetryMs);
    };
    switch (step) {
      case 'archive':
        // The next look finds out when the keys are deleted, or whether another process failed.
        return after(await archives.archive(showId), store.now() + LIMITS.jobRetentionEveryMs);
      case 'purge':
        return after(await store.purgeShow(showId), null);
      case 'delete':
        // It was decided: a folder of another show does not keep it in Redis.
        return after(await archives.remove(showId, { force: true, isRepeat: true }), null);
      case 'forget':
        return after(await store.deleteShow(showId), null);
    }
  }

  return async () => {
    if (isRunning) return;
    isRunning = true;
    try {
      // First: a show in which a user is half erased is not archived.
      await erasures?.runPlanned().then(
        () => logged.delete(ERASURES),
        (error: unknown) => {
          if (logged.get(ERASURES) !== String(error)) logger.warn(errorFields(error), 'users could not be erased');
          logged.set(ERASURES, String(error));
        },
      );
      if (!isIndexed) isIndexed = (await store.indexRetention()).ok;
      const due = await store.dueRetention();
      for (const showId of due.ok ? due.value : []) {
        // First, so that a show that ends from now on plans its next look after this one.
        await store.planRetention(showId, store.now() + LIMITS.retentionRecheckMs);
        const at = await nextStep(showId);
        if (at !== undefined) await store.planRetention(showId, at);
      }
    } finally {
      isRunning = false;
    }
  };
}
