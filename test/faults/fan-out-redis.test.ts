/**
 * What viewers see when Redis pauses, loses everything, or cannot be reached for a while: all of it
 * or told, never silence.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { LIMITS } from '../../src/limits.ts';
import { checkReceived } from '../gateway/check-received.ts';
import type { Client } from '../gateway/client.ts';
import { Conversation } from '../gateway/conversation.ts';
import { startWorld, until, type World } from '../gateway/harness.ts';

const PAUSED_MS = 10_000;
const DROPS = 3;
const DROPPED_MS = 2_000;
const BETWEEN_DROPS_MS = 600;

async function audience(world: World, ...nodes: World['node'][]): Promise<Client[]> {
  const clients = await Promise.all(
    [0, 1, 2, 3].map((i) =>
      world.connect({
        user: `u${i}`,
        node: nodes[i % nodes.length] ?? world.node,
        encoding: i > 1 ? 'json' : 'msgpack',
      }),
    ),
  );
  await Promise.all(clients.map((client) => client.type('welcome')));
  return clients;
}

/**
 * Every event or a snapshot, every accepted message or a number: on the connection that was there
 * before.
 */
async function nothingSilent(
  t: Test,
  world: World,
  clients: readonly Client[],
  conversation: Conversation,
): Promise<void> {
  await until(async () => (await world.store.announce(world.show, 'the end', 'test')).ok, 'Redis is back', 10_000);
  await conversation.end();
  await until(async () => (await clients[0]?.say('goodbye', 9_000))?.t === 'ok', 'chat, too', 10_000);
  for (const client of clients) {
    await until(
      () =>
        client.events().some(({ data }) => data['text'] === 'the end') &&
        checkReceived(client.received).texts.has('goodbye'),
      'it goes on',
      10_000,
    );
    const { problems, texts, missed, epochs } = checkReceived(client.received);
    t.same(problems, []);
    t.equal(epochs.length, 1, 'the same Redis, the same epoch');
    const unheard = conversation.accepted.filter((text) => !texts.has(text));
    t.ok(unheard.length <= missed, `accepted and not heard: ${unheard.length}, told to be missed: ${missed}`);
    const heard = new Set(client.events().map(({ data }) => data['text']));
    t.same(
      conversation.announced.filter((text) => !heard.has(text)),
      [],
      'every event',
    );
    t.equal(client.socket.readyState, client.socket.OPEN);
  }
}

t.jobs = 4;

t.test('R-7: Redis stands still for ten seconds', async (t) => {
  const world = await startWorld(t);
  const clients = await audience(world, world.node, await world.addNode());
  const conversation = new Conversation(clients, world.store, world.show);
  await sleep(300);
  world.redis.signal('SIGSTOP');
  await sleep(PAUSED_MS);
  world.redis.signal('SIGCONT');
  await nothingSilent(t, world, clients, conversation);
  t.ok(conversation.refusals.has('redis_unavailable'));
});

t.test('R-7: the line between a node and Redis drops three times in a row', async (t) => {
  const world = await startWorld(t);
  const line = await TcpProxy.to({ path: world.redis.socketPath });
  t.teardown(() => line.close());
  const behind = await world.addNode({}, `redis://127.0.0.1:${line.port}`);
  const clients = await audience(world, world.node, behind);
  const conversation = new Conversation(clients, world.store, world.show);
  for (let drop = 0; drop < DROPS; drop += 1) {
    await sleep(BETWEEN_DROPS_MS);
    await line.blackout(DROPPED_MS);
  }
  await nothingSilent(t, world, clients, conversation);
});

t.test('R-6: nobody had said anything before the line dropped, and more was said than the history keeps', async (t) => {
  const world = await startWorld(t);
  const line = await TcpProxy.to({ path: world.redis.socketPath });
  t.teardown(() => line.close());
  const behind = await world.addNode({}, `redis://127.0.0.1:${line.port}`);
  const listener = await world.connect({ user: 'listener', node: behind });
  const talkers = await Promise.all(Array.from({ length: 25 }, (_, i) => world.connect({ user: `t${i}` })));
  await Promise.all([listener, ...talkers].map((client) => client.type('welcome')));
  const dark = line.blackout(DROPPED_MS);
  const said = LIMITS.chatHistoryMessages * 2;
  const answers = await Promise.all(
    talkers.flatMap((talker, who) =>
      Array.from({ length: said / talkers.length }, (_, n) => talker.say(`${who} says ${n}`)),
    ),
  );
  t.ok(answers.every(({ t }) => t === 'ok'));
  await dark;
  await until(() => listener.chat().length + checkReceived(listener.received).missed >= said, 'heard or told', 8_000);
  t.equal(listener.chat().length + listener.received.reduce((sum, { missed = 0 }) => sum + missed, 0), said);
});

t.test('H-8: everything in Redis is flushed: the show is gone, and everybody is told so', async (t) => {
  const world = await startWorld(t);
  const clients = await audience(world, world.node, await world.addNode());
  await until(
    () => clients.every((client) => client.received.some(({ state }) => state?.viewers === 4)),
    'the nodes have reported',
  );
  await world.redis.client().flushall();
  t.match(await clients[0]?.say('anyone?'), { t: 'error', code: 'show_not_found' });
  const codes = await Promise.all(
    clients.map(({ closed }) => Promise.race([closed, sleep(LIMITS.nodeCountsTtlMs, { code: 0 }, { ref: false })])),
  );
  t.same(
    codes.map(({ code }) => code),
    [4203, 4203, 4203, 4203],
  );
  t.match(await clients[0]?.type('bye'), { code: 4203, reason: 'show_gone' });
  const late = await world.connect({ user: 'late' });
  t.equal((await late.closed).code, 4203);
});

t.test(
  'E-4 R-3: a show made anew under the same id begins with a snapshot, for those who stayed and those who come back',
  async (t) => {
    const world = await startWorld(t);
    const clients = await audience(world, world.node, await world.addNode());
    const [ann] = clients;
    await ann?.say('in the old show');
    await until(() => clients.every((client) => client.chat().length === 1), 'everybody heard it');
    const { epoch, offset } = (await ann?.type('welcome')) ?? { epoch: '', offset: 0 };
    await world.redis.client().flushall();
    await world.store.createShow(
      { id: world.show, title: 'Second try', guests: true, brands: [{ id: 'acme', name: 'Acme' }] },
      'test',
    );
    await world.store.startShow(world.show, 'test');
    for (const client of clients) {
      const fresh = await client.find((m) => m.t === 'frame' && m.snapshot !== undefined);
      t.match(fresh, { snapshot: { show: { title: 'Second try' }, sales: [], products: [] } });
      t.not(fresh.epoch, epoch);
    }
    t.match(await ann?.say('in the new one'), { t: 'ok', data: { chat: 1 } }, 'ids begin anew');
    await world.store.announce(world.show, 'welcome back', 'test');
    for (const client of clients) {
      await until(
        () =>
          checkReceived(client.received).texts.has('in the new one') &&
          client.events().some(({ data }) => data['text'] === 'welcome back'),
        'it goes on',
      );
      t.same(checkReceived(client.received).problems, []);
    }
    const back = await world.connect({ user: 'back', query: `?epoch=${epoch}&offset=${offset}&chat=1` });
    const welcome = await back.type('welcome');
    t.notOk(welcome.resumed);
    t.match(welcome.snapshot, { show: { title: 'Second try' } });
    t.equal(back.chat().at(-1)?.[2], 'in the new one');
  },
);
