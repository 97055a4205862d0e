/** One run of a redis-server on the data folder: its program, its end, and the guard beside it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import type { MemorySize } from '../domain/health.ts';
import type { FileLock } from './embedded-lock.ts';

export interface ServerOptions {
  readonly folder: string;
  readonly socket: string;
  readonly appendfsync: 'everysec' | 'always';
  readonly maxMemory: MemorySize;
  onOutput(text: string): void;
}

export interface ServerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines that it printed. */
  readonly output: string;
}

const PROGRAMS = ['redis-server', 'valkey-server'];
const VERSION_MIN = 7;
export const STOP_MS_MAX = 10_000;
const PING_MS = 25;
const OUTPUT_CHARS_MAX = 4_000;

/** Ends the server when the engine is killed: the kernel then closes its end of the pipe. */
const GUARD = `read -r nothing; kill -TERM "$1" 2>/dev/null
n=0; while kill -0 "$1" 2>/dev/null && [ $n -lt ${STOP_MS_MAX / 100} ]; do sleep 0.1; n=$((n+1)); done
kill -s KILL -- "-$1" 2>/dev/null`;
const GUARD_RETRY_MS = 1_000;

const INSTALL = 'Install one (apt-get install redis-server, brew install redis), or set REDIS_URL.';

/** A container may have less memory than the machine (cgroup). */
function bytesOf(size: MemorySize): number {
  if ('bytes' in size) return size.bytes;
  const limit = process.constrainedMemory();
  const bytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return Math.floor(bytes * size.share);
}

/** Returns the name of a program that is new enough. Throws why there is none. */
async function findProgram(): Promise<string> {
  const problems: string[] = [];
  for (const name of PROGRAMS) {
    try {
      const { stdout } = await promisify(execFile)(name, ['--version']);
      const version = /\bv=(\d+)[\d.]*/.exec(stdout);
      if (version === null || Number(version[1]) >= VERSION_MIN) return name;
      problems.push(`${name} on the PATH is version ${version[0].slice(2)}, but ${VERSION_MIN}.0 or newer is needed.`);
    } catch (error) {
      const { code, message, stderr = '' } = error as NodeJS.ErrnoException & { stderr?: string };
      if (code === 'ENOENT') continue;
      const why = code === 'EACCES' ? 'it is not executable' : stderr.trim() || message;
      problems.push(`${name} on the PATH does not run: ${why}.`);
    }
  }
  const found = problems.length > 0 ? problems.join(' ') : `Neither ${PROGRAMS.join(' nor ')} is on the PATH.`;
  throw new Error(`${found} ${INSTALL}`);
}

export class EmbeddedServer {
  readonly pid: number;
  readonly ended: Promise<ServerEnd>;
  readonly #child: ChildProcess;
  readonly #options: ServerOptions;
  #output = '';
  #guard: ChildProcess | null = null;
  #hasEnded = false;

  /** Starts a server that has the lock until it ends. Throws if none can be started. */
  static async start(options: ServerOptions, lock: FileLock): Promise<EmbeddedServer> {
    try {
      const program = await findProgram();
      // Programs that clean temporary folders may have removed it.
      mkdirSync(dirname(options.socket), { recursive: true, mode: 0o700 });
      return new EmbeddedServer(program, options, lock.fd);
    } finally {
      lock.close();
    }
  }

  private constructor(program: string, options: ServerOptions, lockFd: number) {
    const { folder, socket, appendfsync, maxMemory } = options;
    const settings = {
      port: '0',
      unixsocket: socket,
      unixsocketperm: '700',
      dir: folder,
      save: '',
      appendonly: 'yes',
      appendfsync,
      maxmemory: String(bytesOf(maxMemory)),
      'maxmemory-policy': 'noeviction',
      loglevel: 'warning',
    };
    // A separate process group, so that Ctrl-C in a terminal reaches only the engine.
    const child = spawn(
      program,
      Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      { stdio: ['ignore', 'pipe', 'pipe', lockFd], detached: true },
    );
    this.#child = child;
    this.#options = options;
    this.pid = child.pid ?? 0;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARS_MAX);
        options.onOutput(text.trim());
      });
    this.ended = new Promise((resolve) => {
      child.once('error', ({ message }) => {
        this.#end();
        resolve({ code: null, signal: null, output: message });
      });
      child.once('exit', () => this.#end());
      child.once('close', (code, signal) => resolve({ code, signal, output: this.#output.trim() }));
    });
    this.#guardIt();
  }

  #end(): void {
    this.#hasEnded = true;
    // A child that rewrites the append-only file still has the lock.
    signalGroup(this.pid, 'SIGKILL');
    this.#guard?.kill('SIGKILL');
  }

  /** Starts the guard, also again if another program killed it. */
  #guardIt(): void {
    if (this.#hasEnded || this.pid === 0) return;
    const guard = spawn('sh', ['-c', GUARD, 'sh', String(this.pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const startedAt = performance.now();
    guard.on('error', () => {});
    guard.once('exit', () => {
      const waitMs = performance.now() - startedAt < GUARD_RETRY_MS ? GUARD_RETRY_MS : 0;
      setTimeout(() => this.#guardIt(), waitMs).unref();
    });
    guard.stdin?.on('error', () => {});
    guard.unref();
    (guard.stdin as unknown as { unref?(): void } | null)?.unref?.();
    this.#guard = guard;
  }

  /**
   * Resolves with true when it replies, with false when it ended first. A server that loads its
   * data replies that it does; without any reply for `silenceMsMax` this rejects.
   */
  async ready(silenceMsMax: number): Promise<boolean> {
    const { socket } = this.#options;
    const options = { lazyConnect: true, enableReadyCheck: false, maxRetriesPerRequest: null };
    const probe = new Redis({ ...options, path: socket, retryStrategy: () => PING_MS });
    probe.on('error', () => {});
    probe.connect().catch(() => {});
    let heardAt = performance.now();
    try {
      for (;;) {
        const ping = probe.ping().catch(({ message }: Error) => message);
        const reply = await Promise.race([ping, this.ended, sleep(200, null)]);
        if (this.#hasEnded) return false;
        if (reply === 'PONG') return true;
        if (typeof reply === 'string' && reply.startsWith('LOADING')) {
          heardAt = performance.now();
          await sleep(PING_MS);
        }
        if (performance.now() - heardAt > silenceMsMax)
          throw new Error(`The embedded Redis did not reply within ${silenceMsMax / 1000} s.`);
      }
    } finally {
      probe.disconnect();
    }
  }

  /** Shuts the server down; its append-only file is then complete. */
  async stop(): Promise<void> {
    if (!this.#hasEnded) this.#child.kill('SIGTERM');
    const late = new AbortController();
    const kill = sleep(STOP_MS_MAX, undefined, { signal: late.signal }).then(() => this.#child.kill('SIGKILL'));
    await Promise.race([this.ended, kill.catch(() => {})]);
    late.abort();
    await this.ended;
  }
}

/** Sends a signal to a process group that may have ended. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    if (pid > 0) process.kill(-pid, signal);
  } catch {
    // Nothing is left of it.
  }
}
