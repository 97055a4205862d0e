/** Redis freezes, is flushed or unreachable: viewers receive everything, or what they missed. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { LIMITS } from '../../src/limits.ts';
import { checkReceived } from '../gateway/check-received.ts';
import type { Client } from '../gateway/client.ts';
import { Conversation } from '../gateway/conversation.ts';
import { startWorld, until, type World } from '../gateway/harness.ts';
import { pluck, times } from '../support/store-fixture.ts';

const PAUSED_MS = 10_000;
const DROPS = 3;
const DROPPED_MS = 2_000;
const BETWEEN_DROPS_MS = 600;

/** Four viewers, alternating between the first node and `second`. */
const viewers = ({ node, joinMany }: World, second: World['node']): Promise<Client[]> =>
  joinMany(4, (i) => ({ user: `u${i}`, node: i % 2 ? second : node, encoding: i > 1 ? 'json' : 'msgpack' }));

const hasEvent = (client: Client, text: string): boolean => client.events().some(({ data }) => data['text'] === text);
const hasChat = ({ received }: Client, text: string): boolean => checkReceived(received).texts.has(text);

/** All events and accepted messages were received or announced, on the same connection. */
async function checkNothingLost(t: Test, world: World, clients: readonly Client[], conversation: Conversation) {
  await until(async () => (await world.store.announce(world.show, 'the end', 'test')).ok, 'Redis is back', 10_000);
  await conversation.end();
  await until(async () => (await clients[0]?.say('goodbye', 9_000))?.t === 'ok', 'chat is accepted', 10_000);
  for (const client of clients) {
    await until(() => hasEvent(client, 'the end') && hasChat(client, 'goodbye'), 'messages after the fault arrive');
    const { problems, texts, missed, epochs } = checkReceived(client.received);
    t.same(problems, []);
    t.equal(epochs.length, 1, 'the same Redis has the same epoch');
    const lost = conversation.accepted.filter((text) => !texts.has(text));
    t.ok(lost.length <= missed, `accepted and not received: ${lost.length}, announced as missed: ${missed}`);
    const missedEvents = conversation.announced.filter((text) => !hasEvent(client, text));
    t.same(missedEvents, [], 'every event');
    t.equal(client.socket.readyState, client.socket.OPEN);
  }
}

t.jobs = 4;

t.test('R-7: viewers miss nothing while Redis is frozen for ten seconds', async (t) => {
  const world = await startWorld(t);
  const clients = await viewers(world, await world.addNode());
  const conversation = new Conversation(clients, world.store, world.show);
  await sleep(300);
  world.redis.signal('SIGSTOP');
  await sleep(PAUSED_MS);
  world.redis.signal('SIGCONT');
  await checkNothingLost(t, world, clients, conversation);
  t.ok(conversation.refusals.has('redis_unavailable'));
});

t.test('R-7: viewers miss nothing when the connection to Redis drops three times in a row', async (t) => {
  const world = await startWorld(t);
  const proxy = await TcpProxy.to({ path: world.redis.socketPath });
  t.teardown(() => proxy.close());
  const behind = await world.addNode({}, proxy.redisUrl);
  const clients = await viewers(world, behind);
  const conversation = new Conversation(clients, world.store, world.show);
  for (let drop = 0; drop < DROPS; drop += 1) {
    await sleep(BETWEEN_DROPS_MS);
    await proxy.blackout(DROPPED_MS);
  }
  await checkNothingLost(t, world, clients, conversation);
});

t.test('R-6: chat of a lost connection to Redis arrives, also if none came before the drop', async (t) => {
  const world = await startWorld(t);
  const proxy = await TcpProxy.to({ path: world.redis.socketPath });
  t.teardown(() => proxy.close());
  const behind = await world.addNode({}, proxy.redisUrl);
  const listener = await world.join({ user: 'listener', node: behind });
  const writers = await world.joinMany(25, (i) => ({ user: `t${i}` }));
  const blackout = proxy.blackout(DROPPED_MS);
  const sent = LIMITS.chatHistoryMessages * 2;
  const replies = times(sent, (n) => writers[n % writers.length]?.say(`message ${n}`));
  for (const reply of await Promise.all(replies)) t.equal(reply?.t, 'ok');
  await blackout;
  const isAccounted = (): boolean => listener.chat().length + checkReceived(listener.received).missed >= sent;
  await until(isAccounted, 'received or announced', 8_000);
  t.equal(listener.chat().length + listener.received.reduce((sum, { missed = 0 }) => sum + missed, 0), sent);
});

t.test('H-8: after a flush of Redis the show is gone, and all viewers are notified', async (t) => {
  const world = await startWorld(t);
  const clients = await viewers(world, await world.addNode());
  const isCounted = ({ received }: Client): boolean => received.some(({ state }) => state?.viewers === 4);
  await until(() => clients.every(isCounted), 'the nodes have reported');
  await world.redis.client().flushall();
  t.match(await clients[0]?.say('hello?'), { t: 'error', code: 'show_not_found' });
  const late = sleep(LIMITS.nodeCountsTtlMs, { code: 0 }, { ref: false });
  const closes = await Promise.all(clients.map(({ closed }) => Promise.race([closed, late])));
  t.same(pluck(closes, 'code'), [4203, 4203, 4203, 4203]);
  t.match(await clients[0]?.type('bye'), { code: 4203, reason: 'show_gone' });
  const next = await world.connect({ user: 'next' });
  t.equal((await next.closed).code, 4203);
});

t.test('E-4 R-3: a show created again begins with a snapshot, for connected and returning viewers', async (t) => {
  const world = await startWorld(t);
  const clients = await viewers(world, await world.addNode());
  const [ann] = clients;
  await ann?.say('in the old show');
  await until(() => clients.every((client) => client.chat().length === 1), 'all received it');
  const { epoch, offset } = (await ann?.type('welcome')) ?? { epoch: '', offset: 0 };
  await world.redis.client().flushall();
  await world.store.createShow({ id: world.show, title: 'Second try', guests: true, brands: [] }, 'test');
  await world.store.startShow(world.show, 'test');
  for (const client of clients) {
    const fresh = await client.find((m) => m.t === 'frame' && m.snapshot !== undefined);
    t.match(fresh, { snapshot: { show: { title: 'Second try' }, sales: [], products: [] } });
    t.not(fresh.epoch, epoch);
  }
  t.match(await ann?.say('in the new one'), { t: 'ok', data: { chat: 1 } }, 'ids begin again');
  await world.store.announce(world.show, 'welcome back', 'test');
  for (const client of clients) {
    const isBack = (): boolean => hasChat(client, 'in the new one') && hasEvent(client, 'welcome back');
    await until(isBack, 'messages after the fault arrive');
    t.same(checkReceived(client.received).problems, []);
  }
  const back = await world.connect({ user: 'back', query: `?epoch=${epoch}&offset=${offset}&chat=1` });
  const welcome = await back.type('welcome');
  t.notOk(welcome.resumed);
  t.match(welcome.snapshot, { show: { title: 'Second try' } });
  t.equal(back.chat().at(-1)?.[2], 'in the new one');
});
