/**
 * The embedded default: a real redis-server child with an append-only file in a data folder,
 * reached through a unix socket. It ends with us; one that a killed engine left behind is shut down
 * in order before the next start, so its data is never opened twice.
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
  /** Ends the server in order; its append-only file is complete then. */
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

  // A socket path holds about 100 characters, a data folder may be deeper: the socket lives in a
  // private temporary folder.
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
  const guard = guardAgainstOurDeath(pid, socketFolder);
  const stop = async (): Promise<void> => {
    process.removeListener('exit', killOnExit);
    await end(child);
    guard.kill('SIGKILL');
    rmSync(leaseFile, { force: true });
    rmSync(socketFolder, { recursive: true, force: true });
  };
  try {
    await answering(socket, child);
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
  // A group of its own, so that Ctrl-C in a terminal reaches the engine first and Redis last.
  const child = spawn(
    binary,
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => logger?.info({ redis: text.toString().trim() }, 'embedded Redis says'));
  child.unref();
  return child;
}

/**
 * Ends the server in order also when we cannot: killed with SIGKILL, we run no handler, but the
 * system closes our end of this pipe.
 */
function guardAgainstOurDeath(pid: number, socketFolder: string): ChildProcess {
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

const missing = (): StampedeError =>
  new StampedeError(
    failure(
      'redis_unavailable',
      'Neither redis-server nor valkey-server is on the PATH. Install one (apt-get install redis-server, brew install redis) or set REDIS_URL.',
    ),
  );

async function answering(socket: string, child: ChildProcess): Promise<void> {
  const probe = new Redis({ path: socket, lazyConnect: true, retryStrategy: () => 25, maxRetriesPerRequest: null });
  probe.on('error', () => {});
  probe.connect().catch(() => {});
  const until = Date.now() + START_MS_MAX;
  try {
    for (;;) {
      if (child.exitCode !== null)
        throw new StampedeError(
          failure(
            'redis_unavailable',
            `The embedded Redis ended at start with code ${child.exitCode}; its log lines say why.`,
          ),
        );
      if ((await Promise.race([probe.ping().catch(() => null), sleep(200, null)])) === 'PONG') return;
      if (Date.now() > until)
        throw new StampedeError(
          failure('redis_unavailable', `The embedded Redis did not answer within ${START_MS_MAX} ms.`),
        );
    }
  } finally {
    probe.disconnect();
  }
}

async function end(child: ChildProcess): Promise<void> {
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

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * Is this pid still the server we started, and not a stranger that got its number? redis-server
 * names its socket in its title.
 */
function isOurs(pid: number, socket: string): boolean {
  const title = existsSync('/proc')
    ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    : spawnSync('ps', ['-o', 'command=', '-p', String(pid)]).stdout.toString();
  return title.includes(socket);
}

async function takeOver(leaseFile: string, { logger, dataDir }: EmbeddedOptions): Promise<void> {
  if (!existsSync(leaseFile)) return;
  let lease: Lease;
  try {
    lease = JSON.parse(readFileSync(leaseFile, 'utf8')) as Lease;
  } catch {
    rmSync(leaseFile, { force: true });
    return;
  }
  if (lease.enginePid !== process.pid && alive(lease.enginePid) && alive(lease.redisPid)) {
    throw new StampedeError(
      failure(
        'already_exists',
        `The data folder ${dataDir} is in use by process ${lease.enginePid}. Stop it, or give this engine another DATA_DIR.`,
      ),
    );
  }
  if (alive(lease.redisPid) && isOurs(lease.redisPid, lease.socket)) {
    logger?.warn({ pid: lease.redisPid }, 'a killed engine left its Redis behind; ending it in order');
    process.kill(lease.redisPid, 'SIGTERM');
    const until = Date.now() + STOP_MS_MAX;
    while (alive(lease.redisPid) && Date.now() < until) await sleep(25);
    if (alive(lease.redisPid)) process.kill(lease.redisPid, 'SIGKILL');
  }
  rmSync(leaseFile, { force: true });
}

/**
 * The URL of the embedded Redis that a running engine keeps on this data folder; null when none
 * runs.
 */
export function runningEmbeddedRedis(dataDir: string): string | null {
  try {
    const { redisPid, socket } = JSON.parse(
      readFileSync(join(resolve(dataDir, 'redis'), 'lease.json'), 'utf8'),
    ) as Lease;
    return alive(redisPid) && existsSync(socket) ? `unix://${socket}` : null;
  } catch {
    return null;
  }
}
