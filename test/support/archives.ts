/** Archives in a temporary folder, which is removed after the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type ArchivesOptions, createArchives } from '../../src/archive/index.ts';
import { prepareFolder } from '../../src/config/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

export function temporaryFolder(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-archive-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const archivesOf = (store: ArchivesOptions['store'], folder: string, more: Partial<ArchivesOptions> = {}) =>
  createArchives({
    ...{ store, folder, prepareFolder: (path: string) => prepareFolder(path, 'ARCHIVE_DIR') },
    ...{ retentionMs: 60_000, version: '0.0.0-test', logger: createLogger({ level: 'silent' }) },
    ...more,
  });
