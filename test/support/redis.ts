/**
 * A real redis-server of the test's own: unix socket, temporary folder, append-only file. It ends
 * with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/**
 * Before it answers, a server writes its append-only file through to the disk, which takes seconds
 * while others write much.
 */
const START_MS_MAX = 60_000;

export interface TestRedis {
  readonly url: string;
  readonly socketPath: string;
  readonly pid: number;
  /** A plain ioredis client for looking at keys; closed with the server. */
  client(): Redis;
  signal(name: NodeJS.Signals): void;
  /** kill -9 and start again on the same folder. */
  crashAndRestart(options?: { downMs?: number }): Promise<void>;
  stop(): Promise<void>;
}

export async function startRedis(
  options: { appendfsync?: 'always' | 'everysec' | 'no'; appendonly?: boolean; args?: string[] } = {},
): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-test-'));
  const socketPath = join(folder, 'redis.sock');
  const args = [
    '--port',
    '0',
    '--unixsocket',
    socketPath,
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    options.appendonly === false ? 'no' : 'yes',
    '--appendfsync',
    options.appendfsync ?? 'everysec',
    '--maxmemory-policy',
    'noeviction',
    '--loglevel',
    'warning',
    ...(options.args ?? []),
  ];
  const clients: Redis[] = [];
  let child: ChildProcess;

  const start = async (): Promise<void> => {
    child = spawn('redis-server', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    let trouble: unknown;
    child.once('error', (error) => {
      trouble = error;
    });
    const probe = new Redis({
      path: socketPath,
      lazyConnect: true,
      retryStrategy: () => 20,
      maxRetriesPerRequest: null,
    });
    probe.on('error', () => {});
    probe.connect().catch(() => {});
    const until = Date.now() + START_MS_MAX;
    let answered = false;
    while (!answered && trouble === undefined && child.exitCode === null && Date.now() < until)
      answered = (await Promise.race([probe.ping().catch(() => null), sleep(250, null)])) === 'PONG';
    probe.disconnect();
    if (answered) return;
    child.kill('SIGKILL');
    throw new Error(
      `redis-server did not start within ${START_MS_MAX} ms (exit code ${child.exitCode}): is it installed?`,
      { cause: trouble },
    );
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  };

  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  await start();
  return {
    url: `unix://${socketPath}`,
    socketPath,
    get pid() {
      return child.pid ?? 0;
    },
    client() {
      const client = new Redis({ path: socketPath, retryStrategy: () => 50 });
      client.on('error', () => {});
      clients.push(client);
      return client;
    },
    signal: (name) => void child.kill(name),
    async crashAndRestart({ downMs = 0 } = {}) {
      await end('SIGKILL');
      if (downMs > 0) await sleep(downMs);
      await start();
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await end('SIGKILL');
      process.removeListener('exit', onExit);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
