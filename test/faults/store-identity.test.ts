/**
 * The questions a store asks when a line comes up (who is this server, may it be used) meet a Redis
 * that does not answer them in time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { LIMITS } from '../../src/limits.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { outcome } from '../support/store-fixture.ts';

const redis = await startRedis();
t.teardown(() => redis.stop());
const HEALED_MS = LIMITS.redisCommandTimeoutMs + 5_000;

/** Waits until a store serves, at most as long as one lost answer may cost. */
async function serves(store: ConnectedStore): Promise<string> {
  const until = Date.now() + HEALED_MS;
  for (;;) {
    const answer = outcome(await store.liveShows());
    if (answer === 'ok' || Date.now() > until)
      return answer === 'ok' ? outcome(await store.createShow({ id: 'show', title: 'Show' }, 'host:test')) : answer;
    await sleep(50);
  }
}

/** Whichever question it is that is lost: the driver's own, of either connection, or ours. */
const QUESTIONS = [0, 1, 2];

t.test('a reconnect whose question is never answered heals by itself', async (t) => {
  await Promise.all(
    QUESTIONS.map(async (skip) => {
      const proxy = await TcpProxy.to({ path: redis.socketPath });
      const store = await connectStore({ url: proxy.redisUrl });
      const lost = proxy.next('never reply', 'info', { skip });
      proxy.cut();
      await lost;
      t.equal(await serves(store), 'ok', `question ${skip}`);
      await store.close();
      await proxy.close();
    }),
  );
});

t.test('a start whose question is never answered comes up by itself', async (t) => {
  await Promise.all(
    QUESTIONS.map(async (skip) => {
      const proxy = await TcpProxy.to({ path: redis.socketPath });
      const lost = proxy.next('never reply', 'info', { skip });
      const connecting = connectStore({ url: proxy.redisUrl }).catch((error: unknown) => String(error));
      await lost;
      const store = await connecting;
      t.type(store, 'object', `question ${skip}: ${typeof store === 'string' ? store : 'connected'}`);
      if (typeof store !== 'string') {
        t.equal(await serves(store), 'ok', `question ${skip}`);
        await store.close();
      }
      await proxy.close();
    }),
  );
});
