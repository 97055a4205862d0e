/** This process stops for longer than a reply of Redis may take: Redis is not blamed for it. */
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { LIMITS } from '../../src/limits.ts';
import { connectStore } from '../../src/redis/index.ts';

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
