/** kill -9 of one of two gateways during chat and events: its viewers resume on the other one. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Result } from '../../src/protocol/codes.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { pack, unpack } from '../../src/redis/records.ts';
import { descendants, serve } from '../cli/program.ts';
import { outcome, pluck, times, unwrap } from '../support/store-fixture.ts';
import { holdsIn } from '../support/until.ts';
import { AUTH_SECRET, KEY_PREFIX, SHOW, startEngineUnderTest } from './engine-under-test.ts';
import { signToken } from './flash-sale.ts';
import { PlainClient } from './plain-client.ts';

const VIEWERS = 10;
const CHAT_EVERY_MS = 350;
const ANNOUNCE_EVERY_MS = 40;
const AFTERWARDS_MS = 1_500;

async function createShow(t: Test, redis: Pick<RedisServer, 'target' | 'admin'>): Promise<ConnectedStore> {
  const store = await connectStore({ redis: redis.target, keyPrefix: KEY_PREFIX });
  t.teardown(() => store.close());
  await untilDone(() => store.createShow({ id: SHOW, title: 'Show', guests: true, brands: [] }, 'test'));
  await untilDone(() => store.startShow(SHOW, 'test'));
  return store;
}

/** On a slow machine a store may be ready before the first reply of its Redis. */
async function untilDone(run: () => Promise<Result<unknown>>): Promise<void> {
  const until = Date.now() + 20_000;
  let result = await run();
  for (; outcome(result) === 'redis_unavailable' && Date.now() < until; result = await run()) await sleep(100);
  unwrap(result);
}

async function viewersOf(store: ConnectedStore): Promise<number> {
  const loaded = await store.load(SHOW);
  return loaded.ok ? (loaded.value.snapshot.state.viewers ?? 0) : -1;
}

/** Makes the last report of each node older. */
async function ageReports(redis: Pick<RedisServer, 'target' | 'admin'>, byMs: number): Promise<void> {
  const client = redis.admin;
  const key = `${KEY_PREFIX}{${SHOW}}:nodes`;
  for (const [node, report] of Object.entries(await client.hgetallBuffer(key))) {
    const fields = unpack<number[]>(report).map((field) => (field > Date.now() / 2 ? field - byMs : field));
    await client.hset(key, node, pack(fields));
  }
}

async function survives(
  t: Test,
  redis: Pick<RedisServer, 'target' | 'admin'>,
  urls: readonly string[],
  kill: () => unknown,
): Promise<void> {
  const store = await createShow(t, redis);
  const connect = async (user: string, i: number): Promise<PlainClient> => {
    const client = new PlainClient({ urls, show: SHOW, token: signToken(user), prng: createPrng(i) });
    t.teardown(() => client.close());
    await client.connect();
    return client;
  };
  const clients = await Promise.all(times(VIEWERS, (i) => connect(`v${i}`, i)));
  const starts = new Map(clients.map((client) => [client, client.offset]));
  const { epoch } = clients[0] as PlainClient;
  await holdsIn(5_000, async () => (await viewersOf(store)) === VIEWERS, 50);
  t.equal(await viewersOf(store), VIEWERS);

  const accepted: Array<{ id: number; text: string }> = [];
  let over = false;
  const writing = clients.slice(0, 6).map(async (client, number) => {
    for (let n = 0; !over; n += 1, await sleep(CHAT_EVERY_MS)) {
      const text = `${number} says ${n}`;
      const reply = await client.request({ t: 'chat', text });
      if (reply.t === 'ok') accepted.push({ id: Number(reply.data?.['chat']), text });
    }
  });
  const announcing = (async () => {
    for (let n = 0; !over; n += 1, await sleep(ANNOUNCE_EVERY_MS))
      await store.announce(SHOW, `announcement ${n}`, 'test');
  })();
  await sleep(600);
  await kill();
  await sleep(AFTERWARDS_MS);
  over = true;
  await Promise.all([...writing, announcing]);
  await store.announce(SHOW, 'the end', 'test');

  const count = (of: (client: PlainClient) => boolean): number => clients.filter(of).length;
  const lost = count(({ losses }) => losses > 0);
  t.ok(lost > 0, 'at least one client lost its connection');
  const last = Math.max(0, ...accepted.map(({ id }) => id));
  for (const client of clients) {
    t.ok(await client.until(() => client.events.at(-1)?.data['text'] === 'the end', 10_000), 'the client is back');
    const isComplete = await client.until(() => client.chatLeftOut(last) <= 0, 5_000);
    t.ok(isComplete, `chat: ${client.chatLeftOut(last)} left out without an announcement`);
    t.same(client.problems, []);
    t.equal(client.epoch, epoch);
    if (client.snapshots > 0) continue;
    const from = starts.get(client) ?? 0;
    const expected = times(client.events.length, (i) => from + 1 + i);
    t.same(pluck(client.events, 'offset'), expected, 'every event, once, in order');
    const unheard = accepted.filter(({ id, text }) => client.heard.get(`${epoch}/${id}`) !== text);
    t.ok(unheard.length <= Math.max(0, last - client.heard.size), 'accepted chat was heard or counted');
  }
  t.comment(`${lost} lost the connection, ${count(({ resumed }) => resumed > 0)} resumed`);
  // The report of the dead node expires. The next report of another node leaves it out.
  await ageReports(redis, LIMITS.nodeCountsTtlMs);
  await connect('late', VIEWERS);
  await holdsIn(10_000, async () => (await viewersOf(store)) === VIEWERS + 1, 50);
  t.equal(await viewersOf(store), VIEWERS + 1, 'the counts are right again');
}

t.jobs = 2;

t.test('R-2 S-3: viewers of a killed gateway resume on the other one', async (t) => {
  const engine = await startEngineUnderTest({ gateways: 2, others: [] });
  t.teardown(() => engine.stop());
  await survives(t, engine.redis, engine.gatewayUrls, () => engine.gateways[0]?.kill());
});

t.test('R-2 S-3: viewers of a killed worker resume on the other worker of the port', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const env = { REDIS_URL: redis.url, KEY_PREFIX, AUTH_SECRET };
  const { ready, pid } = await serve(t, ['--workers', '2', '--roles', 'gateway'], env);
  await survives(t, redis, [ready.gateway ?? ''], () => process.kill(descendants(pid)[0] ?? 0, 'SIGKILL'));
});
