/** A redis-server on a unix socket in a temporary folder. It is killed when this process exits. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { redisTarget } from '../../src/domain/redis-target.ts';

export type AppendMode = 'off' | 'everysec' | 'always';

interface RedisServerOptions {
  readonly appendfsync?: 'always' | 'everysec' | 'no';
  readonly appendonly?: boolean;
  readonly args?: readonly string[];
}

export type RedisServer = Awaited<ReturnType<typeof startRedis>>;

/** Before its first reply a server syncs its append-only file: seconds on a busy disk. */
const START_MS_MAX = 60_000;
/** The engine calls functions, compared servers call scripts. */
const SCRIPT_COMMANDS = ['fcall', 'fcall_ro', 'evalsha', 'eval'];
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class RedisProcess {
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  #error: unknown;

  constructor(settings: Readonly<Record<string, string | number>>, args: readonly string[] = []) {
    this.#args = [...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]), ...args];
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get #isAlive(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the first PONG. `probe` must reconnect by itself. */
  async start(probe: Redis): Promise<void> {
    const child = spawn('redis-server', this.#args, { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    child.once('error', (error) => {
      this.#error = error;
    });
    const until = Date.now() + START_MS_MAX;
    while (this.#error === undefined && this.#isAlive && Date.now() < until)
      if ((await Promise.race([probe.ping().catch(() => null), sleep(250, null)])) === 'PONG') return;
    child.kill('SIGKILL');
    const [exit, cause] = [`exit code ${child.exitCode}`, this.#error];
    throw new Error(`redis-server did not start within ${START_MS_MAX} ms (${exit}): is it installed?`, { cause });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || !this.#isAlive) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await ended;
  }
}

export async function startRedis(options: RedisServerOptions = {}) {
  const { appendfsync = 'everysec', appendonly = true, args = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), 'stampede-redis-'));
  const socketPath = join(folder, 'redis.sock');
  const settings = {
    port: 0,
    unixsocket: socketPath,
    dir: folder,
    save: '',
    appendonly: appendonly ? 'yes' : 'no',
    appendfsync,
    'maxmemory-policy': 'noeviction',
    loglevel: 'warning',
  };
  const server = new RedisProcess(settings, args);
  const clients: Redis[] = [];
  const connect = (retryMs: number, maxRetriesPerRequest: number | null = 20): Redis => {
    const client = new Redis({ path: socketPath, retryStrategy: () => retryMs, maxRetriesPerRequest });
    client.on('error', () => {});
    clients.push(client);
    return client;
  };
  const start = async (): Promise<void> => {
    const probe = connect(20, null);
    // ioredis would wait seconds for its end, were it disconnected a second time.
    clients.splice(clients.indexOf(probe), 1);
    await server.start(probe).finally(() => probe.disconnect());
  };
  let made: Redis | null = null;
  const admin = (): Redis => {
    made ??= connect(50, null);
    return made;
  };
  await start();
  return {
    url: `unix://${socketPath}`,
    target: redisTarget(`unix://${socketPath}`),
    socketPath,
    get pid(): number {
      return server.pid;
    },
    /** A connection for settings and statistics; closed with the server. */
    get admin(): Redis {
      return admin();
    },
    client: () => connect(50),
    signal: (name: NodeJS.Signals) => server.signal(name),
    /** Kills the server (SIGKILL) and starts it again on the same folder. */
    async crashAndRestart({ downMs = 0 } = {}): Promise<void> {
      await server.kill();
      if (downMs > 0) await sleep(downMs);
      await start();
    },
    /** Returns the calls of scripts since the last reset of the statistics, and their time. */
    async scriptCalls() {
      const counted = await commandStats(admin());
      const scripts = SCRIPT_COMMANDS.flatMap((name) => counted.get(name) ?? []);
      const sum = (field: 'calls' | 'usec'): number => scripts.reduce((total, one) => total + one[field], 0);
      return { calls: sum('calls'), usec: sum('usec') };
    },
    /** Commands run so far, calls by scripts included, without INFO. */
    async commandsRun() {
      const counted = [...(await commandStats(admin()))];
      return counted.reduce((sum, [name, { calls }]) => sum + (name === 'info' ? 0 : calls), 0);
    },
    async stop(): Promise<void> {
      for (const client of clients) client.disconnect();
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The commands have a core, and no fork makes the first write to each page of memory copy it. */
const UNDISTURBED = ['--server_cpulist', '0', '--bio_cpulist', '1', '--auto-aof-rewrite-percentage', '0'];

/** `undisturbed`: for the measurement of single commands. */
export const startBenchRedis = (append: AppendMode, { undisturbed = false } = {}): Promise<RedisServer> =>
  startRedis({
    ...(append === 'off' ? { appendonly: false, appendfsync: 'no' } : { appendfsync: append }),
    args: undisturbed && availableParallelism() > 1 ? UNDISTURBED : [],
  });

async function commandStats(client: Redis): Promise<Map<string, { calls: number; usec: number }>> {
  const lines = (await client.info('commandstats')).matchAll(/cmdstat_([^:]+):calls=(\d+),usec=(\d+)/g);
  return new Map([...lines].map(([, name = '', calls, usec]) => [name, { calls: Number(calls), usec: Number(usec) }]));
}
