/** Which Redis is accepted and which is refused, and what a store does without Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import type { Result, StampedeError } from '../../src/protocol/codes.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { listen } from '../support/listen.ts';
import { byHost, HOST, outcome, pluck, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const SHOW = { id: 'show', title: 'T' };

async function setUp(t: Test) {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  return { redis, client: redis.client(), refusal: () => refusalOf(redis.url) };
}

async function storeOf(t: Test, { target }: RedisServer): Promise<ConnectedStore> {
  const store = await connectStore({ redis: target });
  t.teardown(() => store.close());
  return store;
}

/** Returns why connecting is refused, or `accepted`. */
const refusalOf = (url: string): Promise<string> =>
  connectStore({ redis: redisTarget(url) }).then(
    (store) => store.close().then(() => 'accepted'),
    ({ failure }: StampedeError) => `${failure.code}: ${failure.message}`,
  );

t.test('every eviction policy except noeviction is refused with the reason', async (t) => {
  const { client, refusal } = await setUp(t);
  for (const policy of ['allkeys-lru', 'allkeys-random', 'volatile-lru', 'volatile-ttl']) {
    await client.config('SET', 'maxmemory-policy', policy);
    const reason = await refusal();
    t.match(reason, policy);
    t.match(reason, /noeviction/, 'the remedy');
  }
  await client.config('SET', 'maxmemory-policy', 'noeviction');
  t.equal(await refusal(), 'accepted');
});

t.test('a replica is refused with the reason', async (t) => {
  const { client, refusal } = await setUp(t);
  await client.replicaof('127.0.0.1', 1);
  t.match(await refusal(), /redis_readonly: .*replica/);
});

t.test('releases share a server: each has a separate library, and too many old ones are deleted', async (t) => {
  const { redis, client } = await setUp(t);
  const libraries = async (): Promise<string[]> =>
    ((await client.function('LIST')) as unknown[][])
      .map((list) => String(list[list.indexOf('library_name') + 1]))
      .sort();
  const older = (release: number): string =>
    `#!lua name=stampede_${release}\nredis.register_function('stampede_${release}_tick', function() return 1 end)`;
  await client.function('LOAD', older(1));
  await client.function('LOAD', older(2).replaceAll('stampede', 'other'));
  const store = await storeOf(t, redis);
  const kept = await libraries();
  t.equal(kept.length, 3, 'an older release may still be in use');
  await client.function('DELETE', kept.find((name) => /^stampede_[0-9a-f]{12}$/.test(name)) ?? '');
  for (let release = 2; release <= 8; release++) await client.function('LOAD', older(release));
  t.equal(outcome(await store.createShow(SHOW, HOST)), 'ok', 'a process loads its missing library again');
  const left = (await libraries()).map((name) => name.replace(/_[0-9a-f]{12}$/, '_own'));
  t.same(left, ['other_2', 'stampede_own']);
});

t.test('a Redis that becomes a replica is not used until it is promoted', async (t) => {
  const { redis, client } = await setUp(t);
  const store = await storeOf(t, redis);
  await client.replicaof('127.0.0.1', 1);
  await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await until(() => store.trouble()?.state === 'replica', 'after a reconnect the store finds a replica');
  t.match(await store.createShow(SHOW, HOST), { ok: false, error: { code: /^redis_/ } });
  await client.replicaof('NO', 'ONE');
  await until(() => store.trouble() === null, 'the replica was promoted');
  t.equal(outcome(await store.createShow(SHOW, HOST)), 'ok');
});

t.test('the store reports the durability', async (t) => {
  const modes = [
    [{ appendfsync: 'always' }, 'always'],
    [{ appendfsync: 'everysec' }, 'everysec'],
    [{ appendfsync: 'no' }, 'memory'],
    [{ appendonly: false }, 'memory'],
  ] as const;
  for (const [options, mode] of modes) {
    const redis = await startRedis(options);
    const store = await connectStore({ redis: redis.target });
    t.equal(store.durability(), mode, JSON.stringify(options));
    t.equal(store.trouble(), null);
    await store.close();
    await redis.stop();
  }
});

t.test('a prefix with braces or blanks is refused', async (t) => {
  for (const keyPrefix of ['{a}:', 'a b:', 'a}'])
    await t.rejects(connectStore({ redis: redisTarget('unix:///nowhere.sock'), keyPrefix }), /prefix/);
});

t.test('without Redis at start every call returns a code, and works when Redis appears', async (t) => {
  const { redis } = await setUp(t);
  const appearing = redis.crashAndRestart({ downMs: 1_000 });
  await sleep(100);
  const store = await storeOf(t, redis);
  t.match(store.trouble()?.state, /refused|socket_missing/);
  t.equal(store.durability(), 'unknown');
  const spec = { id: 'show', title: 'Late', brands: [{ id: 'b', name: 'B' }] };
  const calls: Array<() => Promise<Result<unknown> | undefined>> = [
    () => store.createShow(spec, HOST),
    () => store.getShow('show'),
    () => store.listShows(),
    () => store.announce('show', 'x', HOST),
    () => store.listSales('show'),
    async () => (await store.reserve('show', [{ user: 'u', key: 'k', sale: 's', lines: [{ sku: 'S', qty: 1 }] }]))[0],
    () => store.confirm('show', { reservation: 'r', orderRef: 'o', amount: 1 }, byHost('k')),
    () => store.release('show', 'r', byHost('k')),
    () => store.getReservation('show', 'r'),
    () => store.holdingsOf('show', ['u']),
    () => store.tick('show'),
    () => store.liveShows(),
    () => store.verify('show'),
    () => store.reconcile('show', HOST),
    () => store.ping(),
    () => store.load('show'),
    () => store.eventsAfter('show', 'e', 0),
    () => store.subscribe('show', { onMessage() {}, onResync() {} }),
    () => store.appendChat('show', { node: 'n', at: 1, count: 1, items: Buffer.from([0x90]) }, []),
    () => store.reportCounts('show', 'n', 1, 0),
  ];
  for (const call of calls) t.equal(outcome(await call()), 'redis_unavailable', String(call));
  t.ok(Math.abs(store.now() - Date.now()) < 60_000, 'the local clock is used until Redis replies');

  await appearing;
  await until(() => store.trouble() === null, 'the store is ready');
  t.equal(store.durability(), 'everysec');
  t.equal(unwrap(await store.createShow(spec, HOST)).id, 'show');
  const { received } = await listen(store, 'show');
  unwrap(await store.announce('show', 'hello', HOST));
  await until(() => received.length > 0, 'a message');
  t.same(pluck(received, 'kind'), ['commit']);
});

t.test('a closed store returns a code instead of hanging', async (t) => {
  const { redis } = await setUp(t);
  const store = await storeOf(t, redis);
  unwrap(await store.createShow(SHOW, HOST));
  await store.close();
  t.equal(outcome(await store.getShow('show')), 'redis_unavailable');
  t.equal(outcome(await store.liveShows()), 'redis_unavailable');
  await store.close();
});
