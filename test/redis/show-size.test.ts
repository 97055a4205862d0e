/** How much memory a show takes in Redis. */
import { connectStore } from '../../src/redis/index.ts';
import { HOST, outcome, StoreFixture, times, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('size:');
const { test, store, client, openShow } = fixture;

test('the size of a show is the memory of its keys, estimated within 10 % (I9)', async (t) => {
  const show = await openShow({ units: { S: 9_000 } });
  const small = unwrap(await store.sizeOf(show));
  t.match(small, { redisBytes: Number, keys: (await client.keys(`*{${show}}*`)).length });
  const asks = times(6_000, (i) => ({ user: `u${i}`, key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] }));
  for (let i = 0; i < asks.length; i += 30) await store.reserve(show, asks.slice(i, i + 30));
  await client.config('RESETSTAT');
  const { redisBytes, keys } = unwrap(await store.sizeOf(show));
  const longest = /cmdstat_memory\|usage:calls=(\d+),usec=(\d+)/.exec(await client.info('commandstats'));
  t.ok(Number(longest?.[1]) <= 20, 'one call for each key');
  let exact = 0;
  for (const key of await client.keys(`*{${show}}*`)) exact += Number(await client.memory('USAGE', key, 'SAMPLES', 0));
  t.ok(Math.abs((redisBytes ?? 0) - exact) < exact / 10, `${redisBytes} bytes, in fact ${exact}`);
  t.ok((redisBytes ?? 0) > 10 * (small.redisBytes ?? 0));
  t.equal(keys, (await client.keys(`*{${show}}*`)).length);
  t.equal(outcome(await store.sizeOf('ghost')), 'show_not_found');
  await fixture.skipCommitCheck(show);
});

test('without the permission for MEMORY the bytes are unknown, and nothing else fails', async (t) => {
  const show = await openShow();
  await client.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-memory');
  const target = { ...fixture.redis.target, username: 'app', password: 'secret' };
  const limited = await connectStore({ redis: target, keyPrefix: 'size:' });
  t.teardown(() => limited.close());
  const { keys } = unwrap(await store.sizeOf(show));
  t.same(unwrap(await limited.sizeOf(show)), { redisBytes: null, keys });
  t.equal(limited.refusal(), null);
  t.equal(outcome(await limited.updateShow(show, { title: 'x' }, HOST)), 'ok');
});
