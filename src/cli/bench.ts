/** `stampede bench`: runs the load tester, a separate program that no other command loads. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Command, EXIT, printError } from './command.ts';

const INSTALL = 'The load tester is a separate package. Install it with: npm install @stampede/bench';

/** Returns the path of the load tester, beside this program or in an installed package. */
function findProgram(): string | null {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const local = fileURLToPath(new URL(`../../bench/main.${extension}`, import.meta.url));
  if (existsSync(local)) return local;
  for (const from of [import.meta.url, pathToFileURL(`${process.cwd()}/`)])
    try {
      return createRequire(from).resolve('@stampede/bench');
    } catch {
      // Not installed there.
    }
  return null;
}

function help(argv: readonly string[]): string {
  const program = findProgram();
  if (program === null) return INSTALL;
  return spawnSync(process.execPath, [...process.execArgv, program, ...argv, '--help'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).stdout.trimEnd();
}

/** Returns the exit code of the program, or 128 + the signal that ended it. */
function run(argv: readonly string[]): Promise<number> {
  const program = findProgram();
  if (program === null) {
    printError(`stampede bench: ${INSTALL}`);
    return Promise.resolve(EXIT.failed);
  }
  const child = spawn(process.execPath, [...process.execArgv, program, ...argv], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the whole process group; a second one would skip the drain.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

export const bench: Command = { help, run };
