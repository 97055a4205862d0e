/** `stampede bench`: runs the load tester, a separate program that no other command loads. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Command, EXIT, printError } from './command.ts';

/** bench/ is beside src/, in the sources and in a build. */
const PROGRAM = fileURLToPath(
  new URL(`../../bench/main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
);
const MISSING = `The load tester is not installed: ${PROGRAM} is missing.`;

const command = (argv: readonly string[]): string[] => [...process.execArgv, PROGRAM, ...argv];

function help(argv: readonly string[]): string {
  if (!existsSync(PROGRAM)) return MISSING;
  return spawnSync(process.execPath, command([...argv, '--help']), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).stdout.trimEnd();
}

/** Returns the exit code of the program, or 128 + the signal that ended it. */
function run(argv: readonly string[]): Promise<number> {
  if (!existsSync(PROGRAM)) {
    printError(`stampede bench: ${MISSING}`);
    return Promise.resolve(EXIT.failed);
  }
  const child = spawn(process.execPath, command(argv), { stdio: 'inherit' });
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
