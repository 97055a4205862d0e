/** A primary and its replica. They connect over TCP; the engine reaches them through a proxy. */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../bench/launch/free-port.ts';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import { until } from '../support/until.ts';

type AppendFsync = 'always' | 'everysec';
type Replica = RedisServer & { readonly tcpPort: number };

async function start(appendfsync: AppendFsync): Promise<Replica> {
  const tcpPort = await freePort();
  const args = ['--port', String(tcpPort), '--repl-diskless-sync-delay', '0'];
  return Object.assign(await startRedis({ appendfsync, args }), { tcpPort });
}

export class Replicas {
  readonly #servers: [primary: Replica, standby: Replica];

  private constructor(servers: [Replica, Replica]) {
    this.#servers = servers;
  }

  static async start(appendfsync: AppendFsync): Promise<Replicas> {
    const replicas = new Replicas([await start(appendfsync), await start(appendfsync)]);
    await replicas.follow();
    return replicas;
  }

  get primary(): RedisServer {
    return this.#servers[0];
  }

  get standby(): RedisServer {
    return this.#servers[1];
  }

  /** Makes the standby a replica. Resolves when it has all data. */
  async follow(): Promise<void> {
    const { admin } = this.standby;
    await admin.replicaof('127.0.0.1', this.#servers[0].tcpPort);
    const hasAllData = async () => (await admin.info('replication')).includes('master_link_status:up');
    await until(hasAllData, 'the replica has the data of its primary');
  }

  /** From now on the replica gets no writes. */
  async disconnect(): Promise<void> {
    await this.standby.admin.replicaof('127.0.0.1', 1);
  }

  /** Makes the standby the primary. The other server still takes itself for one. */
  async promote(): Promise<void> {
    await this.standby.admin.replicaof('NO', 'ONE');
    this.#servers.reverse();
  }

  /** The failover of Redis itself: writes wait until the replica has all, then the roles change. */
  async failOver(): Promise<void> {
    const { admin } = this.primary;
    await admin.call('FAILOVER', 'TO', '127.0.0.1', String(this.#servers[1].tcpPort), 'TIMEOUT', '5000');
    while (!(await admin.info('replication')).includes('role:slave')) await sleep(10);
    this.#servers.reverse();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
  }
}
