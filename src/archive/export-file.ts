/** The file of an exported show: a head, the records of all keys, and a manifest as last line. */
import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ExaminedShow, MovableState, RawRecord, RecordExaminer, RecordPage } from '../domain/transfer.ts';
import { syncFolder } from './folders.ts';
import { type FileEntry, hashLines, readLines, writeLines } from './lines.ts';

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

/** Throws if the row is not the first one of a file that this release can read. */
function headOf(row: unknown): ExportHead {
  if (!isObject(row) || row.kind !== KIND) throw new Error('it is not an exported show');
  const { format } = row;
  if (typeof format !== 'number') throw new Error('it has no format');
  if (format > FORMAT) throw new Error(`it has format ${format}; this release knows up to ${FORMAT}: use a newer one`);
  return row as unknown as ExportHead;
}

function manifestOf(row: Record<string, unknown>): ExportManifest {
  const { kind, records, sha256, violations } = row;
  const isManifest =
    kind === 'manifest' && isObject(records) && typeof sha256 === 'string' && Array.isArray(violations);
  if (!isManifest) throw new Error('its manifest is incomplete');
  return row as unknown as ExportManifest;
}

function pageOf(row: unknown): RecordPage {
  if (!Array.isArray(row) || typeof row[0] !== 'string') throw new Error('it has a line of another shape');
  const [key, ...records] = row as [string, ...RawRecord[]];
  return { key, records };
}

/** Counts records by key. */
export class RecordCounts {
  readonly byKey: Record<string, number> = {};
  total = 0;

  add({ key, records }: RecordPage): void {
    this.byKey[key] = (this.byKey[key] ?? 0) + records.length;
    this.total += records.length;
  }
}

/** Calls `onPage` for each page. Throws why the file cannot be read, or is not whole. */
export async function readPages(
  path: string,
  onPage: (page: RecordPage) => void | Promise<void>,
): Promise<Pick<ExportFile, 'head' | 'manifest' | 'file'>> {
  const counts = new RecordCounts();
  const read: { head?: ExportHead; manifest?: ExportManifest } = {};
  const onRow = (row: unknown, text: () => string): void | Promise<void> => {
    if (read.head === undefined) {
      read.head = headOf(row);
      return;
    }
    if (read.manifest !== undefined) throw new Error('it goes on behind its manifest');
    if (!isObject(row)) {
      const page = pageOf(row);
      counts.add(page);
      return onPage(page);
    }
    const manifest = manifestOf(row);
    if (manifest.sha256 !== text()) throw new Error('its content differs from the hash in its manifest');
    read.manifest = manifest;
  };
  const file = await readLines(path, onRow, { isHashed: true, charsMax: LINE_CHARS_MAX });
  const { head, manifest } = read;
  if (head === undefined) throw new Error('it is empty');
  if (manifest === undefined) throw new Error('its end is missing');
  for (const [key, records] of Object.entries({ ...counts.byKey, ...manifest.records }))
    if (counts.byKey[key] !== records) throw new Error(`it has not as many records of ${key} as its manifest lists`);
  return { head, manifest, file };
}

/** Throws if the records are not those of the show in the head. */
function showIn(head: ExportHead, examiner: RecordExaminer): ExaminedShow {
  const show = examiner.finish();
  if (show.show !== head.show || show.state !== head.state) throw new Error('its head names another show');
  return show;
}

/** Reads a whole file and checks it, without a server. Throws why it cannot be imported. */
export async function checkExport(path: string, examiner: RecordExaminer): Promise<ExportFile> {
  const header: RawRecord[] = [];
  const found = await readPages(path, (page) => {
    examiner.add(page);
    if (page.key === 'show') header.push(...page.records);
  });
  const { head, manifest } = found;
  const show = showIn(head, examiner);
  const unlisted = show.violations.find((violation) => !manifest.violations.includes(violation));
  if (unlisted !== undefined) throw new Error(`its books are wrong, and its manifest does not say so: ${unlisted}`);
  return { ...found, show, header };
}

/** Writes a file next to its place, reads it back, and renames it. The folder exists. */
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
        examiner.add(page);
        counts.add(page);
        if (page.key === 'show') header.push(...page.records);
        yield [[page.key, ...page.records]];
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
    const read = await hashLines(partial);
    if (read.file.sha256 !== file.sha256 || read.text !== manifest?.sha256 || show === undefined)
      throw new Error('read back, it differs from what was written');
    await rename(partial, path);
    await removePartials(path).catch(() => {});
    await syncFolder(dirname(path));
    return { head: whole, manifest, show, header, file };
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/** Removes what killed runs left. An export to the same path that still runs fails. */
async function removePartials(path: string): Promise<void> {
  const start = `${basename(path)}.`;
  const isOwn = (name: string): boolean => name.startsWith(start) && PARTIAL_END.test(name.slice(start.length));
  for (const name of (await readdir(dirname(path))).filter(isOwn)) await rm(join(dirname(path), name), { force: true });
}

/** Returns why a file cannot be made at this path, or null. */
export async function pathProblem(path: string): Promise<string | null> {
  if ((await stat(path).catch(() => null)) !== null) return `${path} exists. Give another name, or delete it.`;
  const folder = await stat(dirname(path)).catch(() => null);
  return folder?.isDirectory() ? null : `${dirname(path)} is no folder, so ${basename(path)} cannot be made there.`;
}
