/** The folder of an archived show: its files, and the manifest with their hashes. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ShowIdentity, ShowTotals } from '../domain/archive.ts';
import { fileReason, NOT_READ } from '../domain/file-errors.ts';
import { nextFolder } from './folders.ts';
import type { FileEntry } from './lines.ts';

export const MANIFEST = 'manifest.json';
export const FORMAT = 1;
export const FILES = {
  ledger: 'ledger.jsonl.gz',
  orders: 'orders.jsonl.gz',
  events: 'events.jsonl.gz',
  summary: 'summary.jsonl.gz',
} as const;
export type FileName = keyof typeof FILES;
export const FILE_NAMES = Object.keys(FILES) as FileName[];

export interface Manifest {
  format: number;
  show: string;
  title: string;
  createdAt: number;
  endedAt: number;
  archivedAt: number;
  engine: string;
  /** Of the show, as in `ShowIdentity`. */
  origin?: string;
  /** Of the freeze that it was read under. */
  token: string;
  totals: ShowTotals;
  /** What was wrong with the books, at most `archiveProblemsListed` lines. */
  violations: string[];
  /** When a user was erased from it, and so the files were written again. */
  erasedAt?: number[];
  files: Record<FileName, FileEntry>;
}

export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const manifestText = (manifest: Manifest): string => `${JSON.stringify(manifest, null, 2)}\n`;

/** Returns the folder of an archive, given itself or any file in it. */
export async function archiveFolder(path: string): Promise<string> {
  return (await stat(path)).isDirectory() ? path : dirname(path);
}

/** Throws what is wrong with the manifest. */
export async function readManifest(folder: string): Promise<{ manifest: Manifest; sha256: string }> {
  const bytes = await readFile(join(folder, MANIFEST));
  let manifest: Manifest;
  try {
    manifest = JSON.parse(bytes.toString()) as Manifest;
  } catch {
    throw new Error(`${MANIFEST} is not JSON`);
  }
  if (typeof manifest?.format !== 'number') throw new Error(`${MANIFEST} has no format`);
  if (manifest.format > FORMAT)
    throw new Error(`the archive has format ${manifest.format}; this release knows up to ${FORMAT}: use a newer one`);
  const isComplete =
    typeof manifest.show === 'string' &&
    typeof manifest.totals === 'object' &&
    manifest.totals !== null &&
    Array.isArray(manifest.violations) &&
    FILE_NAMES.every((name) => typeof manifest.files?.[name]?.sha256 === 'string');
  if (!isComplete) throw new Error(`${MANIFEST} is incomplete`);
  return { manifest, sha256: sha256(bytes) };
}

/** Returns whether the archive is of this very show, and not of another one with its id. */
export const isOfShow = (manifest: Manifest, show: string, { createdAt, origin, token }: ShowIdentity): boolean =>
  manifest.show === show &&
  (manifest.token === token ||
    (manifest.createdAt === createdAt &&
      (manifest.origin === undefined || origin === null || manifest.origin === origin)));

/**
 * Returns whether the folder exists. Throws unless it has an archive of this show (`identity` null:
 * Redis has no such show). Any other folder is neither replaced nor deleted, because it may belong
 * to another installation.
 */
export async function checkOwner(folder: string, show: string, identity: ShowIdentity | null): Promise<boolean> {
  if ((await stat(folder).catch(() => null)) === null) return false;
  const found = await readManifest(folder).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error) && identity !== null && isOfShow(found.manifest, show, identity)) return true;
  throw new ForeignArchive(folder, show, found instanceof Error ? found : found.manifest, identity !== null);
}

/** A folder in the place of the archive of a show is not of this show. */
export class ForeignArchive extends Error {
  readonly folder: string;

  constructor(folder: string, show: string, found: Manifest | Error, isShowInRedis: boolean) {
    super(
      `The folder ${folder} ${contentOf(found)}${isShowInRedis ? '' : `, and there is no show ${show} in Redis`}. ` +
        'Nothing was changed. If it is left of a show that was deleted, or was put back, delete it or move it out of ' +
        `ARCHIVE_DIR${isShowInRedis ? ', and repeat the request' : ''}. If it belongs to another installation, give ` +
        'each one a separate ARCHIVE_DIR.',
    );
    this.folder = folder;
  }
}

/** Says what a folder is instead of the expected archive. */
function contentOf(found: Manifest | NodeJS.ErrnoException): string {
  if (!(found instanceof Error)) return `is the archive of another show, "${found.title}"`;
  if (found.code === 'ENOENT') return `is no archive (it has no ${MANIFEST})`;
  return `cannot be read (${fileReason(found, NOT_READ)})`;
}

/** Returns whether an archive is in the place of that of this show, and of another show. */
export async function isForeign(folder: string, show: string, identity: ShowIdentity): Promise<boolean> {
  for (const path of [join(folder, show), nextFolder(folder, show)]) {
    const known = await readManifest(path).catch(() => null);
    if (known !== null && !isOfShow(known.manifest, show, identity)) return true;
  }
  return false;
}
