/** Creates DATA_DIR, its subfolders, and ARCHIVE_DIR. Finds out whether archives can be written. */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FolderError, type FolderSetting, fileReason, isDiskFull } from '../domain/file-errors.ts';

/** A missing folder is made. */
const NOT_MADE = { ENOENT: 'it cannot be created there' };

/** Returns the absolute path of the folder, which it creates. Throws why it cannot be used. */
export function prepareFolder(path: string, setting: FolderSetting = 'DATA_DIR'): string {
  const folder = resolve(path);
  try {
    makeFolder(folder);
    accessSync(folder, USED);
    return folder;
  } catch (error) {
    throw new FolderError(folder, setting, error, NOT_MADE);
  }
}

/** Marks a folder that has archives. */
const ARCHIVE_MARKER = '.stampede-archive';
const MARKER_TEXT = 'This folder has archives of Stampede. Without this file, no more are written.\n';

/** Returns what is wrong if a folder that should have archives has no marker, or null. */
export function missingMark(folder: string): { problem: string; remedy: string } | null {
  const marker = join(folder, ARCHIVE_MARKER);
  if (existsSync(marker)) return null;
  return {
    problem:
      `The archive folder ${folder} does not have the archives of this installation: its file ${ARCHIVE_MARKER} is ` +
      'missing.',
    remedy:
      'Mount its disk, or set ARCHIVE_DIR to the folder that has them. If new archives should be written here, make ' +
      `the file: touch ${marker}`,
  };
}

/**
 * Returns a function that prepares the folder of archives. Once it was there, or has archives, it
 * is not made again: an archive would be written to the mount point of a disk that is gone.
 */
export function archiveFolderKeeper(): (path: string, hasArchives?: boolean) => void {
  let wasThere = false;
  return (path, hasArchives = false) => {
    const unmarked = hasArchives ? missingMark(path) : null;
    if (unmarked !== null) throw new Error(`${unmarked.problem} ${unmarked.remedy}`);
    wasThere ||= existsSync(path);
    if (wasThere) {
      try {
        accessSync(path, USED);
      } catch (error) {
        throw new FolderError(path, 'ARCHIVE_DIR', error);
      }
    } else prepareFolder(path, 'ARCHIVE_DIR');
    wasThere = true;
    const marker = join(path, ARCHIVE_MARKER);
    if (!existsSync(marker)) writeFileSync(marker, MARKER_TEXT, { mode: 0o600, flush: true });
  };
}

const USED = constants.R_OK | constants.W_OK | constants.X_OK;

export interface ArchiveFolder {
  readonly archiveDir: string;
  /** ARCHIVE_DIR is not set. Then the folder may be made together with its parents. */
  readonly isArchiveDirDefault: boolean;
}

/**
 * Returns why archives cannot be written, or null. A trial is written into the folder, or into the
 * one in which it would be made, is renamed and removed: permissions say too little about a network
 * share. `isReadOnly`: only permissions are read. `mayBeFull`: a full disk is no reason.
 */
export function archiveFolderProblem(
  { archiveDir, isArchiveDirDefault }: ArchiveFolder,
  { isReadOnly = false, mayBeFull = false } = {},
): string | null {
  try {
    const folder = nearestFolder(archiveDir);
    // A missing parent is a misspelled path, or a disk that is not mounted.
    if (!isArchiveDirDefault && folder !== archiveDir && folder !== dirname(archiveDir))
      return `${archiveDir} cannot be used: the folder ${dirname(archiveDir)} does not exist`;
    accessSync(folder, USED);
    if (!isReadOnly) tryFolder(folder);
    return null;
  } catch (error) {
    if (mayBeFull && isDiskFull(error)) return null;
    return `${archiveDir} cannot be used: ${fileReason(error, NOT_MADE)}`;
  }
}

/** Returns how many bytes the engine may write to the disk of the folder, which may be missing. */
export function freeBytesAt(folder: string): number {
  const { bavail, bsize } = statfsSync(nearestFolder(folder));
  return bavail * bsize;
}

/** Returns the path, or the folder above it that exists. Throws if that is no folder. */
function nearestFolder(path: string): string {
  let at = path;
  while (lstatSync(at, { throwIfNoEntry: false }) === undefined) at = dirname(at);
  if (!statSync(at).isDirectory()) throw notAFolder(at);
  return at;
}

function tryFolder(folder: string): void {
  const trial = mkdtempSync(join(folder, '.stampede-'));
  const renamed = `${trial}.renamed`;
  try {
    writeFileSync(join(trial, 'file'), 'A trial of ARCHIVE_DIR, which may be deleted.\n', { flush: true });
    renameSync(trial, renamed);
  } finally {
    for (const path of [trial, renamed]) rmSync(path, { recursive: true, force: true });
  }
}

const notAFolder = (path: string): Error => Object.assign(new Error(`${path} is not a folder`), { code: 'ENOTDIR' });

/** Not `recursive`: below /proc, that option of mkdir never returns (Node.js 20). */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      if (statSync(folder).isDirectory()) return;
      throw notAFolder(folder);
    }
    if (code !== 'ENOENT' || existsSync(dirname(folder))) throw error;
    makeFolder(dirname(folder));
    mkdirSync(folder, { mode: 0o700 });
  }
}
