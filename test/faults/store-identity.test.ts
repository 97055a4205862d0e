/** A store examines the server on each new connection. Here Redis never replies to one query. */
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { LIMITS } from '../../src/limits.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { outcome } from '../support/store-fixture.ts';
import { holdsIn } from '../support/until.ts';

const redis = await startRedis();
t.teardown(() => redis.stop());
t.jobs = 8;

/** Waits until the store serves, at most as long as one lost reply may cost. */
async function serves(store: ConnectedStore): Promise<string> {
  await holdsIn(LIMITS.redisCommandTimeoutMs + 5_000, async () => outcome(await store.liveShows()) === 'ok', 50);
  return outcome(await store.createShow({ id: 'show', title: 'Show' }, 'host:test'));
}

/** In the order in which they are sent. The driver sends the first one. */
const QUERIES = ['hello', 'info', 'LIBRARYNAME', 'fcall', 'appendfsync', 'time'];

for (const query of QUERIES) {
  t.test(`a reconnect recovers when the reply to ${query} is lost`, async (t) => {
    const proxy = await TcpProxy.to({ path: redis.socketPath });
    const store = await connectStore({ redis: redisTarget(proxy.redisUrl) });
    const lost = proxy.next('never reply', query);
    proxy.cut();
    await lost;
    t.equal(await serves(store), 'ok');
    await store.close();
    await proxy.close();
  });
}

for (const query of [...QUERIES, 'ssubscribe']) {
  t.test(`a start succeeds when the reply to ${query} is lost`, async (t) => {
    const proxy = await TcpProxy.to({ path: redis.socketPath });
    const lost = proxy.next('never reply', query);
    const connecting = connectStore({ redis: redisTarget(proxy.redisUrl) });
    await lost;
    const store = await connecting;
    t.equal(await serves(store), 'ok');
    await store.close();
    await proxy.close();
  });
}
