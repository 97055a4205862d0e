/**
 * Compiles src/, bench/ and test/ to dist/, bundles the web pages to dist/src/web/public, and
 * copies the files that the compiler does not: Lua scripts, plain JavaScript. `--release` builds
 * what is published: no tests, no source maps, and the packages of the SDK and the load tester in
 * dist/packages. `--tests` adds bundled libraries, for a run of many tests.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlePages } from './pages.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// Built beside dist and renamed, so that a running engine never serves pages of half a build. The
// same depth keeps source maps valid.
const next = join(root, `.dist-${process.pid}`);
const dist = join(root, 'dist');

/** What interrupted builds left. */
function removeLeftovers() {
  for (const name of readdirSync(root)) {
    const pid = Number(name.match(/^\.dist-(\d+)/)?.[1]);
    if (pid > 0 && !isRunning(pid)) rmSync(join(root, name), { recursive: true, force: true });
  }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function stop(message) {
  rmSync(next, { recursive: true, force: true });
  console.error(`build: ${message}`);
  process.exit(1);
}

function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

removeLeftovers();
const luaFolder = join(root, 'src/redis/lua');
if (!filesBelow(luaFolder).some((file) => extname(file) === '.lua')) stop('src/redis/lua contains no Lua scripts');

const isRelease = process.argv.includes('--release');
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const flags = ['-p', join(root, 'tsconfig.build.json'), '--outDir', next, '--sourceMap', String(!isRelease)];
const compiled = spawnSync(process.execPath, [tsc, ...flags], { stdio: ['ignore', 'inherit', 'inherit'] });
if (compiled.status !== 0) stop('the compiler found errors');

// The first line of each program sets the options of Node.js.
for (const program of ['src/cli/main.js', 'bench/main.js'])
  if (existsSync(join(next, program))) chmodSync(join(next, program), 0o755);
cpSync(luaFolder, join(next, 'src/redis/lua'), { recursive: true });
for (const folder of ['bench', 'test'].filter((folder) => existsSync(join(root, folder))))
  cpSync(join(root, folder), join(next, folder), {
    recursive: true,
    filter: (file) => !['.ts', '.md', '.png'].includes(extname(file)) && !file.endsWith(join('bench', 'results')),
  });
// The pages are the bundles; only tests import the modules they are made of.
if (isRelease) rmSync(join(next, 'src/web'), { recursive: true, force: true });
await bundlePages(join(root, 'src/web'), join(next, 'src/web/public'), { sourceMaps: !isRelease });
if (isRelease) {
  rmSync(join(next, 'test'), { recursive: true, force: true });
  const { writePackages } = await import('./packages.mjs');
  writePackages(root, next);
}
if (process.argv.includes('--tests')) {
  const { bundleLibraries } = await import('./bundle-libraries.mjs');
  await bundleLibraries(root, join(next, 'node_modules'));
}

rmSync(`${next}-old`, { recursive: true, force: true });
if (existsSync(dist)) renameSync(dist, `${next}-old`);
renameSync(next, dist);
rmSync(`${next}-old`, { recursive: true, force: true });
