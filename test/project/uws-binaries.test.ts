/** The native WebSocket binaries have the recorded bytes. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { ROOT } from '../support/root.ts';

const list = readFileSync(join(ROOT, 'scripts/uws-binaries.sha256'), 'utf8');
const recorded = new Map(
  [...list.matchAll(/^([^#\s]+)\s+(\S+)/gm)].map(([, digest = '', name = '']) => [name, digest]),
);
const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** The package has them in dist/bin, a git tag of upstream at its top level. */
function installedBinaries(): string[] {
  const home = join(ROOT, 'node_modules/uWebSockets.js');
  const folders = [join(home, 'dist/bin'), home].filter((folder) => existsSync(folder));
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.node'))
      .map((name) => join(folder, name)),
  );
}

t.test('the binary that this process loads has the recorded bytes', async (t) => {
  await import('uWebSockets.js');
  const wanted = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] };
  const loaded = sharedObjects.filter((name) => /uws_.*\.node$/.test(name));
  const names = loaded.map((file) => basename(file));
  t.same(names, [wanted]);
  t.ok(recorded.has(wanted), `scripts/uws-binaries.sha256 lists ${wanted}`);
  for (const file of loaded) t.equal(digestOf(file), recorded.get(wanted), file);
});

t.test('every recorded binary that is installed has the recorded bytes', async (t) => {
  const installed = installedBinaries();
  t.ok(installed.length > 0, 'the package is installed');
  for (const file of installed.filter((path) => recorded.has(basename(path))))
    t.equal(digestOf(file), recorded.get(basename(file)), basename(file));
});

t.test('a binary is recorded for each supported Node.js version on Linux and macOS', async (t) => {
  for (const abi of [115, 127])
    for (const machine of ['linux_x64', 'linux_arm64', 'darwin_x64', 'darwin_arm64'])
      t.match(recorded.get(`uws_${machine}_${abi}.node`), /^[0-9a-f]{64}$/, `${machine} ABI ${abi}`);
});

t.test('the lock file pins the package by integrity, or by commit for a git tag', async (t) => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { integrity?: string; resolved?: string }>;
  };
  const pinned = lock.packages['node_modules/uWebSockets.js'];
  t.ok(/^sha512-/.test(pinned?.integrity ?? '') || /#[0-9a-f]{40}$/.test(pinned?.resolved ?? ''));
});
