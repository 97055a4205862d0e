/** What a loud room shows, and what hosts take off: over two nodes. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Client } from './harness.ts';
import { startWorld, until } from './harness.ts';

const missedBy = (client: Client): number => client.received.reduce((sum, { missed = 0 }) => sum + missed, 0);
const idsOf = (client: Client): number[] => client.chat().map(([id]) => id);
const welcomed = (clients: readonly Client[]): Promise<unknown> =>
  Promise.all(clients.map((client) => client.type('welcome')));

t.test(
  'C-5 C-8 C-9: a loud room shows everybody the same sample, always the marked, and says how many were left out',
  async (t) => {
    const world = await startWorld(t);
    const second = await world.addNode();
    const cap = 20;
    await world.store.updateShow(world.show, { chatShownPerSecond: cap }, 'test');
    const watchers = [
      await world.connect({ user: 'w1' }),
      await world.connect({ user: 'w2', node: second, encoding: 'msgpack' }),
    ];
    const host = await world.connect({ user: 'hostess', role: 'host', node: second });
    const bea = await world.connect({ user: 'bea' });
    const crowd = await Promise.all(
      Array.from({ length: 30 }, (_, i) => world.connect({ user: `u${i}`, node: i % 2 ? second : world.node })),
    );
    await welcomed([...watchers, host, bea, ...crowd]);
    const sale = await world.openSale();
    const held = (await bea.ask({ t: 'reserve', key: 'k', sale, lines: [{ sku: 'shirt-m', qty: 1 }] }))['data']
      .reservation;
    await world.store.confirm(
      world.show,
      { reservation: held.id, orderRef: 'o', amount: held.amount },
      { key: 'c', actor: 'test' },
    );
    await bea.find((m) => m.t === 'you' && m.reservation.state === 'confirmed');

    const startedMs = Date.now();
    const marked = [
      ...Array.from({ length: 3 }, () => host.ask({ t: 'chat', text: 'look here' })),
      bea.ask({ t: 'chat', text: 'mine!' }),
    ];
    const answers = await Promise.all(
      crowd.flatMap((client, i) => Array.from({ length: 5 }, (_, n) => client.ask({ t: 'chat', text: `${i}: ${n}` }))),
    );
    const markedAnswers = await Promise.all(marked);
    const seconds = Math.ceil((Date.now() - startedMs) / 1000);
    t.ok([...answers, ...markedAnswers].every((answer) => answer.t === 'ok'));
    t.notOk(
      markedAnswers.some(({ data }) => 'leftOut' in data),
      'host and buyer are always shown',
    );
    const shownIds = [...answers, ...markedAnswers]
      .filter(({ data }) => !('leftOut' in data))
      .map(({ data }) => data.chat);
    t.ok(
      shownIds.length >= cap && shownIds.length <= cap * seconds + 4,
      `${shownIds.length} shown of 154 in ${seconds} s`,
    );
    shownIds.sort((a, b) => a - b);
    await until(
      () => watchers.every((watcher) => watcher.chat().length + missedBy(watcher) === 154),
      'what was shown and what was left out add up',
    );
    for (const watcher of watchers) t.same(idsOf(watcher), shownIds, 'every node shows the same');

    const late = await world.connect({ user: 'late', node: second });
    const welcome = await late.type('welcome');
    t.same(idsOf(late), shownIds.slice(-50), 'history is what was shown');
    const again = await world.connect({ user: 'w1', query: `?epoch=${welcome.epoch}&offset=${welcome.offset}&chat=0` });
    await until(() => again.chat().length === shownIds.length, 'a resume brings what was shown');
    t.equal(missedBy(again), 154 - shownIds.length);
    await sleep(1_100);
    await host.ask({ t: 'chat', text: 'quiet again' });
    await until(
      () => [...watchers, late, again].every((client) => client.chat().at(-1)?.[2] === 'quiet again'),
      'and goes on',
    );
    t.same(watchers.map(missedBy), Array(2).fill(154 - shownIds.length), 'nothing is counted twice');
    t.same([missedBy(late), missedBy(again)], [0, 154 - shownIds.length]);
  },
);

t.test('C-9: what is left out behind the last message is told all the same', async (t) => {
  const world = await startWorld(t);
  await world.store.updateShow(world.show, { chatShownPerSecond: 1 }, 'test');
  const ann = await world.connect({ user: 'ann' });
  await ann.type('welcome');
  for (let i = 0; i < 4; i++) await ann.ask({ t: 'chat', text: `${i}` });
  const told = await ann.find((m) => m.chat?.some(([, , items]) => items.length === 0));
  t.match(told, { missed: 3, chat: [[5, Number, []]] });
  t.equal(ann.chat().length, 1);
  const { epoch, offset } = await ann.type('welcome');
  const resumed = await world.connect({ user: 'ann', query: `?epoch=${epoch}&offset=${offset}&chat=4` });
  await resumed.type('frame');
  t.equal(missedBy(resumed), 0, 'a client that was told is not told again');
});

t.test('C-10: a removed message leaves every screen and comes back to nobody', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const ann = await world.connect({ user: 'ann' });
  const bob = await world.connect({ user: 'bob', node: second, encoding: 'msgpack' });
  await welcomed([ann, bob]);
  for (const text of ['one', 'two', 'three']) await ann.ask({ t: 'chat', text });
  await until(() => bob.chat().length === 3, 'the chat is out');
  const { epoch, offset } = await ann.type('welcome');
  t.match(await world.store.removeChat(world.show, [2]), { ok: true, value: { removed: 1 } });
  for (const client of [ann, bob])
    t.match((await client.find((m) => m.events?.some((e) => e.type === 'chat.removed'))).events, [
      { data: { ids: [2] } },
    ]);
  const third = await world.addNode();
  for (const node of [world.node, second, third]) {
    const late = await world.connect({ user: 'late', node });
    await late.type('welcome');
    t.same(
      late.chat().map(([id, , text]) => [id, text]),
      [
        [1, 'one'],
        [3, 'three'],
      ],
    );
    const back = await world.connect({ user: 'back', node, query: `?epoch=${epoch}&offset=${offset}&chat=0` });
    await until(() => back.chat().length === 2, 'resumed');
    t.same(idsOf(back), [1, 3]);
  }
});
