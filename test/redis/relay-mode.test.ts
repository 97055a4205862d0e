/** All nodes of an installation publish in one mode: those that live decide. */
import t, { type Test } from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { createStore, type StoreOptions } from '../../src/redis/index.ts';
import { RELAY_KEPT_MS } from '../../src/redis/relay-mode.ts';
import { until } from '../support/until.ts';

const redis = await startRedis();
t.teardown(() => redis.stop());
t.jobs = 3;
const client = redis.client();

/** Returns a store that has found out whether it can use Redis. */
async function node(t: Test, keyPrefix: string, publish: StoreOptions['publish'] = 'auto') {
  const store = createStore({ redis: redis.target, keyPrefix, publish });
  t.teardown(() => store.close());
  await until(() => store.trouble()?.state !== 'connecting', 'the first outcome');
  return store;
}

t.test('a node joins the mode of those that live, or refuses by name', async (t) => {
  const first = await node(t, 'a:', 'classic');
  t.equal(first.redisCapabilities()?.publish, 'classic');
  t.equal((await node(t, 'a:')).redisCapabilities()?.publish, 'classic', 'it prefers sharded');
  const other = await node(t, 'a:', 'sharded');
  t.match(other.trouble(), { state: 'other_relay', reason: /classic.*sharded/, remedy: /REDIS_PUBLISH/ });
  t.equal((await node(t, 'b:')).redisCapabilities()?.publish, 'sharded', 'another installation on the same server');
});

t.test('the mode is forgotten some seconds after the last node, and kept while one lives', async (t) => {
  const first = await node(t, 'c:', 'classic');
  const left = await client.pttl('c:relay');
  t.ok(left > RELAY_KEPT_MS - 2_000 && left <= RELAY_KEPT_MS, `${left} ms`);
  await client.pexpire('c:relay', 6_500);
  await until(async () => (await client.pttl('c:relay')) > 6_500, 'a live node refreshes the key');
  await first.close();
  await client.del('c:relay');
  t.equal((await node(t, 'c:')).redisCapabilities()?.publish, 'sharded');
});

t.test('a node that runs notices others that publish in another mode, and returns when they end', async (t) => {
  const store = await node(t, 'd:', 'classic');
  await client.set('d:relay', 'sharded');
  await until(() => store.trouble()?.state === 'other_relay', 'the next refresh');
  await client.del('d:relay');
  await until(() => store.trouble() === null, 'it is the only node');
});
