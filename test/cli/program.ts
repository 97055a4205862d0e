/** The `stampede` command as a child process: its output, its end, and the processes it leaves. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { EngineProcess, type Finished, Program } from '../../bench/launch/engine-process.ts';
import { programArguments } from '../support/root.ts';

const PROGRAM = programArguments('src/cli/main');

/** The fields of the log line `ready`. */
type Ready = Record<'gateway' | 'control', string | null> &
  Record<'gatewayPort' | 'controlPort' | 'metricsPort', number | null>;

/** The environment of the developer must not matter. */
export function environmentWith(env: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, ...env };
}

/** Runs a command to its end. */
export const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Finished> =>
  new Program({ name: 'stampede', command: [...PROGRAM, ...args], env: environmentWith(env) }).finished;

/** Starts `stampede serve` and waits until it is ready. It and its children end with the test. */
export async function serve(t: Test, args: readonly string[], env: Record<string, string> = {}) {
  const engine = new EngineProcess({
    name: 'the program',
    command: [...PROGRAM, 'serve', '--gateway-port', '0', '--control-port', '0', ...args],
    env: environmentWith({ LOG_LEVEL: 'info', ...env }),
  });
  t.teardown(async () => {
    const family = descendants(engine.pid);
    await engine.kill();
    // The guard of the embedded Redis stops it in order.
    if (!(await eventually(() => !family.some(alive), 5_000))) for (const left of family) kill(left, 'SIGKILL');
  });
  await engine.start();
  const { child, output, finished } = engine.program;
  // The log line may arrive after the notice on stderr.
  const readyLine = (): string | undefined => output.stdout.split('\n').find((line) => line.includes('"msg":"ready"'));
  await eventually(() => readyLine()?.endsWith('}') === true);
  const ready = readyLine();
  if (ready === undefined) throw new Error(`the program logged no line "ready":\n${output.stdout}`);
  return {
    pid: engine.pid,
    ready: JSON.parse(ready) as Ready,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    signal: (name: NodeJS.Signals) => void child.kill(name),
    finished,
  };
}

/** All descendants of a process, without the compiler of TypeScript sources. */
export function descendants(pid: number): number[] {
  const table = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')
    .filter((line) => !line.includes('esbuild'))
    .map((line) => line.trim().split(/\s+/).slice(0, 2).map(Number));
  const found = [pid];
  for (const parent of found) for (const [child = 0, of] of table) if (of === parent) found.push(child);
  return found.slice(1);
}

/** Sends a signal. Returns false if the process has ended. */
function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

export const alive = (pid: number): boolean => kill(pid, 0);

/** Waits until the condition holds; false when it did not in time. */
export async function eventually(condition: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<boolean> {
  const until = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > until) return false;
    await sleep(50);
  }
  return true;
}

export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return folder;
}

/** For processes that share a Redis. */
export const SHARED_SECRETS = {
  AUTH_SECRET: 'a-secret-for-tests-of-thirty-two-bytes',
  API_KEYS: 'test:an-api-key-for-tests',
} as const;
