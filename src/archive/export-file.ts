/** The file of an exported show: a head, the records of all keys, and a manifest as last line. */
import { randomUUID } from 'node:crypto';
import { link, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isId } from '../domain/mistakes.ts';
import type { ExaminedShow, MovableState, RawRecord, RecordExaminer, RecordPage } from '../domain/transfer.ts';
import { type Failure, failure, StampedeError } from '../protocol/codes.ts';
import { syncFolder } from './folders.ts';
import { type FileEntry, hashFile, readLines, writeLines } from './lines.ts';

const KIND = 'stampede-export';
const FORMAT = 1;
const PARTIAL = '.partial';
const PARTIAL_END = /^[\da-f-]{36}\.partial$/;
/** A page of the longest records is far shorter. */
const LINE_CHARS_MAX = 32 * 1024 * 1024;
/** Twice as fast as the default, and the file is some 10 % larger. */
const GZIP_LEVEL = 3;

export interface ExportHead {
  readonly kind: typeof KIND;
  readonly format: number;
  readonly show: string;
  readonly state: MovableState;
  /** By the clock of Redis. */
  readonly exportedAt: number;
  readonly engine: string;
}

export interface ExportManifest {
  readonly kind: 'manifest';
  /** Records by key. */
  readonly records: Readonly<Record<string, number>>;
  /** Of all lines before this one. */
  readonly sha256: string;
  readonly violations: readonly string[];
}

export interface ExportFile {
  readonly head: ExportHead;
  readonly manifest: ExportManifest;
  readonly show: ExaminedShow;
  /** The records of the key `show`. */
  readonly header: readonly RawRecord[];
  readonly file: FileEntry;
}

const isObject = (row: unknown): row is Record<string, unknown> =>
  typeof row === 'object' && row !== null && !Array.isArray(row);

const MOVABLE: readonly unknown[] = ['planned', 'ended', 'archived'] satisfies MovableState[];
const HEAD_TEXT_CHARS_MAX = 100;
const isShort = (value: unknown): boolean => typeof value === 'string' && value.length <= HEAD_TEXT_CHARS_MAX;

/** Throws if the row is not the first one of a file that this release can read. */
function headOf(row: unknown): ExportHead {
  if (!isObject(row) || row.kind !== KIND) throw new Error('it is not an exported show');
  const { format, show, state, exportedAt, engine } = row;
  if (typeof format !== 'number') throw new Error('it has no format');
  if (format > FORMAT) throw new Error(`it has format ${format}; this release knows up to ${FORMAT}: use a newer one`);
  const isShow = typeof show === 'string' && isId(show);
  const isHead = format === FORMAT && isShow && MOVABLE.includes(state) && Number.isSafeInteger(exportedAt);
  if (!isHead || !isShort(engine)) throw new Error('its head is incomplete or wrong');
  return row as unknown as ExportHead;
}

function manifestOf(row: Record<string, unknown>): ExportManifest {
  const { kind, records, sha256, violations } = row;
  const hasCounts = isObject(records) && Object.values(records).every(Number.isSafeInteger);
  const hasViolations = Array.isArray(violations) && violations.every((each) => typeof each === 'string');
  if (kind !== 'manifest' || !hasCounts || typeof sha256 !== 'string' || !hasViolations)
    throw new Error('its manifest is incomplete');
  return row as unknown as ExportManifest;
}

function pageOf(row: unknown, line: number): RecordPage {
  if (!Array.isArray(row) || typeof row[0] !== 'string') throw new Error(`line ${line} has another shape`);
  const [key, ...records] = row as [string, ...RawRecord[]];
  return { key, records };
}

/** Counts records by key. */
export class RecordCounts {
  readonly #byKey = new Map<string, number>();
  total = 0;

  get byKey(): Record<string, number> {
    return Object.fromEntries(this.#byKey);
  }

  add({ key, records }: RecordPage): void {
    this.#byKey.set(key, (this.#byKey.get(key) ?? 0) + records.length);
    this.total += records.length;
  }
}

/** Calls `onPage` for each page. Throws why the file cannot be read, or is not whole. */
export async function readPages(
  path: string,
  onPage: (page: RecordPage, line: number) => void | Promise<void>,
): Promise<Pick<ExportFile, 'head' | 'manifest' | 'file'>> {
  const counts = new RecordCounts();
  const read: { head?: ExportHead; manifest?: ExportManifest } = {};
  let line = 0;
  const onRow = (row: unknown, text: () => string): void | Promise<void> => {
    line += 1;
    if (read.head === undefined) {
      read.head = headOf(row);
      return;
    }
    if (read.manifest !== undefined) throw new Error('it goes on behind its manifest');
    if (!isObject(row)) {
      const page = pageOf(row, line);
      counts.add(page);
      return onPage(page, line);
    }
    const manifest = manifestOf(row);
    if (manifest.sha256 !== text()) throw new Error('its content differs from the hash in its manifest');
    read.manifest = manifest;
  };
  const file = await readLines(path, onRow, { isHashed: true, charsMax: LINE_CHARS_MAX });
  const { head, manifest } = read;
  if (head === undefined) throw new Error('it is empty');
  if (manifest === undefined) throw new Error('its end is missing');
  const [found, listed] = [new Map(Object.entries(counts.byKey)), new Map(Object.entries(manifest.records))];
  for (const key of new Set([...found.keys(), ...listed.keys()]))
    if (found.get(key) !== listed.get(key))
      throw new Error(`it has not as many records of ${key.slice(0, 40)} as its manifest lists`);
  return { head, manifest, file };
}

/** Throws if the records are not those of the show in the head. */
function showIn(head: ExportHead, examiner: RecordExaminer): ExaminedShow {
  const show = examiner.finish();
  if (show.show !== head.show || show.state !== head.state) throw new Error('its head names another show');
  return show;
}

function examined(examiner: RecordExaminer, page: RecordPage, line: number): RecordPage {
  try {
    return examiner.add(page);
  } catch (error) {
    throw new Error(`line ${line}: ${(error as Error).message}`, { cause: error });
  }
}

/** Reads a whole file and checks it, without a server. Throws why it cannot be imported. */
export async function checkExport(path: string, examiner: RecordExaminer): Promise<ExportFile> {
  const header: RawRecord[] = [];
  const found = await readPages(path, (page, line) => {
    const { records } = examined(examiner, page, line);
    if (records.length < page.records.length) throw new Error(`line ${line}: a record of ${page.key} is there twice`);
    if (page.key === 'show') header.push(...records);
  });
  const { head, manifest } = found;
  const show = showIn(head, examiner);
  const unlisted = show.violations.find((violation) => !manifest.violations.includes(violation));
  if (unlisted !== undefined) throw new Error(`its books are wrong, and its manifest does not say so: ${unlisted}`);
  return { ...found, show, header };
}

/** Writes a file next to its place, reads it back, and gives it its name. The folder exists. */
export async function writeExport(
  path: string,
  head: Omit<ExportHead, 'kind' | 'format'>,
  pages: AsyncIterable<RecordPage>,
  examiner: RecordExaminer,
): Promise<ExportFile> {
  // Two exports to one path never write to one file.
  const partial = `${path}.${randomUUID()}${PARTIAL}`;
  try {
    const counts = new RecordCounts();
    const header: RawRecord[] = [];
    const whole: ExportHead = { kind: KIND, format: FORMAT, ...head };
    const written: { show?: ExaminedShow; manifest?: ExportManifest } = {};
    async function* rows(): AsyncGenerator<unknown[]> {
      yield [whole];
      for await (const page of pages) {
        // A scan of Redis may return a record twice.
        const fresh = examiner.add(page);
        counts.add(fresh);
        if (fresh.key === 'show') header.push(...fresh.records);
        if (fresh.records.length > 0) yield [[fresh.key, ...fresh.records]];
      }
    }
    const last = (sha256: string): ExportManifest => {
      written.show = showIn(whole, examiner);
      const { violations } = written.show;
      written.manifest = { kind: 'manifest', records: counts.byKey, sha256, violations };
      return written.manifest;
    };
    const file = await writeLines(partial, rows(), JSON.stringify, { last, level: GZIP_LEVEL });
    const { show, manifest } = written;
    if ((await hashFile(partial)) !== file.sha256 || manifest === undefined || show === undefined)
      throw new Error('read back, it differs from what was written');
    await giveName(partial, path);
    await removePartials(path).catch(() => {});
    await syncFolder(dirname(path));
    return { head: whole, manifest, show, header, file };
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/** Throws if another file has the name: a check before could not see what is made later. */
async function giveName(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // Without its own file, another export to this path was faster.
    if (code === 'EEXIST' || code === 'ENOENT')
      throw new StampedeError(failure('already_exists', `${path} was made meanwhile. Give another name.`));
    // A file system without hard links.
    const problem = await pathProblem(path);
    if (problem !== null) throw new StampedeError(problem);
    await rename(partial, path);
  }
}

/** Removes the other name and what killed runs left. An export to this path that runs fails. */
async function removePartials(path: string): Promise<void> {
  const start = `${basename(path)}.`;
  const isOwn = (name: string): boolean => name.startsWith(start) && PARTIAL_END.test(name.slice(start.length));
  for (const name of (await readdir(dirname(path))).filter(isOwn)) await rm(join(dirname(path), name), { force: true });
}

/** Returns why a file cannot be made at this path, or null. */
export async function pathProblem(path: string): Promise<Failure | null> {
  if ((await stat(path).catch(() => null)) !== null)
    return failure('already_exists', `${path} exists. Give another name, or delete it.`);
  const folder = await stat(dirname(path)).catch(() => null);
  if (folder?.isDirectory()) return null;
  return failure('not_found', `${dirname(path)} is no folder, so ${basename(path)} cannot be made there.`);
}
