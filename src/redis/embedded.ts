/**
 * The embedded default: a redis-server child with an append-only file in a data folder and a unix
 * socket. It ends with the engine; one that a killed engine left is shut down before the next
 * start, so two servers never open the same data.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { failure, StampedeError } from '../protocol/codes.ts';

export interface EmbeddedRedis {
  readonly url: string;
  readonly pid: number;
  /** Shuts the server down; its append-only file is then complete. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  dataDir: string;
  logger?: Logger;
  appendfsync?: 'everysec' | 'always';
}

const START_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;

interface Lease {
  enginePid: number;
  redisPid: number;
  socket: string;
}

export async function startEmbeddedRedis(options: EmbeddedOptions): Promise<EmbeddedRedis> {
  const folder = resolve(options.dataDir, 'redis');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const leaseFile = join(folder, 'lease.json');
  await takeOver(leaseFile, options);

  // In a temporary folder, because a socket path has at most about 100 characters.
  const socketFolder = mkdtempSync(join(tmpdir(), 'stampede-redis-'));
  chmodSync(socketFolder, 0o700);
  const socket = join(socketFolder, 'redis.sock');
  const child = launch(folder, socket, options);
  const { pid } = child;
  if (!pid) throw missing();
  writeFileSync(leaseFile, JSON.stringify({ enginePid: process.pid, redisPid: pid, socket } satisfies Lease), {
    mode: 0o600,
  });

  const killOnExit = (): void => void child.kill('SIGTERM');
  process.once('exit', killOnExit);
  const guard = startGuard(pid, socketFolder);
  const stop = async (): Promise<void> => {
    process.removeListener('exit', killOnExit);
    await shutDown(child);
    guard.kill('SIGKILL');
    rmSync(leaseFile, { force: true });
    rmSync(socketFolder, { recursive: true, force: true });
  };
  try {
    await untilReady(socket, child);
  } catch (error) {
    await stop();
    throw error;
  }
  options.logger?.info({ pid, folder }, 'embedded Redis is ready');
  return { url: `unix://${socket}`, pid, stop };
}

function launch(folder: string, socket: string, { appendfsync = 'everysec', logger }: EmbeddedOptions): ChildProcess {
  const binary = ['redis-server', 'valkey-server'].find(
    (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );
  if (!binary) throw missing();
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync,
    'maxmemory-policy': 'noeviction',
    loglevel: 'warning',
  };
  // A separate process group, so that Ctrl-C in a terminal reaches only the engine.
  const child = spawn(
    binary,
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) =>
      logger?.info({ redis: text.toString().trim() }, 'output of the embedded Redis'),
    );
  child.unref();
  return child;
}

/** Shuts the server down if the engine is killed: the system then closes its end of this pipe. */
function startGuard(pid: number, socketFolder: string): ChildProcess {
  const guard = spawn(
    'sh',
    ['-c', 'cat >/dev/null; kill -TERM "$1" 2>/dev/null; rm -rf "$2"', 'sh', String(pid), socketFolder],
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true },
  );
  guard.on('error', () => {});
  guard.stdin?.on('error', () => {});
  guard.unref();
  (guard.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return guard;
}

const unavailable = (message: string): StampedeError => new StampedeError(failure('redis_unavailable', message));

const missing = (): StampedeError =>
  unavailable(
    'Neither redis-server nor valkey-server is on the PATH. ' +
      'Install one (apt-get install redis-server, brew install redis) or set REDIS_URL.',
  );

async function untilReady(socket: string, child: ChildProcess): Promise<void> {
  const probe = new Redis({ path: socket, lazyConnect: true, retryStrategy: () => 25, maxRetriesPerRequest: null });
  probe.on('error', () => {});
  probe.connect().catch(() => {});
  const until = Date.now() + START_MS_MAX;
  try {
    for (;;) {
      if (child.exitCode !== null)
        throw unavailable(`The embedded Redis ended at start with code ${child.exitCode}; see its output in the log.`);
      if ((await Promise.race([probe.ping().catch(() => null), sleep(200, null)])) === 'PONG') return;
      if (Date.now() > until) throw unavailable(`The embedded Redis did not reply within ${START_MS_MAX} ms.`);
    }
  } finally {
    probe.disconnect();
  }
}

async function shutDown(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  const timer = new AbortController();
  const late = sleep(STOP_MS_MAX, false, { signal: timer.signal }).catch(() => false);
  const inTime = await Promise.race([ended.then(() => true), late]);
  timer.abort();
  if (!inTime) {
    child.kill('SIGKILL');
    await ended;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Returns whether this pid is still that server: redis-server has its socket in its title. */
function isOurs(pid: number, socket: string): boolean {
  const title = existsSync('/proc')
    ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    : spawnSync('ps', ['-o', 'command=', '-p', String(pid)]).stdout.toString();
  return title.includes(socket);
}

function readLease(file: string): Lease | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Lease;
  } catch {
    return null;
  }
}

async function takeOver(leaseFile: string, { logger, dataDir }: EmbeddedOptions): Promise<void> {
  const lease = readLease(leaseFile);
  if (lease === null) return rmSync(leaseFile, { force: true });
  if (lease.enginePid !== process.pid && isAlive(lease.enginePid) && isAlive(lease.redisPid)) {
    const text = `The data folder ${dataDir} is in use by process ${lease.enginePid}.`;
    throw new StampedeError(failure('already_exists', `${text} Stop it, or give this engine another DATA_DIR.`));
  }
  if (isAlive(lease.redisPid) && isOurs(lease.redisPid, lease.socket)) {
    logger?.warn({ pid: lease.redisPid }, 'shutting down the Redis of a killed engine');
    process.kill(lease.redisPid, 'SIGTERM');
    const until = Date.now() + STOP_MS_MAX;
    while (isAlive(lease.redisPid) && Date.now() < until) await sleep(25);
    if (isAlive(lease.redisPid)) process.kill(lease.redisPid, 'SIGKILL');
  }
  rmSync(leaseFile, { force: true });
}

/** Returns the URL of the embedded Redis that an engine runs on this data folder, or null. */
export function runningEmbeddedRedis(dataDir: string): string | null {
  const lease = readLease(join(resolve(dataDir, 'redis'), 'lease.json'));
  return lease && isAlive(lease.redisPid) && existsSync(lease.socket) ? `unix://${lease.socket}` : null;
}
