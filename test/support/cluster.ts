/** A Redis Cluster of three masters on loopback ports, for one test file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import calculateSlot from 'cluster-key-slot';
import { Redis } from 'ioredis';
import { freePort } from '../../bench/launch/free-port.ts';
import { RedisProcess } from '../../bench/launch/redis-server.ts';
import { until as untilTrue } from './until.ts';

const SLOTS = 16_384;
const MASTERS = 3;
/** The cluster bus listens on the port plus this. */
const BUS_OFFSET = 10_000;

export interface ClusterOptions {
  /** Address that the nodes listen on and announce. */
  readonly host?: string;
  /** More settings of each node. */
  readonly settings?: (port: number) => Readonly<Record<string, string | number>>;
}

export type TestCluster = Awaited<ReturnType<typeof startCluster>>;

export class ClusterNode {
  readonly port: number;
  /** For the test; it stops with the cluster. */
  readonly client: Redis;
  readonly #process: RedisProcess;

  constructor(port: number, folder: string, { host, settings }: Required<ClusterOptions>) {
    this.port = port;
    const path = join(folder, `${port}.sock`);
    const password = String(settings(port)['requirepass'] ?? '');
    this.client = new Redis({ path, password, retryStrategy: () => 50, maxRetriesPerRequest: null });
    this.client.on('error', () => {});
    const files = { appendfilename: `${port}.aof`, appenddirname: `aof-${port}`, dbfilename: `${port}.rdb` };
    const cluster = { 'cluster-enabled': 'yes', 'cluster-node-timeout': 2_000 };
    const config = { 'cluster-config-file': `nodes-${port}.conf`, dir: folder, loglevel: 'warning' };
    const common = { port, bind: host, unixsocket: path, save: '', appendonly: 'yes' };
    this.#process = new RedisProcess({ ...common, ...cluster, ...config, ...files, ...settings(port) });
  }

  /** On the same port and folder. */
  start(): Promise<void> {
    return this.#process.start(this.client);
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  async end(): Promise<void> {
    this.client.disconnect();
    await this.kill();
  }

  async cluster(...args: string[]): Promise<string> {
    return String(await this.client.call('CLUSTER', ...args));
  }

  async keysIn(slot: string): Promise<string[]> {
    return (await this.client.call('CLUSTER', 'GETKEYSINSLOT', slot, '100')) as string[];
  }

  async migrate(to: ClusterNode, keys: readonly string[]): Promise<void> {
    if (keys.length > 0)
      await this.client.call('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys);
  }
}

export async function startCluster({ host = '127.0.0.1', settings = () => ({}) }: ClusterOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-cluster-'));
  const nodes: ClusterNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.end()));
    rmSync(folder, { recursive: true, force: true });
  };
  const add = async (): Promise<ClusterNode> => {
    const node = new ClusterNode(await freePort(BUS_OFFSET), folder, { host, settings });
    nodes.push(node);
    await node.start();
    return node;
  };
  try {
    const masters: ClusterNode[] = [];
    while (masters.length < MASTERS) masters.push(await add());
    for (const [i, node] of masters.entries())
      await node.cluster('ADDSLOTSRANGE', String(firstSlot(i)), String(firstSlot(i + 1) - 1));
    for (const { port } of masters.slice(1)) await masters[0]?.cluster('MEET', host, String(port));
    for (const node of masters) await until(async () => (await node.cluster('INFO')).includes('cluster_state:ok'));
    return {
      /** As REDIS_URL takes it. */
      url: masters.map(({ port }) => `redis://127.0.0.1:${port}`).join(','),
      ports: masters.map(({ port }) => port),
      masters,
      /** Returns the master that had the show's slot at first. */
      ownerOf: (show: string) => masters.find((_, i) => slotOf(show) < firstSlot(i + 1)) as ClusterNode,
      /** Adds a replica of the master and waits until it is in sync. */
      async addReplica(master: ClusterNode): Promise<ClusterNode> {
        const replica = await add();
        await replica.cluster('MEET', '127.0.0.1', String(master.port));
        const id = await master.cluster('MYID');
        const replicate = (): Promise<boolean> => replica.cluster('REPLICATE', id).then(Boolean, () => false);
        await until(replicate);
        await until(async () => (await replica.client.info('replication')).includes('master_link_status:up'));
        for (const node of masters)
          await until(async () => (await node.cluster('NODES')).includes(`:${replica.port}@`));
        return replica;
      },
      /** Moves the show's slot and its keys. For `pauseMs` only one of the keys is moved. */
      async moveSlot(show: string, from: ClusterNode, to: ClusterNode, pauseMs = 0): Promise<void> {
        const slot = String(slotOf(show));
        const toId = await to.cluster('MYID');
        await to.cluster('SETSLOT', slot, 'IMPORTING', await from.cluster('MYID'));
        await from.cluster('SETSLOT', slot, 'MIGRATING', toId);
        const [first, ...rest] = await from.keysIn(slot);
        // For a while the slot is split over both nodes, as a large slot is.
        await from.migrate(to, first === undefined ? [] : [first]);
        await sleep(pauseMs);
        await from.migrate(to, rest);
        for (let left = await from.keysIn(slot); left.length > 0; left = await from.keysIn(slot))
          await from.migrate(to, left);
        // The other masters learn it by gossip, and redirect to the old owner meanwhile.
        for (const node of [to, from]) await node.cluster('SETSLOT', slot, 'NODE', toId);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const firstSlot = (master: number): number => Math.floor((SLOTS * master) / MASTERS);
const until = (holds: () => Promise<boolean>): Promise<void> => untilTrue(holds, 'the cluster forms', 20_000);
const slotOf = (show: string): number => calculateSlot(`{${show}}`);
