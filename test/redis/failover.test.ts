/** A failover behind one name: the old primary lives on as a replica, and keeps its connections. */
import t from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { HOST } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';
import { startWhole } from './whole-store.ts';

/** A server on the unix socket and on a port. */
async function startServer() {
  const port = await freePort();
  const redis = await startRedis({ args: ['--port', String(port), '--repl-diskless-sync-delay', '0'] });
  t.teardown(() => redis.stop());
  const runId = /run_id:(\w+)/.exec(await redis.admin.info('server'))?.[1];
  return { port, redis, runId, admin: redis.admin };
}

t.test('after a failover behind one name, store, relay and jobs work on the new primary within 2 s', async (t) => {
  const [first, second] = [await startServer(), await startServer()];
  const proxy = await TcpProxy.to({ port: first.port });
  t.teardown(() => proxy.close());
  const { store, relays, opensSale } = await startWhole(t, redisTarget(proxy.redisUrl));
  await opensSale('before');
  await second.admin.replicaof('127.0.0.1', first.port);
  const isInSync = async () => (await second.admin.info('replication')).includes('master_link_status:up');
  await until(isInSync, 'the replica is in sync');

  await second.admin.replicaof('NO', 'ONE');
  await first.admin.replicaof('127.0.0.1', second.port);
  proxy.moveTo({ port: second.port });
  const movedAt = performance.now();
  const isAtSecond = async () => {
    await store.announce('gala', 'anything', HOST).catch(() => {});
    return store.trouble() === null && store.runId()?.startsWith(second.runId ?? '-') === true;
  };
  await until(isAtSecond, 'the store is at the new primary', 5_000);
  t.ok(performance.now() - movedAt < 2_000, 'the store, within 2 s');
  const backAt = performance.now();
  await opensSale('after');
  t.ok(performance.now() - backAt < 2_000 + 300, 'a job opens a sale within 2 s of its moment');
  await relays();
});
