/**
 * Erases a user from an archive: its files are written again, proven, and take the place of the
 * old ones. It may stop anywhere and be repeated:
 *
 * 1. `SHOW.RUN.partial` is written and proven: it says of all others what the old one says.
 * 2. It is renamed to `SHOW.next`, which is complete.
 * 3. The old folder becomes a partial one, and `SHOW.next` the archive. A repeat does this if it
 *    finds `SHOW.next`.
 */
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LedgerRow, UnreadableRow } from '../domain/archive.ts';
import { type Erased, erasedEntry } from '../domain/erasure.ts';
import { asFolderError, NOT_READ } from '../domain/file-errors.ts';
import { isId } from '../domain/mistakes.ts';
import type { OrderNotes } from '../domain/order.ts';
import { StampedeError } from '../protocol/codes.ts';
import type { ReservationView } from '../protocol/messages.ts';
import { ERASURE_PARTIAL, moveInto, nextFolder, PARTIAL, syncFolder } from './folders.ts';
import { type FileEntry, linesOf, writeLines } from './lines.ts';
import { FILES, type FileName, MANIFEST, type Manifest, manifestText, readManifest } from './manifest.ts';
import { fileProblems, replayFiles } from './replay.ts';

export interface Rewritten {
  readonly manifest: Manifest;
  readonly sha256: string;
  readonly ledgerEntries: number;
  readonly orders: number;
  /** An archive of this show was changed now, or by a run that did not end. */
  readonly isChanged: boolean;
}

/** The archive is as before, and cannot be changed. */
export class DamagedArchive extends Error {}

const RETRIED = 'A job tries the erasure again.';

/**
 * Returns the names of all archives in the folder: those of shows in Redis, those of deleted shows
 * that were put back, and copies with other names.
 */
export async function archivedShows(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    const { message } = asFolderError(folder, 'ARCHIVE_DIR', error, NOT_READ);
    throw new StampedeError({ code: 'archive_failed', message: `${message} ${RETRIED}` }, { cause: error });
  });
  const found = new Set<string>();
  for (const name of names.filter((each) => !each.endsWith(PARTIAL)))
    if (await exists(`${join(folder, name)}/${isId(name) ? '' : MANIFEST}`)) found.add(name.replace(/\.next$/, ''));
  return [...found].sort();
}

/** Returns null if there is no archive of the show. Throws `DamagedArchive`, or why it failed. */
export async function eraseInArchive(
  folder: string,
  showId: string,
  erased: Erased,
  now: number,
): Promise<Rewritten | null> {
  const hasNext = await exists(nextFolder(folder, showId));
  if (hasNext) await replace(folder, showId);
  await removeOwn(folder, showId);
  const archive = join(folder, showId);
  if (!(await exists(archive))) return null;
  const read = await readManifest(archive).catch((error: Error) => {
    throw new DamagedArchive(error.message);
  });
  if (!(await isNamed(archive, read.manifest, erased)))
    return { ...read, ledgerEntries: 0, orders: 0, isChanged: hasNext };
  const partial = join(folder, `${showId}.${randomUUID()}${ERASURE_PARTIAL}`);
  try {
    const written = await write(archive, partial, read.manifest, erased, now);
    const current = await readManifest(archive);
    if (current.sha256 !== read.sha256) throw new Error('the archive changed meanwhile');
    await rename(partial, nextFolder(folder, showId));
    await replace(folder, showId);
    return { ...(await readManifest(archive)), ...written, isChanged: true };
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function removeOwn(folder: string, showId: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    if (name.startsWith(`${showId}.`) && name.endsWith(ERASURE_PARTIAL))
      await rm(join(folder, name), { recursive: true });
}

/** Step 3. */
async function replace(folder: string, showId: string): Promise<void> {
  const [archive, old] = [join(folder, showId), join(folder, `${showId}.${randomUUID()}${ERASURE_PARTIAL}`)];
  if (await exists(archive)) await rename(archive, old);
  if (!(await moveInto(nextFolder(folder, showId), archive))) throw new Error(`${archive} was written by another run`);
  await syncFolder(folder);
  await rm(old, { recursive: true, force: true });
}

/** Changes a row, or returns null if it does not name the user. */
type Change = (row: never) => unknown;

const changeLedger =
  (erased: Erased, onEntry: () => void): Change =>
  (row: LedgerRow) => {
    if ('raw' in row) return changeRaw(row, erased);
    let isChanged = false;
    const entries = row.entries.map((entry) => {
      const without = Array.isArray(entry) ? erasedEntry(entry, erased) : null;
      if (without === null) return entry;
      isChanged = true;
      onEntry();
      return without;
    });
    return isChanged ? { ...row, entries } : null;
  };

const changeOrders =
  (erased: Erased, onOrder: () => void): Change =>
  (order: (ReservationView & OrderNotes) | UnreadableRow) => {
    if ('raw' in order) return changeRaw(order, erased);
    if (order.user !== erased.user) return null;
    onOrder();
    // What the host wrote may name the user.
    const { note: _note, tracking: _tracking, refundReason: _reason, ...rest } = order;
    return { ...rest, user: erased.pseudonym };
  };

/** What cannot be decoded stays so, without its bytes. */
const changeRaw = (row: UnreadableRow, { user }: Erased): UnreadableRow | null =>
  Buffer.from(row.raw, 'base64').includes(user) ? { ...row, raw: '' } : null;

/** Only these lines are parsed: they may name the user, or have bytes that do. */
const mayName = (line: string, quoted: string, by: string): boolean =>
  line.includes(quoted) || line.includes('"raw"') || line.includes(by);

async function* changedLines(path: string, change: Change, { user }: Erased): AsyncGenerator<string[]> {
  const [quoted, by] = [JSON.stringify(user), JSON.stringify(`user:${user}`)];
  for await (const lines of linesOf(path))
    yield lines.map((line) => {
      if (!mayName(line, quoted, by)) return line;
      const changed = change(JSON.parse(line) as never);
      return changed === null ? line : JSON.stringify(changed);
    });
}

/** A violation names the user in a sentence. */
const named = ({ user }: Erased): RegExp =>
  new RegExp(`(?<![\\w-])${user.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}(?![\\w-])`, 'gu');

async function isNamed(archive: string, manifest: Manifest, erased: Erased): Promise<boolean> {
  const changes = { ledger: changeLedger(erased, () => {}), orders: changeOrders(erased, () => {}) };
  for (const [name, change] of Object.entries(changes) as Array<[FileName, Change]>) {
    let isFound = false;
    const look = (row: never): null => {
      isFound ||= change(row) !== null;
      return null;
    };
    try {
      for await (const _ of changedLines(join(archive, FILES[name]), look, erased)) if (isFound) return true;
    } catch (error) {
      throw new DamagedArchive(`${FILES[name]} cannot be read: ${(error as Error).message}`);
    }
  }
  return manifest.violations.some((violation) => violation.search(named(erased)) >= 0);
}

async function write(archive: string, partial: string, old: Manifest, erased: Erased, now: number) {
  await mkdir(partial, { mode: 0o700 });
  const counts = { ledgerEntries: 0, orders: 0 };
  const at = (name: FileName): string => join(partial, FILES[name]);
  const rewritten = (name: FileName, change: Change): Promise<FileEntry> =>
    writeLines(at(name), changedLines(join(archive, FILES[name]), change, erased), (line) => line);
  const copied = async (name: FileName): Promise<FileEntry> => {
    await copyFile(join(archive, FILES[name]), at(name));
    return old.files[name];
  };
  const files: Record<FileName, FileEntry> = {
    ledger: await rewritten(
      'ledger',
      changeLedger(erased, () => counts.ledgerEntries++),
    ),
    orders: await rewritten(
      'orders',
      changeOrders(erased, () => counts.orders++),
    ),
    events: await copied('events'),
    summary: await copied('summary'),
  };
  const { replay, totals, files: found } = await replayFiles(partial);
  const [difference] = fileProblems(files, found);
  if (difference !== undefined) throw new DamagedArchive(`read back, the files differ: ${difference}`);
  if (JSON.stringify(totals) !== JSON.stringify(old.totals))
    throw new DamagedArchive('without the user, the archive has other totals');
  const wrong = replay.violations.length;
  if (wrong > 0 && wrong !== (await replayFiles(archive)).replay.violations.length)
    throw new DamagedArchive(`without the user, other books are wrong: ${replay.violations[0]}`);
  const manifest: Manifest = {
    ...old,
    violations: old.violations.map((violation) => violation.replaceAll(named(erased), erased.pseudonym)),
    erasedAt: [...(old.erasedAt ?? []), now],
    files,
  };
  await writeFile(join(partial, MANIFEST), manifestText(manifest), { mode: 0o600, flush: true });
  await syncFolder(partial);
  return counts;
}
