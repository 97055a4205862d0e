/** Runs the `stampede` program as a child process. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { programArguments, ROOT } from '../support/root.ts';

const PROGRAM = programArguments('src/cli/main');
const READY_MS_MAX = 30_000;

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Serving {
  readonly pid: number;
  /** The fields of the "ready" log line. */
  readonly ready: {
    readonly gateway: string | null;
    readonly gatewayPort: number | null;
    readonly control: string | null;
    readonly controlPort: number | null;
  };
  readonly stderr: () => string;
  readonly stdout: () => string;
  signal(name: NodeJS.Signals): void;
  /** Resolves when the program has ended. */
  readonly finished: Promise<Finished>;
}

/** Returns an environment without the settings of the developer. */
function environmentWith(env: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, ...env };
}

function launch(
  args: readonly string[],
  env: Record<string, string>,
): { child: ChildProcess; output: { stdout: string; stderr: string }; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [...PROGRAM, ...args], {
    cwd: ROOT,
    env: environmentWith(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const finished = new Promise<Finished>((done) =>
    child.once('exit', (code, signal) => setTimeout(() => done({ code, signal, ...output }), 20)),
  );
  return { child, output, finished };
}

/** Runs a command and resolves when it has ended. */
export function run(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return launch(args, env).finished;
}

/** Starts `stampede serve` and waits until it is ready. The test's teardown kills it. */
export async function serve(t: Test, args: readonly string[], env: Record<string, string> = {}): Promise<Serving> {
  const { child, output, finished } = launch(['serve', '--gateway-port', '0', '--control-port', '0', ...args], {
    LOG_LEVEL: 'info',
    ...env,
  });
  const pid = child.pid ?? 0;
  t.teardown(async () => {
    const family = descendants(pid);
    child.kill('SIGKILL');
    await finished;
    // The guard of the embedded Redis stops it. Killing is for processes that a defect left.
    if (!(await eventually(() => !family.some(alive), 5_000))) for (const left of family) kill(left);
  });
  const until = Date.now() + READY_MS_MAX;
  for (;;) {
    const ready = readyLine(output.stdout);
    if (ready)
      return {
        pid,
        ready,
        stdout: () => output.stdout,
        stderr: () => output.stderr,
        signal: (name) => void child.kill(name),
        finished,
      };
    if (child.exitCode !== null || Date.now() > until)
      throw new Error(`the program is not ready (exit code ${child.exitCode}):\n${output.stderr}\n${output.stdout}`);
    await sleep(25);
  }
}

function readyLine(stdout: string): Serving['ready'] | null {
  for (const line of stdout.split('\n')) {
    if (!line.includes('"msg":"ready"')) continue;
    return JSON.parse(line) as Serving['ready'];
  }
  return null;
}

/** Returns the children of a process and their children, without the TypeScript compiler. */
export function descendants(pid: number): number[] {
  const table = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')
    .filter((line) => !line.includes('esbuild'))
    .map((line) => line.trim().split(/\s+/).slice(0, 2).map(Number));
  const found: number[] = [];
  const waiting = [pid];
  for (let parent = waiting.pop(); parent !== undefined; parent = waiting.pop()) {
    for (const [child = 0, of] of table) {
      if (of !== parent) continue;
      found.push(child);
      waiting.push(child);
    }
  }
  return found;
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // has ended
  }
}

/** Polls until the condition is true. Returns false after the timeout. */
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

/** The secrets of processes that share a Redis. */
export const SHARED_SECRETS = {
  AUTH_SECRET: 'a-secret-for-tests-of-thirty-two-bytes',
  API_KEYS: 'test:an-api-key-for-tests',
} as const;
