/** A primary and a replica, watched by a real sentinel that fails over quickly. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../bench/launch/free-port.ts';
import { RedisProcess } from '../../bench/launch/redis-server.ts';
import { until } from './until.ts';

export const MASTER_NAME = 'main';

export interface SentinelOptions {
  readonly host?: string;
  /** More settings of servers and sentinels: TLS, users, passwords. */
  readonly settings?: (port: number) => Readonly<Record<string, string | number>>;
  readonly ofSentinels?: Readonly<Record<string, string | number>>;
  readonly ofServers?: Readonly<Record<string, string | number>>;
}

export async function startSentinels(options: SentinelOptions = {}) {
  const { host = '127.0.0.1', settings = () => ({}), ofSentinels = {}, ofServers = {} } = options;
  const folder = mkdtempSync(join(tmpdir(), 'stampede-sentinel-'));
  const nodes: Array<{ port: number; client: Redis; process: RedisProcess }> = [];
  const start = async (own: Readonly<Record<string, string | number>>, ...args: string[]) => {
    const port = await freePort();
    const path = join(folder, `${port}.sock`);
    const common = { port, bind: host, unixsocket: path, loglevel: 'warning', ...settings(port), ...own };
    const password = String(own['requirepass'] ?? '');
    const client = new Redis({ path, password, retryStrategy: () => 50, maxRetriesPerRequest: null });
    client.on('error', () => {});
    // A sentinel rewrites its file.
    const file = join(folder, `${port}.conf`);
    writeFileSync(
      file,
      Object.entries(common)
        .map(([name, value]) => `${name} ${value}\n`)
        .join(''),
    );
    const process = new RedisProcess({}, [file, ...args]);
    const node = { port, client, process };
    nodes.push(node);
    await process.start(client);
    return node;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map(({ process }) => process.kill()));
    for (const { client } of nodes) client.disconnect();
    rmSync(folder, { recursive: true, force: true });
  };
  const server = () =>
    start({ dir: folder, save: '""', appendonly: 'no', 'repl-diskless-sync-delay': 0, ...ofServers });
  try {
    const [primary, replica] = [await server(), await server()];
    await replica.client.replicaof(host, primary.port);
    const watch = {
      [`sentinel monitor ${MASTER_NAME}`]: `${host} ${primary.port} 1`,
      [`sentinel down-after-milliseconds ${MASTER_NAME}`]: 700,
      [`sentinel failover-timeout ${MASTER_NAME}`]: 5_000,
    };
    // One decides at once; several would have to elect a leader first.
    const sentinel = await start({ dir: folder, ...watch, ...ofSentinels }, '--sentinel');
    const knowsReplica = async (): Promise<boolean> => {
      const text = String(await sentinel.client.call('SENTINEL', 'REPLICAS', MASTER_NAME));
      return text.includes(`${replica.port}`) && text.includes('master-link-status,ok');
    };
    await until(knowsReplica, 'the sentinel knows the replica', 20_000);
    return { sentinel, primary, replica, ports: [await freePort(), sentinel.port], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
