/** The display cap of chat and the removal of messages, over two nodes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { sorted, times } from '../support/store-fixture.ts';
import type { Client, Message } from './client.ts';
import { test, until } from './harness.ts';

const idsOf = (client: Client): number[] => client.chat().map(([id]) => id);

test('one sample and all marked chat are shown (C-4.4, C-5.2, C-8.1, C-8.2, C-8.4, C-9.3, R-6.2)', async (t, world) => {
  const second = await world.addNode();
  const cap = 20;
  await world.store.updateShow(world.show, { chatShownPerSecond: cap }, 'test');
  const msgpack = { node: second, encoding: 'msgpack' } as const;
  const watchers = [await world.join({ user: 'w1' }), await world.join({ user: 'w2', ...msgpack })];
  const host = await world.join({ user: 'hostess', role: 'host', node: second });
  const bea = await world.join({ user: 'bea' });
  const writers = await world.joinMany(30, (i) => ({ user: `u${i}`, node: i % 2 ? second : world.node }));
  const held = (await bea.reserve(await world.openSale(), 'k')).data.reservation;
  const order = { reservation: held.id, orderRef: 'o', amount: held.amount };
  await world.store.confirm(world.show, order, { key: 'c', actor: 'test' });
  await bea.find((m) => m.t === 'you' && m.reservation.state === 'confirmed');

  const startedMs = Date.now();
  const marked = [...Array.from({ length: 3 }, () => host.say('look here')), bea.say('mine!')];
  const replies = await Promise.all(writers.flatMap((client, i) => times(5, (n) => client.say(`${i}: ${n}`))));
  const markedReplies = await Promise.all(marked);
  const seconds = Math.ceil((Date.now() - startedMs) / 1000);
  t.ok([...replies, ...markedReplies].every((reply) => reply.t === 'ok'));
  const isShown = ({ data }: Message): boolean => !('leftOut' in data);
  t.ok(markedReplies.every(isShown), 'chat of hosts and buyers is always shown');
  const shownIds = sorted([...replies, ...markedReplies].filter(isShown).map(({ data }) => data.chat));
  const count = shownIds.length;
  t.ok(count >= cap && count <= cap * seconds + 4, `${count} shown of 154 in ${seconds} s`);
  await until(() => watchers.every((w) => w.chat().length + w.missed() === 154), 'shown and missed messages add up');
  for (const watcher of watchers) t.same(idsOf(watcher), shownIds, 'every node shows the same');

  const late = await world.connect({ user: 'late', node: second });
  const { epoch, offset } = await late.type('welcome');
  t.same(idsOf(late), shownIds.slice(-50), 'the history contains what was shown');
  const again = await world.connect({ user: 'w1', query: `?epoch=${epoch}&offset=${offset}&chat=0` });
  await until(() => again.chat().length === count, 'a resume brings what was shown');
  t.equal(again.missed(), 154 - count);
  await sleep(1_100);
  await host.say('quiet again');
  const clients = [...watchers, late, again];
  await until(() => clients.every((client) => client.lastText() === 'quiet again'), 'chat continues');
  const missed = clients.map((client) => client.missed());
  t.same(missed, [154 - count, 154 - count, 0, 154 - count], 'nothing is counted twice');
});

test('messages dropped after the last shown one are reported without further chat (C-9.2)', async (t, world) => {
  await world.store.updateShow(world.show, { chatShownPerSecond: 1 }, 'test');
  const ann = await world.join({ user: 'ann' });
  for (let i = 0; i < 4; i++) await ann.say(`${i}`);
  const report = await ann.find((m) => m.chat?.some(([, , items]) => items.length === 0));
  t.match(report, { missed: 3, chat: [[5, Number, []]] });
  t.equal(ann.chat().length, 1);
  const { epoch, offset } = await ann.type('welcome');
  const resumed = await world.connect({ user: 'ann', query: `?epoch=${epoch}&offset=${offset}&chat=4` });
  await resumed.type('frame');
  t.equal(resumed.missed(), 0, 'a client that has the report does not get it again');
});

test('a removed message disappears from live views, history and resumes on every node (C-10.2)', async (t, world) => {
  const second = await world.addNode();
  const ann = await world.join({ user: 'ann' });
  const bob = await world.join({ user: 'bob', node: second, encoding: 'msgpack' });
  for (const text of ['one', 'two', 'three']) await ann.say(text);
  await until(() => bob.chat().length === 3, 'the chat has arrived');
  const { epoch, offset } = await ann.type('welcome');
  t.match(await world.store.removeChat(world.show, [2]), { ok: true, value: { removed: 1 } });
  for (const client of [ann, bob]) t.match((await client.event('chat.removed')).events, [{ data: { ids: [2] } }]);
  const third = await world.addNode();
  for (const node of [world.node, second, third]) {
    const late = await world.join({ user: 'late', node });
    const history = late.chat().map(([id, , text]) => `${id} ${text}`);
    t.same(history, ['1 one', '3 three']);
    const back = await world.connect({ user: 'back', node, query: `?epoch=${epoch}&offset=${offset}&chat=0` });
    await until(() => back.chat().length === 2, 'resumed');
    t.same(idsOf(back), [1, 3]);
  }
});
