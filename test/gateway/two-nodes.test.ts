import t from 'tap';
import { startWorld, until } from './harness.ts';

t.test('C-4: chat has one order on every node, and every message its id', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const writers = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      world.connect({ user: `u${i}`, node: i % 2 ? second : world.node, encoding: i % 3 ? 'json' : 'msgpack' }),
    ),
  );
  await Promise.all(writers.map((w) => w.type('welcome')));
  const answers = await Promise.all(
    writers.flatMap((writer, i) =>
      Array.from({ length: 5 }, (_, n) => writer.ask({ t: 'chat', text: `message ${n} of ${i} äöü 🎉` })),
    ),
  );
  t.ok(answers.every((a) => a['t'] === 'ok'));
  await until(() => writers.every((w) => w.chat().length === 60), 'everybody has all messages');
  const [first] = writers;
  for (const writer of writers) t.same(writer.chat(), first?.chat());
  const ids = first?.chat().map(([id]) => id) ?? [];
  t.same(
    ids,
    ids.map((_, i) => (ids[0] ?? 0) + i),
    'ids count up by one',
  );
  for (let i = 0; i < answers.length; i += 1) {
    const said = first?.chat().find(([id]) => id === answers[i]?.['data'].chat);
    t.equal(said?.[2], `message ${i % 5} of ${Math.floor(i / 5)} äöü 🎉`);
  }
});

t.test('S-3: viewers are summed over nodes and heal when one leaves', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const ann = await world.connect({ user: 'ann' });
  await world.connect({ user: 'bob', node: second });
  const cay = await world.connect({ user: 'cay', node: second });
  await ann.find((m) => m['state']?.viewers === 3);
  await cay.close();
  await ann.find((m) => m['state']?.viewers === 2 && m['state'].peak === 3);
  await ann.ask({ t: 'react', n: 3 });
  await ann.find((m) => m['state']?.hearts === 3);
  t.pass('counts arrived');
});

t.test('a hold made through one node is told to the same buyer on the other', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const phone = await world.connect({ user: 'ann' });
  const laptop = await world.connect({ user: 'ann', node: second, encoding: 'msgpack' });
  await Promise.all([phone.type('welcome'), laptop.type('welcome')]);
  const sale = await world.openSale();
  await laptop.find((m) => m['events']?.some((e) => e.type === 'sale.opened'));
  const held = await phone.ask({ t: 'reserve', key: 'k', sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  const told = await laptop.type('you');
  t.equal(told['reservation'].id, held['data'].reservation.id);
  const late = await world.connect({ user: 'ann', node: second });
  t.match((await late.type('welcome'))['you'].reservations, [{ id: held['data'].reservation.id, state: 'held' }]);
});
