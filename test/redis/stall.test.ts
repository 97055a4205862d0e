/** This process stops for longer than a reply of Redis may take: Redis is not blamed for it. */
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { StoreFixture } from '../support/store-fixture.ts';

const { store, client } = await StoreFixture.open('stall:');

t.test('replies that arrived while this process stood still are read before a time-out (I11)', async (t) => {
  const connections = async (): Promise<number> =>
    String(await client.client('LIST'))
      .trim()
      .split('\n').length;
  const before = await connections();
  const pings = [store.ping(), store.ping()];
  // The requests are on their way.
  await new Promise((resolve) => setImmediate(resolve));
  const until = performance.now() + LIMITS.redisCommandTimeoutMs + 1_000;
  while (performance.now() < until);
  t.match(await Promise.all(pings), [{ ok: true }, { ok: true }]);
  t.equal(store.trouble(), null);
  t.match(await store.ping(), { ok: true });
  t.equal(await connections(), before, 'no connection was replaced');
});
