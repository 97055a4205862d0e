/** What an error of the operating system means for a folder or file, in words. */

interface Meaning {
  /** Continues "it cannot be used: ". */
  readonly reason: string;
  /** What to do, if it is more than to choose another folder. */
  readonly remedy?: string;
}

const NOT_ALLOWED: Meaning = {
  reason: 'this user may not write there',
  remedy: 'Give the user of this process the permission to read and write it',
};

const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  EROFS: { reason: 'its file system is read-only', remedy: 'Mount it writable' },
  ENOSPC: { reason: 'its disk is full', remedy: 'Free some space' },
  EDQUOT: { reason: 'its disk quota is used up', remedy: 'Raise the quota or free some space' },
  ENOENT: { reason: 'it does not exist', remedy: 'Check the path, and that its disk is mounted' },
  ENOTDIR: { reason: 'it is not a folder' },
  EISDIR: { reason: 'it is a folder' },
  EIO: { reason: 'its disk fails', remedy: 'Check the disk' },
  ESTALE: { reason: 'its network share is gone', remedy: 'Mount it again' },
  EMFILE: { reason: 'this process has too many open files', remedy: 'Raise its limit (ulimit -n)' },
  ENAMETOOLONG: { reason: 'its path is too long' },
  ELOOP: { reason: 'its path has a loop of symbolic links' },
};

export type Reasons = Readonly<Record<string, string>>;
export type FolderSetting = 'ARCHIVE_DIR' | 'DATA_DIR';

/** Returns the code of an error of the operating system, such as EROFS, or null. */
function codeOf(error: unknown): string | null {
  const { code = '' } = error as NodeJS.ErrnoException;
  return Object.hasOwn(MEANINGS, code) ? code : null;
}

export const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '');

/** Returns why a folder or file cannot be used. `others` replaces the reasons of some codes. */
export function fileReason(error: unknown, others: Reasons = {}): string {
  const code = codeOf(error) ?? '';
  return others[code] ?? MEANINGS[code]?.reason ?? (error as Error).message;
}

/** Reasons of what is read. */
export const NOT_READ: Reasons = { EACCES: 'this user may not read it', EPERM: 'this user may not read it' };

/** A folder that cannot be used. The message says why, and what to do. */
export class FolderError extends Error {
  constructor(folder: string, setting: FolderSetting, cause: unknown, others: Reasons = {}) {
    const remedy = MEANINGS[codeOf(cause) ?? '']?.remedy;
    super(
      `The ${setting === 'DATA_DIR' ? 'data' : 'archive'} folder ${folder} cannot be used: ` +
        `${fileReason(cause, others)}. ${remedy === undefined ? 'Set' : `${remedy}, or set`} ${setting} ` +
        'to a writable folder.',
      { cause },
    );
  }
}

/** Returns a `FolderError` for an error of the operating system, and any other error as it is. */
export const asFolderError = (folder: string, setting: FolderSetting, error: unknown, others: Reasons = {}): Error =>
  codeOf(error) === null ? (error as Error) : new FolderError(folder, setting, error, others);
