/** The engine of the previous release, from the tarball in test/fixtures/releases. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Jobs } from '../../src/jobs/jobs.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { COMPILED, ROOT } from './root.ts';

const FOLDER = join(ROOT, 'test/fixtures/releases');

let unpacked: ReturnType<typeof unpack> | null = null;

/** Unpacks it until this process ends. Its libraries are those of the repository. */
export function unpackPreviousRelease() {
  unpacked ??= unpack();
  return unpacked;
}

function unpack() {
  const [tarball = '', ...others] = readdirSync(FOLDER).filter((name) => name.endsWith('.tgz'));
  const [, version] = /^stampede-(.+)\.tgz$/.exec(tarball) ?? [];
  if (version === undefined || others.length > 0) throw new Error(`${FOLDER} must have one tarball of the engine`);
  const folder = mkdtempSync(join(tmpdir(), 'stampede-release-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  execFileSync('tar', ['-xzf', join(FOLDER, tarball), '-C', folder, '--strip-components=1']);
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  // Those that `scripts/build.mjs --tests` has bundled.
  if (COMPILED) symlinkSync(join(ROOT, 'dist/node_modules'), join(folder, 'dist/node_modules'));
  return { version, folder, program: [join(folder, 'dist/src/cli/main.js')] };
}

/** How it publishes: nodes must agree. */
export const PREVIOUS_MODES = { publish: 'sharded' } as const;

/** Connects a store of the previous release. The caller closes it. */
export async function connectPreviousStore(url: string, keyPrefix: string): Promise<ConnectedStore> {
  const { connectStore } = await import(join(unpackPreviousRelease().folder, 'dist/src/redis/index.js'));
  return connectStore({ url, keyPrefix });
}

/** Returns jobs of the previous release that are not started. */
export async function createPreviousJobs(store: ConnectedStore, url: string, keyPrefix: string): Promise<Jobs> {
  const { createJobs } = await import(join(unpackPreviousRelease().folder, 'dist/src/jobs/index.js'));
  return createJobs({ store, connection: { url }, keyPrefix, logger: createLogger({ level: 'silent' }) });
}
