/** A primary that is replaced, or a connection that dies, while the engine sends nothing. */
import t, { type Test } from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import type { RedisState } from '../../src/domain/health.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { HOST, outcome, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

t.jobs = 3;

async function startServer(t: Test) {
  const port = await freePort();
  const redis = await startRedis({ args: ['--port', String(port), '--repl-diskless-sync-delay', '0'] });
  t.teardown(() => redis.stop());
  return { port, redis, admin: redis.admin };
}

/** Two servers, a name that leads to the first, and a store that listens to a show and is idle. */
async function setUp(t: Test) {
  const [first, second] = [await startServer(t), await startServer(t)];
  await second.admin.replicaof('127.0.0.1', first.port);
  const proxy = await TcpProxy.to({ port: first.port });
  const store = await connectStore({ redis: redisTarget(proxy.redisUrl) });
  t.teardown(async () => {
    await store.close();
    await proxy.close();
  });
  unwrap(await store.createShow({ id: 'show', title: 'T' }, HOST));
  const heard: string[] = [];
  unwrap(
    await store.subscribe('show', {
      onMessage: (message) => heard.push(message.kind),
      onResync: () => heard.push('resync'),
    }),
  );
  await until(async () => (await second.admin.exists('stampede:{show}:show')) === 1, 'the replica has the show');
  const states = new Set<RedisState | undefined>();
  store.watchTrouble((trouble) => states.add(trouble?.state));
  /** The store is at the second server, and hears what another node commits there. */
  async function isMoved(withinMs: number): Promise<void> {
    const before = performance.now();
    const isAtSecond = async () =>
      store.trouble() === null && store.runId()?.startsWith(await runIdOf(second)) === true;
    await until(isAtSecond, `the second server is found, not ${JSON.stringify(store.trouble())}`, 20_000);
    const tookMs = Math.round(performance.now() - before);
    t.ok(tookMs < withinMs, `${tookMs} ms`);
    const other = await connectStore({ redis: redisTarget(`redis://127.0.0.1:${second.port}`) });
    t.teardown(() => other.close());
    await until(() => heard.includes('resync'), 'what was published meanwhile is loaded');
    await until(async () => outcome(await other.announce('show', 'hello', HOST)) === 'ok', 'another node commits');
    // It connects once more when the server is identified: commits until then are loaded.
    const hears = async () => outcome(await other.announce('show', 'hello', HOST)) === 'ok' && heard.includes('commit');
    await until(hears, 'the subscriber has moved too');
    t.equal(outcome(await store.announce('show', 'hello', HOST)), 'ok', 'writes work');
  }
  return { first, second, proxy, store, heard, states, isMoved };
}

const runIdOf = async ({ admin }: Awaited<ReturnType<typeof startServer>>): Promise<string> =>
  /run_id:(\w+)/.exec(await admin.info('server'))?.[1] ?? '-';

t.test('an idle node notices within 2 s that its primary was demoted behind the same name', async (t) => {
  const { first, second, proxy, states, isMoved } = await setUp(t);
  proxy.moveTo({ port: second.port });
  await second.admin.replicaof('NO', 'ONE');
  await first.admin.replicaof('127.0.0.1', second.port);
  await isMoved(2_000);
  t.ok(states.has('replica'), [...states].join());
});

t.test('an idle node leaves a frozen primary within 3 s when its name leads to another one', async (t) => {
  const { first, second, proxy, states, isMoved } = await setUp(t);
  t.teardown(() => first.redis.signal('SIGCONT'));
  first.redis.signal('SIGSTOP');
  await second.admin.call('REPLICAOF', 'NO', 'ONE');
  proxy.moveTo({ port: second.port });
  await isMoved(3_000);
  t.ok(states.has('lost'));
});

t.test('until the name leads to the new primary, the node reports a replica', async (t) => {
  const { first, second, proxy, store, isMoved } = await setUp(t);
  await second.admin.replicaof('NO', 'ONE');
  await first.admin.replicaof('127.0.0.1', second.port);
  await until(() => store.trouble()?.state === 'replica', 'the demotion is noticed');
  t.match(await store.announce('show', 'x', HOST), { ok: false, error: { code: 'redis_readonly' } });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  t.equal(store.trouble()?.state, 'replica');
  proxy.moveTo({ port: second.port });
  await isMoved(2_000);
});

t.test('an idle node notices that the other end of its connections vanished', async (t) => {
  const { first, second, proxy, isMoved } = await setUp(t);
  proxy.silence();
  proxy.moveTo({ port: second.port });
  await first.redis.stop();
  await second.admin.replicaof('NO', 'ONE');
  await isMoved(8_000);
});

t.test('a subscription that is silent while Redis replies is replaced', async (t) => {
  const { proxy, store, heard } = await setUp(t);
  proxy.silence('subscribers');
  await until(() => store.trouble()?.state === 'no_relay', 'messages are missing');
  t.equal(store.refusal(), null, 'commands are still sent');
  t.equal(outcome(await store.announce('show', 'lost', HOST)), 'ok');
  await until(() => store.trouble() === null && heard.includes('resync'), 'a new subscription');
  heard.length = 0;
  t.equal(outcome(await store.announce('show', 'found', HOST)), 'ok');
  await until(() => heard.includes('commit'), 'it receives');
});
