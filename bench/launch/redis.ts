/**
 * A redis-server of the bench's own, with the durability the figures are for, and what it has to
 * say about itself.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

export type AppendMode = 'off' | 'everysec' | 'always';

/** The engine's functions, and scripts of others. */
const SCRIPT_COMMANDS = ['fcall', 'fcall_ro', 'evalsha', 'eval'];

export interface BenchRedis {
  readonly url: string;
  readonly pid: number;
  readonly client: Redis;
  /** Calls of scripts since the last reset, and how long Redis was at them. */
  scriptCalls(): Promise<{ calls: number; usec: number }>;
  /** Commands run so far, those that scripts call included, but for the INFO that asks. */
  commandsRun(): Promise<number>;
  stop(): Promise<void>;
}

export async function startBenchRedis(mode: AppendMode): Promise<BenchRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-bench-'));
  const path = join(folder, 'redis.sock');
  const settings = {
    port: '0',
    unixsocket: path,
    dir: folder,
    save: '',
    appendonly: mode === 'off' ? 'no' : 'yes',
    appendfsync: mode === 'off' ? 'no' : mode,
    'maxmemory-policy': 'noeviction',
  };
  const child = spawn(
    'redis-server',
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    { stdio: 'ignore' },
  );
  const stopNow = (): void => void child.kill('SIGKILL');
  process.once('exit', stopNow);
  const client = new Redis({ path, retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on('error', () => {});
  while ((await Promise.race([client.ping().catch(() => null), sleep(500, null)])) !== 'PONG')
    if (child.exitCode !== null) throw new Error('redis-server ended at start');
  const commandCalls = async (): Promise<Map<string, { calls: number; usec: number }>> => {
    const calls = new Map<string, { calls: number; usec: number }>();
    for (const [, name, count, usec] of (await client.info('commandstats')).matchAll(
      /cmdstat_([^:]+):calls=(\d+),usec=(\d+)/g,
    ))
      calls.set(name as string, { calls: Number(count), usec: Number(usec) });
    return calls;
  };
  const scriptCalls = async (): Promise<{ calls: number; usec: number }> => {
    const counted = await commandCalls();
    const each = SCRIPT_COMMANDS.flatMap((name) => counted.get(name) ?? []);
    return {
      calls: each.reduce((sum, { calls }) => sum + calls, 0),
      usec: each.reduce((sum, { usec }) => sum + usec, 0),
    };
  };
  return {
    url: `unix://${path}`,
    pid: child.pid ?? 0,
    client,
    scriptCalls,
    commandsRun: async () =>
      [...(await commandCalls())].reduce((sum, [name, { calls }]) => sum + (name === 'info' ? 0 : calls), 0),
    async stop() {
      client.disconnect();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      stopNow();
      await ended;
      process.removeListener('exit', stopNow);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
