/**
 * Compiles src/ and bench/ to dist/ and copies what the compiler does not: Lua scripts, the web
 * pages' static files, what lies ready as JavaScript.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// Built beside and moved into place, so an engine that serves pages out of it never sees half a
// build. Same depth: source maps stay right.
const next = join(root, `.dist-${process.pid}`);
const dist = join(root, 'dist');

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

const luaFolder = join(root, 'src/redis/lua');
if (!filesBelow(luaFolder).some((file) => extname(file) === '.lua'))
  stop('no Lua scripts in src/redis/lua: without them the engine decides nothing');

const tsc = join(root, 'node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', next], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (compiled.status !== 0) stop('the compiler found mistakes');

// The command runs by its first line, which says how much room it needs.
chmodSync(join(next, 'src/cli/main.js'), 0o755);
cpSync(luaFolder, join(next, 'src/redis/lua'), { recursive: true });
for (const folder of ['src/web', 'bench', 'test'].filter((folder) => existsSync(join(root, folder))))
  cpSync(join(root, folder), join(next, folder), {
    recursive: true,
    filter: (file) => !['.ts', '.md', '.png'].includes(extname(file)),
  });

rmSync(`${next}-old`, { recursive: true, force: true });
if (existsSync(dist)) renameSync(dist, `${next}-old`);
renameSync(next, dist);
rmSync(`${next}-old`, { recursive: true, force: true });
