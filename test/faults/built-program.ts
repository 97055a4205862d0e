/**
 * The compiled program as it stood when the run began: compiled once per state of the sources, into
 * a folder of its own, so that processes start in half the time and nobody's build meanwhile pulls
 * files away under them.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { COMPILED, ROOT } from '../support/root.ts';

export { ROOT };

const CACHE = join(ROOT, 'node_modules/.cache/stampede-faults');
const SHIFTED_CLOCK = join(import.meta.dirname, 'shifted-clock.mjs');

function newestChange(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) newest = Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  return Math.round(newest);
}

let built: string | null = null;

/** The path of the `stampede` command, compiled; the same for as long as this process lives. */
export function builtProgram(): string {
  built ??= COMPILED ? join(ROOT, 'dist/src/cli/main.js') : build();
  return built;
}

function build(): string {
  const changedAt = newestChange(join(ROOT, 'src'));
  const home = join(CACHE, String(changedAt));
  const entry = join(home, 'dist/src/cli/main.js');
  if (existsSync(entry)) return entry;
  const draft = `${home}-${process.pid}`;
  mkdirSync(draft, { recursive: true });
  const compiler = [
    join(ROOT, 'node_modules/typescript/bin/tsc'),
    '-p',
    join(ROOT, 'tsconfig.build.json'),
    '--outDir',
    join(draft, 'dist'),
  ];
  const compiled = spawnSync('env', plainNode(compiler), { encoding: 'utf8' });
  if (compiled.status !== 0) {
    rmSync(draft, { recursive: true, force: true });
    throw new Error(`the sources do not compile:\n${compiled.stdout}\n${compiled.stderr}`);
  }
  cpSync(join(ROOT, 'src/redis/lua'), join(draft, 'dist/src/redis/lua'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(draft, 'package.json'));
  removeOld(changedAt);
  try {
    renameSync(draft, home);
  } catch {
    rmSync(draft, { recursive: true, force: true }); // another test file was faster
  }
  return entry;
}

/** Builds of older sources that nobody can be running any more. */
function removeOld(newest: number): void {
  const DAY_MS = 24 * 60 * 60 * 1000;
  for (const name of readdirSync(CACHE))
    if (Number.parseInt(name, 10) < newest - DAY_MS) rmSync(join(CACHE, name), { recursive: true, force: true });
}

/**
 * Arguments for `env`: the test runner hangs its loaders into every Node below it, which triples
 * what a process costs to start.
 */
const plainNode = (args: readonly string[]): string[] => ['-u', 'NODE_OPTIONS', process.execPath, ...args];

/**
 * Arguments for `env`, which becomes the program: the command, with a wall clock that is off by
 * `shiftMs` where asked for.
 */
export function commandLine(args: readonly string[], shiftMs = 0): string[] {
  return plainNode([...(shiftMs === 0 ? [] : ['--import', SHIFTED_CLOCK]), builtProgram(), ...args]);
}
