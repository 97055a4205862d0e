/** What this project changes in ioredis still works with its version. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import t from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { LIMITS } from '../../src/limits.ts';
import { connectJobs, connectStore } from '../../src/redis/index.ts';
import { startCluster } from '../support/cluster.ts';

t.test('replies that arrived while this process stood still are read before a time-out (I11)', async (t) => {
  const redis = await startRedis();
  const store = await connectStore({ redis: redis.target, keyPrefix: 'stall:' });
  t.teardown(async () => {
    await store.close();
    await redis.stop();
  });
  const connections = async (): Promise<number> =>
    String(await redis.admin.client('LIST'))
      .trim()
      .split('\n').length;
  const before = await connections();
  const pings = [store.ping(), store.ping()];
  // The requests are on their way.
  await new Promise((resolve) => setImmediate(resolve));
  const until = performance.now() + LIMITS.redisCommandTimeoutMs + 500;
  while (performance.now() < until);
  t.match(await Promise.all(pings), [{ ok: true }, { ok: true }]);
  t.equal(store.trouble(), null);
  t.match(await store.ping(), { ok: true });
  t.equal(await connections(), before, 'no connection was replaced');
});

t.test('a client that is disconnected while it waits to connect again ends (I11)', async (t) => {
  const { client, close } = connectJobs(redisTarget(`redis://127.0.0.1:${await freePort()}`), false);
  client.on('error', () => {});
  const happens = (event: string) => new Promise((resolve) => client.once(event, resolve));
  await happens('reconnecting');
  const [queued, ended] = [client.get('key'), happens('end')];
  close();
  await t.rejects(queued, { message: 'Connection is closed.' });
  await ended;
  t.equal(client.status, 'end');
});

t.test('a client that ended leaves no timer, also when it is disconnected again', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const { client, close } = connectJobs(redis.target, false);
  await client.ping();
  const ended = new Promise((resolve) => client.once('end', resolve));
  close();
  await ended;
  await sleep(0);
  const before = timers();
  client.disconnect();
  t.equal(timers(), before);
});

t.test('a client of a cluster that is disconnected while it refreshes its slots refreshes no more', async (t) => {
  const servers = await startCluster();
  t.teardown(() => servers.stop());
  const client = new Cluster([...redisTarget(servers.url).servers], { slotsRefreshInterval: 20 });
  client.on('error', () => {});
  const ended = new Promise((resolve) => client.once('end', resolve));
  let refreshes = 0;
  const { refreshSlotsCache } = client;
  await new Promise((resolve) => client.once('ready', resolve));
  client.refreshSlotsCache = (done) => {
    refreshes += 1;
    client.disconnect();
    refreshSlotsCache.call(client, done);
  };
  await ended;
  await sleep(200);
  t.equal(refreshes, 1);
});
