/** A store identifies the server on each new connection. Here Redis never replies to that query. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { LIMITS } from '../../src/limits.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { outcome } from '../support/store-fixture.ts';

const redis = await startRedis();
t.teardown(() => redis.stop());
const RECOVERED_MS = LIMITS.redisCommandTimeoutMs + 5_000;

/** Waits until the store serves, at most as long as one lost reply may cost. */
async function serves(store: ConnectedStore): Promise<string> {
  const until = Date.now() + RECOVERED_MS;
  for (;;) {
    const result = outcome(await store.liveShows());
    if (result === 'ok') return outcome(await store.createShow({ id: 'show', title: 'Show' }, 'host:test'));
    if (Date.now() > until) return result;
    await sleep(50);
  }
}

/** How many queries pass first: those of the driver, of either connection, or of the store. */
const PASSED = [0, 1, 2];

t.test('a reconnect recovers when the reply to its query is lost', async (t) => {
  await Promise.all(
    PASSED.map(async (skip) => {
      const proxy = await TcpProxy.to({ path: redis.socketPath });
      const store = await connectStore({ url: proxy.redisUrl });
      const lost = proxy.next('never reply', 'info', { skip });
      proxy.cut();
      await lost;
      t.equal(await serves(store), 'ok', `query ${skip}`);
      await store.close();
      await proxy.close();
    }),
  );
});

t.test('a start succeeds when the reply to its query is lost', async (t) => {
  await Promise.all(
    PASSED.map(async (skip) => {
      const proxy = await TcpProxy.to({ path: redis.socketPath });
      const lost = proxy.next('never reply', 'info', { skip });
      const connecting = connectStore({ url: proxy.redisUrl }).catch((error: unknown) => String(error));
      await lost;
      const store = await connecting;
      t.type(store, 'object', `query ${skip}: ${typeof store === 'string' ? store : 'connected'}`);
      if (typeof store !== 'string') {
        t.equal(await serves(store), 'ok', `query ${skip}`);
        await store.close();
      }
      await proxy.close();
    }),
  );
});
