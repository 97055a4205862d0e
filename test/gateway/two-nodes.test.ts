import { times, unwrap } from '../support/store-fixture.ts';
import { isConsecutive } from './check-received.ts';
import { test, until } from './harness.ts';

test('chat has one order and consecutive ids on every node (C-4.1, C-4.2, C-5.1, M-5.2)', async (t, world) => {
  const second = await world.addNode();
  const nodeOf = (i: number) => (i % 2 ? second : world.node);
  const encodingOf = (i: number) => (i % 3 ? 'json' : 'msgpack');
  const writers = await world.joinMany(12, (i) => ({ user: `u${i}`, node: nodeOf(i), encoding: encodingOf(i) }));
  const replies = await Promise.all(writers.flatMap((w, i) => times(5, (n) => w.say(`message ${n} of ${i} äöü 🎉`))));
  t.ok(replies.every((reply) => reply.t === 'ok'));
  await until(() => writers.every((w) => w.chat().length === 60), 'all viewers have all messages');
  const [first] = writers;
  for (const writer of writers) t.same(writer.chat(), first?.chat());
  t.ok(isConsecutive(first?.chat().map(([id]) => id) ?? []), 'ids count up by one');
  for (const [i, { data }] of replies.entries()) {
    const message = first?.chat().find(([id]) => id === data.chat);
    t.equal(message?.[2], `message ${i % 5} of ${Math.floor(i / 5)} äöü 🎉`);
  }
});

/** Names are given by people. */
const SAME_NAME = { node: 'n1' };

test('viewers, peak and hearts are summed over nodes of one name (S-3.1, S-3.2, S-3.3)', async (t, world) => {
  const second = await world.addNode(SAME_NAME);
  const ann = await world.connect({ user: 'ann' });
  await world.connect({ user: 'bob', node: second });
  const cay = await world.connect({ user: 'cay', node: second });
  await ann.find((m) => m.state?.viewers === 3);
  await cay.close();
  await ann.find((m) => m.state?.viewers === 2 && m.state.peak === 3);
  await ann.request({ t: 'react', n: 3 });
  await ann.find((m) => m.state?.hearts === 3);
  t.pass('counts arrived');
});

test("a hold made on one node is sent to the buyer's connection on its namesake (W-4.1)", async (t, world) => {
  const second = await world.addNode(SAME_NAME);
  const phone = await world.join({ user: 'ann' });
  const laptop = await world.join({ user: 'ann', node: second, encoding: 'msgpack' });
  const sale = await world.openSale();
  await laptop.event('sale.opened');
  const { id } = (await phone.reserve(sale, 'k')).data.reservation;
  t.equal((await laptop.type('you')).reservation.id, id);
  const late = await world.connect({ user: 'ann', node: second });
  t.match((await late.type('welcome')).you.reservations, [{ id, state: 'held' }]);
});

test('a refund is sent to the buyer, who may buy again and still finds the order (W-4.3)', async (t, world) => {
  const ann = await world.join({ user: 'ann' });
  const sale = await world.openSale();
  await ann.event('sale.opened');
  const { id, amount } = (await ann.reserve(sale, 'k')).data.reservation;
  const by = (key: string) => ({ key, actor: 'host:test' });
  unwrap(await world.store.confirm(world.show, { reservation: id, orderRef: 'A-1', amount }, by('c')));
  unwrap(await world.store.refundOrder(world.show, { order: id, restock: true, reason: 'secret' }, by('r')));
  const { reservation } = await ann.find((m) => m.t === 'you' && m.reservation.state === 'refunded');
  t.match(reservation, { id, orderRef: 'A-1', refundedAt: Number });
  t.notMatch(JSON.stringify(reservation), /secret/);
  const late = await world.connect({ user: 'ann', node: await world.addNode() });
  t.same((await late.type('welcome')).you.reservations, [reservation]);
  t.equal((await ann.request({ t: 'release', key: 'x', reservation: id })).code, 'reservation_refunded');
});
