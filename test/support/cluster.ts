/**
 * A Redis Cluster of three masters on loopback ports, made for one test file: slots that move,
 * masters that die, a replica to take over.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import calculateSlot from 'cluster-key-slot';
import { Redis } from 'ioredis';
import { freePort } from '../../bench/launch/free-port.ts';

const SLOTS = 16_384;
const MASTERS = 3;
/** The cluster bus listens on the port plus this. */
const BUS_OFFSET = 10_000;
const NODE_TIMEOUT_MS = 2_000;
const FORM_MS_MAX = 20_000;
const KEYS_AT_ONCE = 100;

export interface ClusterNode {
  readonly port: number;
  /** For looking at the server; gives up with it. */
  readonly client: Redis;
  /** kill -9. */
  kill(): Promise<void>;
  /** On the same port and folder; resolves when it answers. */
  start(): Promise<void>;
}

export interface TestCluster {
  /** As REDIS_URL takes it. */
  readonly url: string;
  readonly ports: readonly number[];
  readonly masters: readonly ClusterNode[];
  /** The master that was given the show's slot at first. */
  ownerOf(show: string): ClusterNode;
  /** Adds a replica of the master and waits until it is in step. */
  addReplica(master: ClusterNode): Promise<ClusterNode>;
  /** Moves the show's slot and its keys; `pauseMs` is how long the slot stays half moved. */
  moveSlot(show: string, from: ClusterNode, to: ClusterNode, pauseMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startCluster(): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-cluster-'));
  const nodes: ServerNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.end()));
    rmSync(folder, { recursive: true, force: true });
  };
  const add = async (): Promise<ServerNode> => {
    const node = new ServerNode(await freePort(BUS_OFFSET), folder);
    nodes.push(node);
    await node.start();
    return node;
  };
  try {
    const masters: ServerNode[] = [];
    for (let i = 0; i < MASTERS; i++) masters.push(await add());
    await Promise.all(
      masters.map(({ client }, i) =>
        client.call('CLUSTER', 'ADDSLOTSRANGE', String(firstSlot(i)), String(firstSlot(i + 1) - 1)),
      ),
    );
    for (const { port } of masters.slice(1))
      await masters[0]?.client.call('CLUSTER', 'MEET', '127.0.0.1', String(port));
    for (const { client } of masters)
      await until(async () => String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    return {
      url: masters.map(({ port }) => `redis://127.0.0.1:${port}`).join(','),
      ports: masters.map(({ port }) => port),
      masters,
      ownerOf: (show) => masters.find((_, i) => slotOf(show) < firstSlot(i + 1)) as ServerNode,
      async addReplica(master) {
        const replica = await add();
        await replica.client.call('CLUSTER', 'MEET', '127.0.0.1', String(master.port));
        const id = String(await master.client.call('CLUSTER', 'MYID'));
        await until(() => replica.client.call('CLUSTER', 'REPLICATE', id).then(...YES_OR_NO));
        await until(async () => String(await replica.client.info('replication')).includes('master_link_status:up'));
        for (const { client } of masters)
          await until(async () => String(await client.call('CLUSTER', 'NODES')).includes(`:${replica.port}@`));
        return replica;
      },
      async moveSlot(show, from, to, pauseMs = 0) {
        const slot = String(slotOf(show));
        const [fromId, toId] = (await Promise.all([from, to].map(({ client }) => client.call('CLUSTER', 'MYID')))) as [
          string,
          string,
        ];
        await to.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
        await from.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
        const keys = (): Promise<string[]> =>
          from.client.call('CLUSTER', 'GETKEYSINSLOT', slot, String(KEYS_AT_ONCE)) as Promise<string[]>;
        const [first, ...rest] = await keys();
        // Half of it here and half of it there for a while, as a big slot is.
        await migrate(from, to, first === undefined ? [] : [first]);
        await sleep(pauseMs);
        await migrate(from, to, rest);
        for (let left = await keys(); left.length > 0; left = await keys()) await migrate(from, to, left);
        // The others hear of it by gossip, so whoever asks them meanwhile gets an old answer.
        for (const { client } of [to, from]) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const YES_OR_NO = [() => true, () => false] as const;
const firstSlot = (master: number): number => Math.floor((SLOTS * master) / MASTERS);
const slotOf = (show: string): number => calculateSlot(`{${show}}`);

async function migrate(from: ClusterNode, to: ClusterNode, keys: readonly string[]): Promise<void> {
  if (keys.length > 0)
    await from.client.call('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + FORM_MS_MAX; !(await holds()); await sleep(50))
    if (Date.now() > end) throw new Error('the cluster did not form');
}

class ServerNode implements ClusterNode {
  readonly port: number;
  readonly client: Redis;
  readonly #folder: string;
  #child: ChildProcess | null = null;

  constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
    this.client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null });
    this.client.on('error', () => {});
    process.once('exit', () => this.#child?.kill('SIGKILL'));
  }

  async start(): Promise<void> {
    const settings = { port: this.port, bind: '127.0.0.1', save: '', appendonly: 'yes', loglevel: 'warning' };
    const cluster = {
      'cluster-enabled': 'yes',
      'cluster-node-timeout': NODE_TIMEOUT_MS,
      'cluster-config-file': `nodes-${this.port}.conf`,
    };
    const files = {
      dir: this.#folder,
      appendfilename: `${this.port}.aof`,
      appenddirname: `aof-${this.port}`,
      dbfilename: `${this.port}.rdb`,
    };
    const args = Object.entries({ ...settings, ...cluster, ...files }).flatMap(([name, value]) => [
      `--${name}`,
      String(value),
    ]);
    this.#child = spawn('redis-server', args, { stdio: 'ignore' });
    await this.client.ping();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async end(): Promise<void> {
    this.client.disconnect();
    await this.kill();
  }
}
