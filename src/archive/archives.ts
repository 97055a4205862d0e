/**
 * Archives shows: freezes one, writes it to files, proves them by reading them back, and only then
 * lets the keys of the show expire. It may stop anywhere and be repeated ("Archives" in
 * src/README.md).
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  Archived,
  ArchiveStore,
  ArchiveSummary,
  Archives,
  FrozenShow,
  Page,
  Removed,
  ShowIdentity,
} from '../domain/archive.ts';
import { asFolderError } from '../domain/file-errors.ts';
import { isId } from '../domain/mistakes.ts';
import { isOrder } from '../domain/order.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result, StampedeError } from '../protocol/codes.ts';
import type { Logger } from '../telemetry/logger.ts';
import { readBooked } from './booked.ts';
import { ERASURE_PARTIAL, moveInto, nextFolder, PARTIAL, syncFolder } from './folders.ts';
import { type FileEntry, writeLines } from './lines.ts';
import {
  checkOwner,
  FILES,
  type FileName,
  FORMAT,
  ForeignArchive,
  MANIFEST,
  type Manifest,
  manifestText,
  readManifest,
  sha256,
} from './manifest.ts';
import { fileProblems, replayFiles } from './replay.ts';

export interface ArchivesOptions {
  readonly store: ArchiveStore & { now(): number };
  readonly folder: string;
  /** Creates the folder, unless it has archives. Throws why it cannot be used. */
  readonly prepareFolder: (path: string, hasArchives: boolean) => unknown;
  /** Of shows without a separate setting. */
  readonly retentionMs: number;
  /** Release of the engine, for the manifest. */
  readonly version: string;
  readonly logger: Logger;
}

export interface RunningArchives extends Archives {
  /** Logs if the folder does not have the archives of this installation. */
  checkFolder(): Promise<void>;
  /** Ends running work; another process continues it. */
  stop(): Promise<void>;
}

const RETRY_MS = 60_000;

export function createArchives(options: ArchivesOptions): RunningArchives {
  const { store, folder, logger } = options;
  const owner = randomUUID();
  const running = new Map<string, Promise<Result<Archived>>>();
  const stopping = new AbortController();
  /** Shows whose folder is of another show. */
  const reported = new Set<string>();

  const finalFolder = (showId: string): string => join(folder, showId);
  /** Each run has its own, so that two of them never write to one file. */
  const partialFolder = (showId: string): string => join(folder, `${showId}.${randomUUID()}${PARTIAL}`);

  /** Removes what killed runs left. Returns their number. Only the owner of the lease calls it. */
  async function removePartials(showId: string, isKept = isOfErasure): Promise<number> {
    const isLeft = (name: string): boolean => name.startsWith(`${showId}.`) && name.endsWith(PARTIAL) && !isKept(name);
    const names = (await readdir(folder)).filter(isLeft);
    for (const name of names) await rm(join(folder, name), { recursive: true });
    return names.length;
  }

  /**
   * Returns the folders that are the archive of this show. Throws if another folder is in its
   * place; with `force` that one is ignored.
   */
  async function checkFolders(
    showId: string,
    { force = false } = {},
  ): Promise<{ identity: ShowIdentity; own: string[] }> {
    const identity = unwrap(await store.identityOf(showId));
    const own: string[] = [];
    // In this order: the next one becomes the final one.
    for (const path of [nextFolder(folder, showId), finalFolder(showId)])
      try {
        if (await checkOwner(path, showId, identity)) own.push(path);
      } catch (error) {
        if (!force || identity === null || !(error instanceof ForeignArchive)) throw error;
      }
    if (identity === null) return unwrap(await store.whyMissing(showId));
    return { identity, own };
  }

  /** Returns the size of the files of a show, or null if there are none. */
  async function bytesOf(showId: string): Promise<number | null> {
    const { own } = await checkFolders(showId);
    let bytes = 0;
    for (const path of own) for (const name of await readdir(path)) bytes += (await stat(join(path, name))).size;
    return own.length === 0 ? null : bytes;
  }

  /** Throws if the folder does not have the archives of this installation. */
  async function requireFolder(): Promise<void> {
    if (unwrap(await store.hasArchives())) options.prepareFolder(folder, true);
    else await readdir(folder);
  }

  async function run(showId: string): Promise<Result<Archived>> {
    const frozen = await store.freezeShow(showId, owner);
    if (!frozen.ok) return frozen;
    if (frozen.value.step === 'archived') return ok({ state: 'archived', summary: frozen.value.summary });
    if (frozen.value.step === 'busy') return ok({ state: 'archiving' });
    const { show } = frozen.value;
    const renewing = setInterval(() => void store.freezeShow(showId, owner), LIMITS.archiveLeaseMs / 3).unref();
    const partial = partialFolder(showId);
    try {
      options.prepareFolder(folder, unwrap(await store.hasArchives()));
      const { identity } = await checkFolders(showId);
      await removePartials(showId);
      const manifest = await write(showId, show, identity, partial);
      const hash = await place(showId, manifest, partial);
      reported.delete(showId);
      const summary: ArchiveSummary = {
        ...{ show: showId, title: manifest.title, createdAt: manifest.createdAt, endedAt: manifest.endedAt },
        ...{ archivedAt: manifest.archivedAt, sha256: hash, violations: manifest.violations.length },
        totals: manifest.totals,
      };
      const keptMs = Math.min(LIMITS.archivedKeptMs, show.view.retentionMs ?? options.retentionMs);
      const finished = await store.finishArchive(showId, show.token, summary, keptMs);
      if (!finished.ok) throw new StampedeError(finished.error);
      if (finished.value === null)
        return fail('overloaded', 'Redis lost the newest state of the show; try again.', { retryAfterMs: RETRY_MS });
      if (summary.violations > 0)
        logger.warn({ show: showId, violations: summary.violations }, 'a show was archived whose books are wrong');
      else logger.info({ show: showId, entries: summary.totals.entries }, 'a show was archived');
      return ok({ state: 'archived', summary: finished.value });
    } catch (error) {
      clearInterval(renewing);
      await rm(partial, { recursive: true, force: true }).catch(() => {});
      await store.thawShow(showId, show.token);
      return failureOf(showId, error, 'The show was not archived, and is as before.');
    } finally {
      clearInterval(renewing);
    }
  }

  /** @param state says what became of the show. */
  function failureOf(showId: string, error: unknown, state: string): Result<never> {
    if (error instanceof StampedeError) return { ok: false, error: error.failure };
    if (error instanceof ForeignArchive) {
      const { message, folder: path } = error;
      if (!reported.has(showId)) logger.warn({ show: showId, reason: message }, 'a folder is not of this show');
      reported.add(showId);
      return fail('archive_conflict', message, { details: { folder: path } });
    }
    logger.error({ err: error, show: showId }, 'the archive of a show could not be written or deleted');
    const { message } = asFolderError(folder, 'ARCHIVE_DIR', error);
    return fail('archive_failed', `${state} ${message}`, { retryAfterMs: RETRY_MS });
  }

  /** Yields the pages of a part. Throws the failure of the store. */
  async function* pages<Row>(
    read: (showId: string, from: string | null) => Promise<Result<Page<Row>>>,
    showId: string,
  ): AsyncGenerator<Row[]> {
    for (let next: Promise<Result<Page<Row>>> | null = read(showId, null); next !== null; ) {
      if (stopping.signal.aborted) throw new StampedeError(failed('draining'));
      const { rows, next: from }: Page<Row> = unwrap(await next);
      // Redis reads it while this one is written.
      next = from === null ? null : read(showId, from);
      yield rows;
    }
  }

  /** Yields orders and records that cannot be read; notes the state of all reservations. */
  async function* orders(showId: string, states: Map<string, string>): AsyncGenerator<unknown[]> {
    for await (const page of pages(store.readReservations, showId)) {
      // A scan of a hash may return a record twice.
      const fresh = page.filter((row) => !states.has('raw' in row ? row.at : row.id));
      for (const row of fresh) states.set('raw' in row ? row.at : row.id, 'raw' in row ? 'unreadable' : row.state);
      yield fresh.filter((row) => 'raw' in row || isOrder(row));
    }
  }

  async function* summaryRows(showId: string, { view, endedAt, numbers }: FrozenShow): AsyncGenerator<unknown[]> {
    yield [{ kind: 'show', show: view, endedAt, numbers }];
    yield unwrap(await store.readProducts(showId)).map((product) =>
      'raw' in product ? { kind: 'unreadable', ...product } : { kind: 'product', product },
    );
    yield unwrap(await store.readSales(showId)).map((sale) =>
      'raw' in sale ? { kind: 'unreadable', ...sale } : { kind: 'sale', sale },
    );
  }

  /** Writes all files but the manifest, and reads them back. */
  async function write(showId: string, show: FrozenShow, identity: ShowIdentity, partial: string): Promise<Manifest> {
    await mkdir(partial, { mode: 0o700 });
    const states = new Map<string, string>();
    const at = (name: FileName): string => join(partial, FILES[name]);
    const files: Record<FileName, FileEntry> = {
      ledger: await writeLines(at('ledger'), pages(store.readLedger, showId)),
      orders: await writeLines(at('orders'), orders(showId, states)),
      events: await writeLines(at('events'), pages(store.readEvents, showId)),
      summary: await writeLines(at('summary'), summaryRows(showId, show)),
    };
    const { replay, totals, files: found } = await replayFiles(partial);
    const differences = fileProblems(files, found);
    if (differences.length > 0) throw new Error(`read back, the files differ: ${differences[0]}`);
    for (const [id, state] of states) {
      const replayed = replay.reservations.get(id)?.state;
      if (state !== replayed) replay.violate(`reservation ${id} is ${state}, by the ledger ${replayed}`);
    }
    for (const [id, { state }] of replay.reservations)
      if (!states.has(id)) replay.violate(`reservation ${id} is missing, by the ledger ${state}`);
    return {
      ...{ format: FORMAT, show: showId, title: show.view.title, createdAt: show.view.createdAt },
      ...(identity.origin === null ? {} : { origin: identity.origin }),
      ...{ endedAt: show.endedAt, archivedAt: store.now(), engine: options.version, token: show.token, totals },
      violations: [...new Set(replay.violations)].slice(0, LIMITS.archiveProblemsListed),
      files,
    };
  }

  /** Adds the manifest and renames the folder. Returns the hash of the manifest in place. */
  async function place(showId: string, manifest: Manifest, partial: string): Promise<string> {
    const text = manifestText(manifest);
    await writeFile(join(partial, MANIFEST), text, { mode: 0o600, flush: true });
    await syncFolder(partial);
    const final = finalFolder(showId);
    if (!(await moveInto(partial, final))) {
      const known = await readManifest(final).catch(() => null);
      // Another run under the same freeze was first, and its archive is complete.
      if (known?.manifest.token === manifest.token) {
        await rm(partial, { recursive: true, force: true });
        return known.sha256;
      }
      await checkFolders(showId);
      // It was written before Redis lost the freeze.
      await rename(final, partialFolder(showId));
      if (!(await moveInto(partial, final))) throw new Error(`${final} was written by another run`);
    }
    await syncFolder(folder);
    await removePartials(showId);
    return sha256(text);
  }

  return {
    async archive(showId) {
      if (!isId(showId)) return fail('show_not_found');
      const work = running.get(showId) ?? run(showId).finally(() => running.delete(showId));
      running.set(showId, work);
      return work;
    },

    async remove(showId, { force = false, isRepeat = false } = {}) {
      if (!isId(showId)) return fail('show_not_found');
      let files: Removed['files'] = 'none';
      let isCondemned = false;
      try {
        // Looked for first: another deletion moves them only after the show is condemned.
        const { own } = await checkFolders(showId, { force });
        const condemned = await store.condemnShow(showId, { unlessArchived: own.length === 0 && !force, force });
        if (!condemned.ok) return condemned;
        if (condemned.value === 'kept')
          return fail('archive_failed', filesMissing(finalFolder(showId)), { retryAfterMs: RETRY_MS });
        isCondemned = true;
        // Renamed first: a repeat would refuse a folder that is half deleted.
        for (const path of own) await rename(path, partialFolder(showId)).catch(ignoreMissing);
        const removed = await removePartials(showId, () => false).catch(ignoreMissing);
        if (condemned.value === 'had_archive') files = own.length > 0 || removed ? 'deleted' : 'missing';
        // Its disk may be away just now.
        if (isRepeat && files === 'missing') await requireFolder();
      } catch (error) {
        const state = isCondemned
          ? 'The show is being deleted, and a job tries again to delete its archive.'
          : 'The show was not deleted.';
        return failureOf(showId, error, state);
      }
      const deleted = await store.deleteShow(showId);
      if (!deleted.ok) return deleted;
      if (files !== 'missing') logger.info({ show: showId, files }, 'a show was deleted');
      else logger.warn({ show: showId, folder }, 'a show was deleted, and the files of its archive were not found');
      return ok({ files });
    },

    async filesOf(showId) {
      const bytes = await bytesOf(showId).catch(() => null);
      if (bytes !== null) return { archiveFiles: 'found', archiveBytes: bytes };
      const isArchived = unwrap(await store.archiveOf(showId)) !== null;
      return { archiveFiles: isArchived ? 'missing' : 'none', archiveBytes: null };
    },

    async readBooked(showId, isOrder) {
      try {
        const { own } = await checkFolders(showId);
        const path = own.at(-1);
        return path === undefined
          ? fail('archive_failed', filesElsewhere(finalFolder(showId)))
          : ok(await readBooked(path, isOrder));
      } catch (error) {
        return failureOf(showId, error, 'The files of the archive cannot be read.');
      }
    },

    async archiveAt({ id, state, endedAt, retentionMs = options.retentionMs }) {
      if (state !== 'ended') return ok(null);
      if (endedAt !== undefined) return ok(endedAt + retentionMs);
      const found = await store.retentionOf(id, options.retentionMs);
      if (!found.ok) return found;
      const { step, at } = found.value;
      // 0: it is being archived.
      return ok(step === 'archive' ? at || Math.floor(store.now()) : null);
    },

    async checkFree(showId) {
      const identity = await store.identityOf(showId);
      if (!identity.ok) return identity;
      try {
        if (identity.value === null)
          for (const path of [nextFolder(folder, showId), finalFolder(showId)]) await checkOwner(path, showId, null);
        return ok(null);
      } catch (error) {
        const { message, folder: path } = error as ForeignArchive;
        return fail('archive_conflict', `${message} Or give the show another id.`, { details: { folder: path } });
      }
    },

    async checkFolder() {
      const hasArchives = await store.hasArchives();
      if (!hasArchives.ok || !hasArchives.value) return;
      try {
        options.prepareFolder(folder, true);
      } catch (error) {
        const { message } = asFolderError(folder, 'ARCHIVE_DIR', error);
        logger.error({ reason: message }, 'shows cannot be archived');
      }
    },

    async stop() {
      stopping.abort();
      await Promise.all(running.values());
    },
  };
}

const isOfErasure = (name: string): boolean => name.endsWith(ERASURE_PARTIAL);
const failed = (code: 'draining'): StampedeError['failure'] => ({ code, message: 'This process stops; try again.' });

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new StampedeError(result.error);
  return result.value;
}

const filesElsewhere = (folder: string): string =>
  `The show is archived, and its files are not in ${folder}. Put them there, or set ARCHIVE_DIR of this process to ` +
  'the folder that has them.';

const filesMissing = (folder: string): string =>
  `The show is archived, and its files, which name its buyers, are not in ${folder}. Nothing was deleted. Put them ` +
  'there, or set ARCHIVE_DIR to the folder that has them, and repeat the request. With ?force=true the show is ' +
  'deleted without them.';

/** There is nothing to delete if the folder of the archives is missing, or is no folder. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
