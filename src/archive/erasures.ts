/**
 * Erases users from all shows and archives, one after the other, in one process at a time. What is
 * planned is repeated until it is done, so a process may end at any moment ("Erasing a user" in
 * src/README.md).
 */
import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ArchiveStore } from '../domain/archive.ts';
import {
  addCounts,
  ERASURE_COUNTS,
  type Erased,
  type ErasureCounts,
  type ErasureReport,
  type ErasureRest,
  type ErasureStore,
  type Erasures,
  NOTHING_ERASED,
  type PlannedErasure,
} from '../domain/erasure.ts';
import { isId } from '../domain/mistakes.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result, StampedeError } from '../protocol/codes.ts';
import { errorFields, type Logger } from '../telemetry/logger.ts';
import { isForeign } from './manifest.ts';
import { archivedShows, DamagedArchive, eraseInArchive } from './rewrite.ts';

export interface ErasuresOptions {
  readonly store: ErasureStore & Pick<ArchiveStore, 'archiveOf' | 'identityOf' | 'purgeShow'> & { now(): number };
  readonly folder: string;
  readonly logger: Logger;
}

export interface RunningErasures extends Erasures {
  /** Ends running work; another process continues it. */
  stop(): Promise<void>;
}

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new StampedeError(result.error);
  return result.value;
}

/** Without the secret, the names of one user in several shows cannot be connected. */
const pseudonymOf = (secret: string, showId: string): string =>
  `erased-${createHmac('sha256', secret).update(showId).digest('base64url').slice(0, 20)}`;

const isRetried = (rest: ErasureRest): rest is ErasureRest & { show: string } => rest.retried && rest.show !== null;

const count = (what: Partial<ErasureCounts>): ErasureCounts => ({ ...NOTHING_ERASED, ...what });

export function createErasures({ store, folder, logger }: ErasuresOptions): RunningErasures {
  const owner = randomUUID();
  const stopping = new AbortController();
  let draining: Promise<void> | null = null;
  /** Users who were asked for here since their last try. */
  const asked = new Set<string>();
  /** Why the last try failed, by user. */
  const failures = new Map<string, unknown>();

  /**
   * Erases one user, show by show. What was done is saved after each. A try that was not asked for
   * reads only the shows that an earlier one could not finish.
   */
  async function run(user: string, isAsked: boolean): Promise<void> {
    const { secret, report: before, retry: left } = unwrap(await store.planErasure(user));
    const retry = isAsked ? undefined : left;
    let sum: ErasureCounts = count(pick(before));
    const remaining: ErasureRest[] = retry === undefined ? [] : before.remaining.filter(({ retried }) => !retried);
    const reportOf = (state: ErasureReport['state'], finishedAt: number | null): ErasureReport => ({
      ...{ state, requestedAt: before.requestedAt, finishedAt, ...sum },
      remaining: remaining.slice(0, LIMITS.erasureRemainingListed),
    });
    const save = async (state: ErasureReport['state']): Promise<void> => {
      // A run that does not end is repeated as a whole.
      const shows = state === 'running' ? retry : remaining.flatMap((rest) => (isRetried(rest) ? [rest.show] : []));
      const planned: PlannedErasure = { secret, triedAt: store.now(), report: reportOf(state, null) };
      unwrap(await store.saveErasure(user, shows === undefined ? planned : { ...planned, retry: shows }));
    };
    const add = async (more: ErasureCounts): Promise<void> => {
      if (Object.values(more).every((value) => value === 0)) return;
      sum = addCounts(sum, more);
      await save('running');
    };

    const isDue = (showId: string): boolean => retry?.includes(showId) !== false;
    const archived = new Set((await archivedShows(folder)).filter(isDue));
    // They may be deleted meanwhile.
    const held = new Set(before.remaining.flatMap(({ show, reason }) => (reason === 'hold_open' ? (show ?? []) : [])));
    for (const showId of retry ?? new Set([...unwrap(await store.showIds()), ...held])) {
      checkRunning();
      // The name of a copy of an archive.
      if (!isId(showId)) continue;
      const erased = { user, pseudonym: pseudonymOf(secret, showId) };
      const done = await store.eraseInShow(showId, erased);
      if (!done.ok) remaining.push(failed(showId, done.error));
      else if (done.value.step === 'held')
        remaining.push({ show: showId, reason: 'hold_open', retried: true, until: done.value.until });
      else if (done.value.step === 'busy') remaining.push({ show: showId, reason: 'archiving', retried: true });
      else if (done.value.step === 'archived') archived.add(showId);
      else if (done.value.step === 'gone')
        await add(held.has(showId) ? { ...done.value.counts, shows: 1 } : done.value.counts);
      else {
        if (done.value.isUnreadable) remaining.push({ show: showId, reason: 'unreadable', retried: false });
        await add(done.value.counts);
      }
    }
    for (const showId of archived) {
      checkRunning();
      const [counts, rest] = await eraseArchived(showId, { user, pseudonym: pseudonymOf(secret, showId) });
      if (rest !== null) remaining.push(rest);
      await add(counts);
    }
    if (retry !== undefined && remaining.some(isRetried)) return save('waiting');
    const responses = unwrap(await store.eraseResponses(user));
    if (responses === null) remaining.push({ show: null, reason: 'responses', retried: false });
    else await add(count({ commands: responses }));

    if (remaining.some(isRetried)) return save('waiting');
    const isDone = remaining.length === 0;
    unwrap(await store.finishErasure(user, reportOf(isDone ? 'done' : 'incomplete', store.now())));
    if (isDone) logger.info(sum, 'a user was erased');
    else logger.warn({ ...sum, remaining }, 'a user was erased incompletely: the request must be repeated');
  }

  function failed(show: string, error: unknown): ErasureRest {
    logger.warn({ err: error, show }, 'a user could not be erased from a show; it is tried again');
    return { show, reason: 'failed', retried: true };
  }

  async function eraseArchived(showId: string, erased: Erased): Promise<[ErasureCounts, ErasureRest | null]> {
    const none = count({});
    /** Asked when files are not as expected: a deletion takes them. */
    const isDeleted = async (): Promise<boolean> => unwrap(await store.eraseInShow(showId, erased)).step === 'gone';
    try {
      const summary = unwrap(await store.archiveOf(showId));
      const identity = unwrap(await store.identityOf(showId));
      const isOther = identity !== null && (await isForeign(folder, showId, identity));
      // Also in the archive of a show that is not in Redis, or has another one in its place.
      const found = await eraseInArchive(folder, showId, erased, store.now());
      const missing: ErasureRest = { show: showId, reason: 'archive_missing', retried: false };
      const isMissing = summary !== null && (found === null || isOther);
      const rest = isMissing && !(await isDeleted()) ? missing : null;
      if (found === null) return [none, rest];
      const { manifest, sha256, ledgerEntries, orders, isChanged } = found;
      if (summary !== null && !isOther) {
        if (summary.sha256 !== sha256)
          unwrap(await store.replaceArchive(showId, manifest.token, { ...summary, sha256 }));
        // They still have the user, and the archive is proven.
        unwrap(await store.purgeShow(showId));
      }
      return [isChanged ? count({ archives: 1, ledgerEntries, reservations: orders }) : none, rest];
    } catch (error) {
      if (!(error instanceof DamagedArchive)) return [none, failed(showId, error)];
      logger.error({ err: error, show: showId }, 'a user could not be erased from a damaged archive');
      return [none, { show: showId, reason: 'archive_damaged', retried: false }];
    }
  }

  function checkRunning(): void {
    if (stopping.signal.aborted)
      throw new StampedeError({ code: 'draining', message: 'This process stops; another one continues.' });
  }

  /** One user does not stop the others, and is tried again after the usual pause. */
  async function postpone(user: string, error: unknown): Promise<void> {
    logger.warn(errorFields(error), 'a user could not be erased; it is tried again');
    failures.set(user, error);
    const planned = unwrap(await store.planErasure(user));
    unwrap(await store.saveErasure(user, { ...planned, triedAt: store.now() }));
  }

  /** Erases all planned users once, those included that are planned meanwhile. */
  async function drain(): Promise<void> {
    if (!unwrap(await store.takeEraser(owner))) return;
    const renewing = setInterval(() => void store.takeEraser(owner), LIMITS.erasureLeaseMs / 3).unref();
    try {
      const tried = new Set<string>();
      for (;;) {
        const isDue = ({ user, triedAt }: { user: string; triedAt: number }): boolean =>
          !tried.has(user) && (asked.has(user) || triedAt + LIMITS.retentionRetryMs <= store.now());
        const next = unwrap(await store.plannedErasures()).find(isDue);
        if (next === undefined || !(await store.checkReleases()).ok) return;
        tried.add(next.user);
        const isAsked = asked.delete(next.user);
        try {
          await run(next.user, isAsked);
          failures.delete(next.user);
        } catch (error) {
          checkRunning();
          await postpone(next.user, error);
        }
      }
    } finally {
      clearInterval(renewing);
      await store.leaveEraser(owner);
    }
  }

  const runPlanned = (): Promise<void> => {
    draining ??= drain().finally(() => {
      draining = null;
    });
    return draining;
  };

  return {
    async erase(user, signal) {
      const alone = await store.checkReleases();
      if (!alone.ok) return alone;
      const planned = await store.planErasure(user);
      if (!planned.ok) return planned;
      asked.add(user);
      const deadline = sleep(LIMITS.erasureReplyMs, false, { ref: false, signal }).catch(() => false);
      // A run that has just read the list may have missed this user.
      const work = runPlanned().then(runPlanned);
      // It may fail after the reply.
      work.catch((error: unknown) =>
        logger.warn(errorFields(error), 'users could not be erased; a job tries it again'),
      );
      try {
        await Promise.race([work, deadline]);
        if (failures.has(user)) throw failures.get(user);
      } catch (error) {
        if (error instanceof StampedeError) return { ok: false, error: error.failure };
        return fail('internal', 'The user is not erased yet. A job tries it again.');
      }
      const report = await store.erasureOf(user);
      return report.ok ? ok(report.value ?? planned.value.report) : report;
    },
    report: (user) => store.erasureOf(user),
    runPlanned,
    async stop() {
      stopping.abort();
      await draining?.catch(() => {});
    },
  };
}

/** Returns the counts in a report. */
function pick(report: ErasureReport): ErasureCounts {
  const counts = { ...NOTHING_ERASED };
  for (const name of ERASURE_COUNTS) counts[name] = report[name];
  return counts;
}
