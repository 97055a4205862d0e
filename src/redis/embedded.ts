/**
 * The embedded default: a redis-server with an append-only file in the data folder and a unix
 * socket. It ends with the engine, which starts it again if it ends alone.
 *
 * Two locks keep a second server from the same files. The engine has `engine.lock` while it runs.
 * The server has `server.lock`: it may outlive the engine if its guard was killed too.
 */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { MemorySize } from '../domain/health.ts';
import { type RedisTarget, redisTarget } from '../domain/redis-target.ts';
import { endText, isFinal, remedyFor, whyEnded } from './embedded-ends.ts';
import { type FileLock, lockFile } from './embedded-lock.ts';
import { EmbeddedServer, type ServerEnd, STOP_MS_MAX } from './embedded-server.ts';

export interface EmbeddedOptions {
  /** An existing folder for this server only, to which the process may write. */
  readonly folder: string;
  /** Names this engine to another one that is refused. */
  readonly node: string;
  readonly logger?: Logger;
  readonly appendfsync?: 'everysec' | 'always';
  readonly maxMemory?: MemorySize;
  /** How long another engine may take to leave the folder. */
  readonly patienceMs?: number;
}

/** What the engine that has the lock writes about itself. */
interface Holder {
  readonly node: string;
  readonly host: string;
  readonly pid: number;
  readonly since: string;
  readonly socket: string;
}

const SILENCE_MS_MAX = 30_000;
const RESTART_MS_MIN = 250;
const RESTART_MS_MAX = 8_000;
/** A server that ran this long is healthy: the next restart is quick again. */
const HEALTHY_MS = 60_000;
const RESTARTS_MAX = 5;
const SOCKET_CHECK_MS = 500;
const MAX_MEMORY: MemorySize = { share: 0.4 };
/** A server that is killed in its first start leaves a snapshot of nothing, and no manifest. */
const SNAPSHOT_BYTES_MIN = 512;
/** A process that was killed with SIGKILL needs some time to end, more on a busy host. */
const DYING_MS_MAX = 1_000;
/** How long the guard of a killed engine gets before another process shuts its server down. */
const GUARD_MS_MAX = 1_000;
/** The longest path of a unix socket on macOS; Linux allows 107 bytes. */
const SOCKET_BYTES_MAX = 103;
const SOCKET_FOLDER = 'stampede-redis-';

/** The folder is in use. `socket` is that of the server that uses it, if it can be reached. */
class FolderInUseError extends Error {
  readonly socket: string | null;

  constructor(folder: string, holder: Holder | null) {
    const name = holder ? ` (node ${holder.node}, pid ${holder.pid} on ${holder.host}, since ${holder.since})` : '';
    super(
      `The data folder ${dirname(folder)} is in use by another engine${name}. ` +
        'Stop it, or give this engine another DATA_DIR.',
    );
    // Its server may be restarting: the socket is missing then, its folder is not.
    this.socket = holder !== null && existsSync(dirname(holder.socket)) ? holder.socket : null;
  }
}

export class EmbeddedRedis {
  /** Resolves with the reason if the server cannot be kept running. Never rejects. */
  readonly failed: Promise<string>;
  readonly #options: EmbeddedOptions;
  readonly #stopping = new AbortController();
  #fail: (reason: string) => void = () => {};
  #lock: FileLock | null = null;
  #socket = '';
  #server: EmbeddedServer | null = null;
  #opened: Promise<FileLock> | null = null;
  #supervision: Promise<void> = Promise.resolve();
  #restarts = 0;

  constructor(options: EmbeddedOptions) {
    this.#options = options;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /** All servers of this engine have the same socket, so clients reconnect by themselves. */
  get target(): RedisTarget {
    return targetOf(this.#socket);
  }

  /** How often a server was started after another one had ended. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Resolves when the server replies. Rejects if it cannot be started, or at `stop`. */
  async start(): Promise<void> {
    this.#opened = this.#open();
    const serverLock = await this.#opened.catch((error: NodeJS.ErrnoException) => {
      if (error.code === undefined) throw error;
      throw new Error(cannotUse(this.#options.folder, error), { cause: error });
    });
    await new Promise<void>((resolve, reject) => {
      this.#supervision = this.#supervise(serverLock, resolve).then((reason) => {
        reject(new Error(reason ?? 'The embedded Redis was stopped.'));
        if (reason !== null) this.#fail(reason);
      }, reject);
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#opened?.catch(() => {});
    await this.#server?.stop();
    await this.#supervision;
    if (this.#lock === null) return;
    if (this.#socket !== '') {
      rmSync(holderFile(this.#options.folder), { force: true });
      removeSocket(this.#socket);
    }
    this.#lock.close();
    this.#lock = null;
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Takes both locks. Resolves with the one for the first server. */
  async #open(): Promise<FileLock> {
    const { folder, node, patienceMs = DYING_MS_MAX } = this.#options;
    this.#lock = await lockFile(join(folder, 'engine.lock'), patienceMs);
    const previous = readHolder(folder);
    if (this.#lock === null) throw new FolderInUseError(folder, previous);
    await refuseEarlierRelease(folder);
    const lock = await lockServer(folder, previous?.socket);
    try {
      if (previous) removeSocket(previous.socket);
      this.#socket = await chooseSocket(folder);
      const since = new Date().toISOString();
      const socket = dirname(this.#socket) === folder ? basename(this.#socket) : this.#socket;
      const holder: Holder = { node, host: hostname(), pid: process.pid, since, socket };
      writeFileSync(holderFile(folder), JSON.stringify(holder), { mode: 0o600 });
      return lock;
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** Runs servers until `stop` (returns null) or until it gives up (returns the reason). */
  async #supervise(firstLock: FileLock, onReady: () => void): Promise<string | null> {
    const { folder, logger } = this.#options;
    let lock: FileLock | null = firstLock;
    let restarts: number[] = [];
    let delayMs = RESTART_MS_MIN;
    let isFirst = true;
    let downSince = 0;
    let lastEnd = '';
    for (let start = 1; ; start++) {
      const lost = whyNotStarted(folder, isFirst);
      if (lost !== null) {
        lock?.close();
        return lost;
      }
      const startedAt = performance.now();
      let wasReady = false;
      const end = await this.#runServer(lock, isFirst, (pid) => {
        wasReady = true;
        if (isFirst) logger?.info({ pid, folder }, 'embedded Redis is ready');
        else {
          const downMs = Math.round(performance.now() - downSince);
          logger?.warn({ pid, ended: lastEnd, start, downMs }, 'embedded Redis restarted');
        }
        isFirst = false;
        onReady();
      });
      if (this.#isStopping) return null;
      const endedAt = performance.now();
      if (wasReady) downSince = endedAt;
      else logger?.warn({ ended: endText(end), start, redis: end.output }, 'embedded Redis ended while it started');
      lastEnd = endText(end);

      // What stops the first start will stop the next one, unless it was killed.
      if (isFinal(end) || (isFirst && end.signal === null)) return `The embedded Redis ${whyEnded(end, folder)}`;
      restarts = restarts.filter((at) => endedAt - at < HEALTHY_MS);
      if (restarts.length >= RESTARTS_MAX)
        return `The embedded Redis ended ${RESTARTS_MAX + 1} times in a minute. Last, it ${whyEnded(end, folder)}`;
      if (endedAt - startedAt > HEALTHY_MS) delayMs = RESTART_MS_MIN;
      await sleep(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      delayMs = Math.min(delayMs * 2, RESTART_MS_MAX);
      if (this.#isStopping) return null;
      restarts.push(performance.now());
      this.#restarts++;
      lock = null;
    }
  }

  /** Runs one server to its end. `lock` is taken first unless it is given. */
  async #runServer(lock: FileLock | null, isFirst: boolean, onReady: (pid: number) => void): Promise<ServerEnd> {
    const { folder, logger, appendfsync = 'everysec', maxMemory = MAX_MEMORY } = this.#options;
    // What a restart prints is logged only if it fails: a restart is one line.
    let level: 'info' | 'debug' = isFirst ? 'info' : 'debug';
    const onOutput = (redis: string): void => {
      if (redis.includes('aof-load-truncated'))
        logger?.warn({ redis }, 'embedded Redis: its file was cut at the end, what is before that was loaded');
      else logger?.[level]({ redis }, 'output of the embedded Redis');
    };
    try {
      const server = await EmbeddedServer.start(
        { folder, socket: this.#socket, appendfsync, maxMemory, onOutput },
        lock ?? (await lockServer(folder, this.#socket)),
      );
      this.#server = server;
      if (this.#isStopping) await server.stop();
      try {
        if (await server.ready(isFirst ? SILENCE_MS_MAX : Infinity)) {
          level = 'info';
          onReady(server.pid);
        }
      } catch (error) {
        await server.stop();
        throw error;
      }
      const watch = setInterval(() => this.#keepReachable(server, () => clearInterval(watch)), SOCKET_CHECK_MS);
      return await server.ended.finally(() => clearInterval(watch));
    } catch (error) {
      return { code: null, signal: null, output: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Programs that clean temporary folders remove sockets too. Only a new server makes one. */
  #keepReachable(server: EmbeddedServer, onGone: () => void): void {
    // A server that stops removes it, too.
    if (this.#isStopping || existsSync(this.#socket)) return;
    onGone();
    this.#options.logger?.warn({ socket: this.#socket }, 'embedded Redis: its socket was removed, so it is restarted');
    void server.stop();
  }
}

/** Returns why no server may be started on the folder, and what to do. */
function whyNotStarted(folder: string, isFirst: boolean): string | null {
  try {
    return whatIsLost(folder, isFirst);
  } catch (error) {
    return cannotUse(folder, error as Error);
  }
}

function cannotUse(folder: string, { message }: Error): string {
  const remedy = remedyFor({ code: null, signal: null, output: message }, folder);
  return `The embedded Redis cannot use ${folder} (${message}). ${remedy}`;
}

/**
 * A server that does not find its files starts empty, without sales, and nothing would report the
 * loss. Returns what is missing, and what to do.
 */
function whatIsLost(folder: string, isFirst: boolean): string | null {
  const aof = join(folder, 'appendonlydir');
  const files = existsSync(aof) ? readdirSync(aof) : null;
  if (files === null)
    return isFirst
      ? null
      : `The append-only file of the embedded Redis is gone from ${folder}. Restore it, then start the engine.`;
  const isData = (file: string): boolean => {
    const bytesMin = file.endsWith('.aof') ? 1 : file.endsWith('.rdb') ? SNAPSHOT_BYTES_MIN : Infinity;
    return statSync(join(aof, file)).size >= bytesMin;
  };
  if (files.some((file) => file.endsWith('.manifest')) || !files.some(isData)) return null;
  return (
    `${aof} has data but no manifest (*.manifest), so the embedded Redis would start empty. Restore the whole ` +
    'folder from a backup, or move it away to start without its data.'
  );
}

/** Starts the server, or uses that of the engine that has the folder now. */
export async function openEmbeddedRedis(
  options: EmbeddedOptions,
): Promise<{ target: RedisTarget; stop(): Promise<void> }> {
  const embedded = new EmbeddedRedis({ ...options, patienceMs: 0 });
  try {
    await embedded.start();
    return { target: embedded.target, stop: () => embedded.stop() };
  } catch (error) {
    await embedded.stop();
    if (!(error instanceof FolderInUseError)) throw error;
    const { socket, message } = error;
    if (socket === null)
      throw new Error(`${message} Its Redis cannot be reached from here: run the command where that engine runs.`);
    return { target: targetOf(socket), stop: async () => {} };
  }
}

const targetOf = (socketPath: string): RedisTarget => Object.freeze({ ...redisTarget('unix:///'), socketPath });

const holderFile = (folder: string): string => join(folder, 'engine.json');

/** The path of a socket in the data folder is relative: another process may see that elsewhere. */
function readHolder(folder: string): Holder | null {
  const holder = readJson(holderFile(folder)) as Holder | null;
  return holder && { ...holder, socket: resolve(folder, holder.socket) };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/** Takes the lock of the server. Shuts a server down that an engine left when it was killed. */
async function lockServer(folder: string, socket: string | undefined): Promise<FileLock> {
  const path = join(folder, 'server.lock');
  let lock = await lockFile(path, GUARD_MS_MAX);
  if (lock === null) {
    if (socket !== undefined) await ask(socket, (redis) => redis.call('SHUTDOWN', 'NOSAVE'));
    lock = await lockFile(path, STOP_MS_MAX + GUARD_MS_MAX);
  }
  if (lock !== null) return lock;
  throw new Error(
    `A redis-server of an engine that has ended still uses ${folder} and does not stop. ` +
      'Find it with "fuser -v" on that folder, end it, then start this engine again.',
  );
}

/** Throws if the server of a release that took no locks runs on the folder. */
async function refuseEarlierRelease(folder: string): Promise<void> {
  const file = join(folder, 'lease.json');
  const lease = readJson(file) as { socket: string } | null;
  if (lease !== null && (await ask(lease.socket, (redis) => redis.ping())) === 'PONG')
    throw new FolderInUseError(folder, null);
  rmSync(file, { force: true });
}

/** Sends one command. Returns null without a reply. */
async function ask(socket: string, command: (redis: Redis) => Promise<unknown>): Promise<unknown> {
  const options = { lazyConnect: true, enableReadyCheck: false, commandTimeout: 2_000, retryStrategy: () => null };
  const redis = new Redis({ ...options, path: socket });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await command(redis);
  } catch {
    return null;
  } finally {
    redis.disconnect();
  }
}

/**
 * Returns the path of the socket. In the data folder, so that other commands find it from wherever
 * they see that folder; else in a temporary folder: the path has few bytes, and some file systems
 * have no sockets.
 */
async function chooseSocket(folder: string): Promise<string> {
  const problems: string[] = [];
  for (const parent of new Set([folder, tmpdir(), '/tmp'])) {
    const isData = parent === folder;
    const longest = join(parent, isData ? '' : `${SOCKET_FOLDER}123456`, 'redis.sock');
    if (Buffer.byteLength(longest) > SOCKET_BYTES_MAX) {
      problems.push(`${parent}: the path is too long for a socket`);
      continue;
    }
    try {
      const socket = isData ? longest : join(mkdtempSync(join(parent, SOCKET_FOLDER)), 'redis.sock');
      rmSync(socket, { force: true });
      const server = createServer().listen(socket);
      await once(server, 'listening');
      server.close();
      return socket;
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(
    `No folder can have the unix socket of the embedded Redis (${problems.join('; ')}). ` +
      'Set TMPDIR to a folder with a short path, to which the engine may write.',
  );
}

/** Removes a socket and, if it was made for it, its folder. */
function removeSocket(socket: string): void {
  rmSync(socket, { force: true });
  if (basename(dirname(socket)).startsWith(SOCKET_FOLDER)) rmSync(dirname(socket), { recursive: true, force: true });
}
