/** Moves a show between Redis servers by a file ("Exports" in src/README.md). */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Page } from '../domain/archive.ts';
import { fileReason, NOT_READ } from '../domain/file-errors.ts';
import type { RawRecord, RecordPage, TransferStore } from '../domain/transfer.ts';
import { LIMITS } from '../limits.ts';
import { fail, failure, ok, type Result, StampedeError } from '../protocol/codes.ts';
import { checkExport, type ExportFile, pathProblem, RecordCounts, readPages, writeExport } from './export-file.ts';
import { nextFolder } from './folders.ts';
import { checkOwner, type ForeignArchive } from './manifest.ts';

export interface TransferOptions {
  readonly store: TransferStore & { now(): number };
  readonly path: string;
  /** ARCHIVE_DIR: no show is imported while the archive of another one has its place. */
  readonly archiveDir?: string;
  /** Receives how many records were read or written so far. */
  readonly onProgress?: (what: 'reading' | 'checking' | 'writing', records: number) => void;
}

/** The calls in flight: the file is read while Redis writes. */
const PUTS_IN_FLIGHT = 4;

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new StampedeError(result.error);
  return result.value;
}

/** Returns the failure of the store, or of the disk with its reason. */
function failureOf(error: unknown, what: string): Result<never> {
  if (error instanceof StampedeError) return { ok: false, error: error.failure };
  return fail('archive_failed', `${what}: ${fileReason(error)}`);
}

/** Returns why a file cannot be imported: it is missing, cannot be read, or is no good export. */
function importFailure(error: unknown, path: string): Result<never> {
  if (error instanceof StampedeError) return { ok: false, error: error.failure };
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return fail('not_found', `There is no file ${path}. Check its path.`);
  const isOfDisk = /^E[A-Z]+$/.test(code) && code !== 'EISDIR';
  const reason = fileReason(inWords(error), NOT_READ);
  return fail(isOfDisk ? 'archive_failed' : 'invalid_request', `${path} cannot be imported: ${reason}`);
}

/** Writes a show that is not live to a file. Changes of the show are refused meanwhile. */
export async function exportShow(
  { store, path, onProgress }: TransferOptions,
  showId: string,
  engine: string,
): Promise<Result<ExportFile>> {
  const problem = await pathProblem(path);
  if (problem !== null) return { ok: false, error: problem };
  const token = randomUUID();
  const frozen = await store.freezeExport(showId, token);
  if (!frozen.ok) return frozen;
  const state = frozen.value;
  const isFrozen = state !== 'archived';
  const renewing = isFrozen
    ? setInterval(() => void store.renewExport(showId, token), LIMITS.archiveLeaseMs / 3).unref()
    : undefined;
  const counts = new RecordCounts();

  async function* pages(): AsyncGenerator<RecordPage> {
    for (const key of store.exportKeys(state))
      for (let next: Promise<Result<Page<RawRecord>>> | null = store.readRecords(showId, key, null); next !== null; ) {
        const page: Page<RawRecord> = unwrap(await next);
        // Redis reads it while this one is written.
        next = page.next === null ? null : store.readRecords(showId, key, page.next);
        if (page.rows.length === 0) continue;
        const records = { key, records: page.rows };
        counts.add(records);
        onProgress?.('reading', counts.total);
        yield records;
      }
    clearInterval(renewing);
    // Before the manifest: a show that may have changed meanwhile has none.
    if (isFrozen) unwrap(await store.thawExport(showId, token));
  }

  try {
    const head = { show: showId, state, exportedAt: Math.floor(store.now()), engine };
    return ok(await writeExport(path, head, pages(), store.examineRecords()));
  } catch (error) {
    if (isFrozen) await store.thawExport(showId, token);
    return failureOf(error, `The show could not be written to ${path}`);
  } finally {
    clearInterval(renewing);
  }
}

/** Replaces what Node.js says about a file that is not gzip, or cut. */
function inWords(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return new Error('it is incomplete; export the show again', { cause: error });
  return code === 'Z_DATA_ERROR' ? new Error('it is not an export of Stampede, or damaged', { cause: error }) : error;
}

/** Throws if the folder of another show has the place of the archive. */
async function checkArchivePlace(archiveDir: string, { show, header }: ExportFile): Promise<void> {
  const [token = null] = header.flatMap(([field, value = '']) => (field === 'token' ? [value] : []));
  // Only an archived show may be there before: its folder is copied, earlier or later.
  const identity = show.state === 'archived' ? { createdAt: show.createdAt, origin: null, token } : null;
  for (const path of [nextFolder(archiveDir, show.show), join(archiveDir, show.show)])
    try {
      await checkOwner(path, show.show, identity);
    } catch (error) {
      const { message, folder } = error as ForeignArchive;
      throw new StampedeError(failure('archive_conflict', message, { details: { folder } }));
    }
}

/** Reads a show from a file. It exists completely, or for no request. */
export async function importShow(options: TransferOptions): Promise<Result<ExportFile>> {
  const { store, path, archiveDir, onProgress } = options;
  let found: ExportFile;
  try {
    const examiner = store.examineRecords();
    const counts = new RecordCounts();
    found = await checkExport(path, {
      ...examiner,
      add(page) {
        counts.add(page);
        onProgress?.('checking', counts.total);
        return examiner.add(page);
      },
    });
  } catch (error) {
    return importFailure(error, path);
  }
  const { show, header, manifest } = found;
  const begun = await store.beginImport(show.show);
  if (!begun.ok) return begun;
  const token = begun.value;
  try {
    if (archiveDir !== undefined) await checkArchivePlace(archiveDir, found);
    const counts = new RecordCounts();
    const puts: Array<Promise<Result<null>>> = [];
    const again = await readPages(path, async (page) => {
      // Sent in order on one connection, so the ids of streams arrive in order.
      puts.push(store.putRecords(show.show, token, page));
      if (puts.length >= PUTS_IN_FLIGHT) unwrap(await (puts.shift() as Promise<Result<null>>));
      counts.add(page);
      onProgress?.('writing', counts.total);
    });
    for (const put of puts) unwrap(await put);
    if (again.manifest.sha256 !== manifest.sha256) throw new Error('it changed while it was read');
    unwrap(await store.commitImport(show, token, header));
    return ok(found);
  } catch (error) {
    await store.abortImport(show.show, token);
    return importFailure(error, path);
  }
}
