/**
 * `stampede bench`: the load tester. A program of its own, beside the engine in the same package,
 * so nothing of it is loaded by an engine that serves.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Command, complain, EXIT } from './command.ts';

/** bench/ lies beside src/, in the sources and in a build. */
const PROGRAM = fileURLToPath(
  new URL(`../../bench/main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
);
const MISSING = `The load tester is not part of this installation: ${PROGRAM} is missing.`;

const command = (argv: readonly string[]): string[] => [...process.execArgv, PROGRAM, ...argv];

function help(argv: readonly string[]): string {
  if (!existsSync(PROGRAM)) return MISSING;
  return spawnSync(process.execPath, command([...argv, '--help']), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).stdout.trimEnd();
}

/** The exit code is the program's own; a signal that ended it is told as shells do. */
function run(argv: readonly string[]): Promise<number> {
  if (!existsSync(PROGRAM)) {
    complain(`stampede bench: ${MISSING}`);
    return Promise.resolve(EXIT.failed);
  }
  const child = spawn(process.execPath, command(argv), { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      // A terminal tells the whole group of Ctrl-C: told twice, the program would take it for
      // impatience.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

export const bench: Command = { help, run };
