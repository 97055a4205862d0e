/** Creates DATA_DIR, its subfolders, and ARCHIVE_DIR. */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'its file system is read-only',
  ENOTDIR: 'it is not a folder',
  ENOENT: 'it cannot be created there',
  ENOSPC: 'its disk is full',
  EDQUOT: 'its disk quota is used up',
  ENAMETOOLONG: 'its path is too long',
  ELOOP: 'its path has a loop of symbolic links',
};

/** Returns the absolute path of the folder, which it creates. Throws why it cannot be used. */
export function prepareFolder(path: string, setting: 'DATA_DIR' | 'ARCHIVE_DIR' = 'DATA_DIR'): string {
  const folder = resolve(path);
  try {
    makeFolder(folder);
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return folder;
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    throw new Error(
      `The ${setting === 'DATA_DIR' ? 'data' : 'archive'} folder ${folder} cannot be used: ` +
        `${REASONS[code] ?? message}. Set ${setting} to a folder to which the engine may write.`,
      { cause },
    );
  }
}

/** Not `recursive`: below /proc, that option of mkdir never returns (Node.js 20). */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      if (statSync(folder).isDirectory()) return;
      throw Object.assign(new Error(`${folder} is not a folder`), { code: 'ENOTDIR' });
    }
    if (code !== 'ENOENT' || existsSync(dirname(folder))) throw error;
    makeFolder(dirname(folder));
    mkdirSync(folder, { mode: 0o700 });
  }
}
