/** Embedded servers of a test: in this process, or below one that the test may kill. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import type { Test } from 'tap';
import { EmbeddedRedis } from '../../src/redis/index.ts';
import { programArguments } from '../support/root.ts';
import { holdsIn } from '../support/until.ts';

const PROGRAM = programArguments('test/redis/embedded-process');

/** A folder as `prepareFolder` makes it. */
export function dataFolder(t: Test, name = 'data'): string {
  const parent = mkdtempSync(join(tmpdir(), 'stampede-embedded-'));
  t.teardown(() => rmSync(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  mkdirSync(join(parent, name, 'redis'), { recursive: true });
  return join(parent, name, 'redis');
}

/** Starts a server that ends with the test. `logged` has the records of its logger. */
export async function startHere(t: Test, folder: string, appendfsync: 'everysec' | 'always' = 'everysec') {
  const { embedded, logged } = embeddedHere(t, folder, appendfsync);
  await embedded.start();
  return { embedded, logged, redis: clientOf(t, socketOf(embedded)) };
}

export function embeddedHere(t: Test, folder: string, appendfsync: 'everysec' | 'always' = 'everysec') {
  const logged: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const embedded = new EmbeddedRedis({ folder, node: 'here', logger, appendfsync });
  t.teardown(() => embedded.stop());
  return { embedded, logged };
}

export const socketOf = ({ target }: EmbeddedRedis): string => target.socketPath ?? '';

export function clientOf(t: Test, socket: string): Redis {
  const redis = new Redis({ path: socket, maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {});
  t.teardown(() => redis.disconnect());
  return redis;
}

export async function pidOf(redis: Redis): Promise<number> {
  return Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
}

/** Starts a process with an embedded server. `said` is its socket, or why there is none. */
export async function startElsewhere(
  t: Test,
  folder: string,
  options: {
    wrap?: readonly string[];
    env?: NodeJS.ProcessEnv;
    uid?: number;
    appendfsync?: 'always' | 'everysec';
  } = {},
) {
  const { wrap = [], env = {}, uid, appendfsync = 'everysec' } = options;
  const [command = '', ...args] = [...wrap, process.execPath, ...PROGRAM, folder, 'elsewhere', appendfsync];
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    env: { ...process.env, ...env },
    ...(uid === undefined ? {} : { uid }),
  });
  const ended = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [said] = (await once(child.stdout, 'data')) as [string];
  return { pid: child.pid ?? 0, child, ended, said: said.trim(), output: () => output };
}

/** The servers on a socket, and their guards. */
export function familyOf(socket: string) {
  // An empty text is in the command line of every server of this host.
  if (socket === '') return { servers: [], guards: [] };
  const servers = processesWith(` unixsocket:${socket}`).concat(processesWith(` --unixsocket ${socket}`));
  const isGuard = (command: string): boolean => servers.some(({ pid }) => command.endsWith(` sh ${pid}`));
  const guards = processesWith(' sh ').filter(({ command }) => command.startsWith('sh -c') && isGuard(command));
  return { servers: servers.map(({ pid }) => pid), guards: guards.map(({ pid }) => pid) };
}

/** Whether all of them end soon. A process that was killed needs a moment for it. */
export const endSoon = (pids: readonly number[]): Promise<boolean> =>
  holdsIn(3_000, () => pids.every((pid) => !existsSync(`/proc/${pid}/exe`)));

/** All processes whose command line contains a text, with that line. */
function processesWith(text: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return command.includes(text) ? [{ pid: Number(name), command }] : [];
      } catch {
        return [];
      }
    });
}
