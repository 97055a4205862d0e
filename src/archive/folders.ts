/** Names and moves of archive folders. */
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** Ends the name of a folder that is not complete. */
export const PARTIAL = '.partial';
/** Of a folder that an erasure writes, so that a run that archives does not remove it. */
export const ERASURE_PARTIAL = `.erasure${PARTIAL}`;

/** A complete folder that is about to take the place of the archive of the show (rewrite.ts). */
export const nextFolder = (folder: string, showId: string): string => join(folder, `${showId}.next`);

/** Renames a folder. Returns false if the target exists. */
export async function moveInto(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

/** Makes names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
