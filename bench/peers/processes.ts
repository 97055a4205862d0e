/** Server processes: our Node programs, and installed programs. None outlives this process. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { COMPILED } from '../launch/program.ts';
import { type AppendMode, startBenchRedis } from '../launch/redis-server.ts';

const START_MS_MAX = 15_000;
const NO_SIGN_OF_LIFE = `no sign of life after ${START_MS_MAX / 1000} s`;
const STOP_MS_MAX = 3_000;
const POLL_MS = 20;
const LOG_CHARS_KEPT = 4_000;

export interface ServerProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a program of `servers/`. It sends `{port}` when it listens, and a signal ends it. */
export async function startServerProgram(name: string, args: readonly string[] = []): Promise<ServerProcess> {
  const program = fileURLToPath(new URL(`servers/${name}.${COMPILED ? 'js' : 'ts'}`, import.meta.url));
  const child = fork(program, args, {
    execArgv: COMPILED ? ['--max-semi-space-size=64'] : ['--import=tsx', '--max-semi-space-size=64'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const running = guard(name, child);
  const port = await running.unlessEnded(
    new Promise<number>((resolve) => child.once('message', (message) => resolve((message as { port: number }).port))),
  );
  return { child, pid: child.pid ?? 0, port, stop: running.stop };
}

/** The same with a dedicated Redis, whose socket path is an argument of the program. */
export async function startServerOnRedis(name: string, append: AppendMode) {
  const redis = await startBenchRedis(append);
  try {
    const server = await startServerProgram(name, [redis.url.replace('unix://', '')]);
    return {
      ...server,
      redis,
      async stop() {
        await server.stop();
        await redis.stop();
      },
    };
  } catch (error) {
    await redis.stop();
    throw error;
  }
}

export interface ForeignProgram {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  /** Runs as this user if we are root. */
  readonly uid?: number;
}

/** Resolves when the port accepts connections. */
export async function startForeignProgram({ name, command, args, port, uid }: ForeignProgram): Promise<ServerProcess> {
  const identity = uid === undefined || process.getuid?.() !== 0 ? {} : { uid, gid: uid };
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...identity });
  const running = guard(name, child);
  await running.unlessEnded(listening(port));
  return { child, pid: child.pid ?? 0, port, stop: running.stop };
}

function guard(name: string, child: ChildProcess) {
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-LOG_CHARS_KEPT);
  });
  const killNow = (): void => void child.kill('SIGKILL');
  process.once('exit', killNow);
  let reason = '';
  const ended = new Promise<void>((resolve) => {
    const end = (why: string): void => {
      reason = why;
      resolve();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(`it ended with ${signal ?? `code ${code}`}`));
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    if ((await Promise.race([ended.then(() => true), sleep(STOP_MS_MAX, false, { ref: false })])) === false) killNow();
    await ended;
    process.removeListener('exit', killNow);
  };
  return {
    stop,
    async unlessEnded<T>(promise: Promise<T>): Promise<T> {
      const failure = (why: string) => new Error(`${name} did not start: ${why}\n${log.trim()}`);
      try {
        return await Promise.race([
          promise,
          ended.then(() => Promise.reject(failure(reason))),
          sleep(START_MS_MAX, undefined, { ref: false }).then(() => Promise.reject(failure(NO_SIGN_OF_LIFE))),
        ]);
      } catch (error) {
        await stop();
        throw error;
      }
    },
  };
}

/** Bounded, because the caller may have given up. */
export async function listening(port: number): Promise<void> {
  const untilMs = performance.now() + START_MS_MAX;
  while (performance.now() < untilMs) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port }, () => resolve(true));
      socket.once('connect', () => socket.destroy());
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await sleep(POLL_MS, undefined, { ref: false });
  }
}

function succeeds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/** Servers are often outside of a user's PATH. */
const MORE_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

export function findProgram(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...MORE_FOLDERS];
  const paths = folders.map((folder) => join(folder, name));
  return paths.find((path) => succeeds(() => accessSync(path, constants.X_OK))) ?? null;
}

/** Whether a library is installed. Peers are development dependencies. */
export const hasLibrary = (name: string): boolean => succeeds(() => import.meta.resolve(name));
