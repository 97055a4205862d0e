/** A Redis Cluster of three masters on loopback ports, made for one test file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.ts';

const SLOTS = 16_384;
const MASTERS = 3;
/** The cluster bus listens on the port plus this. */
const BUS_OFFSET = 10_000;

export interface TestCluster {
  /** As REDIS_URL takes it. */
  readonly url: string;
  readonly ports: readonly number[];
  stop(): Promise<void>;
}

export async function startCluster(): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-cluster-'));
  const ports: number[] = [];
  const children: ChildProcess[] = [];
  for (let i = 0; i < MASTERS; i++) {
    const port = await freePort(BUS_OFFSET);
    ports.push(port);
    const files = ['--dir', folder, '--cluster-config-file', `nodes-${port}.conf`, '--appendfilename', `${port}.aof`, '--appenddirname', `aof-${port}`];
    const settings = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'yes',
      '--cluster-enabled',
      'yes',
      '--cluster-node-timeout',
      '2000',
      '--loglevel',
      'warning',
    ];
    children.push(spawn('redis-server', [...settings, ...files], { stdio: 'ignore' }));
  }
  const stop = async (): Promise<void> => {
    await Promise.all(
      children.map((child) => {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        return child.exitCode === null && child.signalCode === null ? ended : undefined;
      }),
    );
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL');
  });
  const clients = ports.map((port) => new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null }));
  for (const client of clients) client.on('error', () => {});
  await Promise.all(clients.map((client) => client.ping()));
  await Promise.all(
    clients.map((client, i) =>
      client.call('CLUSTER', 'ADDSLOTSRANGE', String(Math.floor((SLOTS * i) / MASTERS)), String(Math.floor((SLOTS * (i + 1)) / MASTERS) - 1)),
    ),
  );
  for (const [i, port] of ports.entries()) if (i > 0) await clients[0]?.call('CLUSTER', 'MEET', '127.0.0.1', String(port));
  const until = Date.now() + 20_000;
  for (const client of clients) {
    while (!String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok')) {
      if (Date.now() > until) throw new Error('the cluster did not form');
      await sleep(50);
    }
  }
  for (const client of clients) client.disconnect();
  return { url: ports.map((port) => `redis://127.0.0.1:${port}`).join(','), ports, stop };
}
