/** `stampede verify --archive`: proves an archived show from its files alone. */
import { archiveFolder, verifyArchive } from '../archive/index.ts';
import type { ArchiveVerification } from '../domain/archive.ts';
import { fileReason, NOT_READ } from '../domain/file-errors.ts';
import { EXIT, print, printError } from './command.ts';

/** @param report returns the text for people. */
export async function verifyArchiveAt(
  path: string,
  report: ((found: ArchiveVerification) => string) | null,
): Promise<number> {
  try {
    const found = await verifyArchive(await archiveFolder(path));
    print(report === null ? JSON.stringify(found, null, 2) : report(found));
    return found.violations.length === 0 ? EXIT.ok : EXIT.failed;
  } catch (error) {
    const { path: missing = path } = error as NodeJS.ErrnoException;
    const reason = fileReason(error, { ...NOT_READ, ENOENT: `${missing} does not exist` });
    const { code = '' } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    const remedy = code.startsWith('Z_') ? '. The file is damaged: restore the folder from a backup.' : '';
    printError(`stampede verify: the archive ${path} cannot be read: ${reason}${remedy}`);
    return EXIT.failed;
  }
}
