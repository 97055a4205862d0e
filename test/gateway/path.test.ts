import type { ShowEvent } from '../../src/protocol/messages.ts';
import { test, until } from './harness.ts';

test('viewers join, chat, reserve, replay and release (C-5.1, Q-7.2, Q-8.3, T-1.1, W-4.2, W-6)', async (t, world) => {
  const ann = await world.connect({ user: 'ann' });
  const tablet = await world.connect({ user: 'ann' });
  const welcome = await ann.type('welcome');
  t.strictSame([welcome.v, welcome.snapshot.show.id], [1, world.show]);
  t.match(welcome.you, { user: 'ann', role: 'buyer', reservations: { length: 0 } });
  const bob = await world.connect({ user: 'bob', encoding: 'msgpack' });
  t.match(await bob.type('welcome'), { snapshot: { show: { id: world.show } } });
  const sent = await ann.say('hello');
  t.match(sent, { t: 'ok', data: { chat: Number } });
  await until(() => bob.chat().length > 0 && ann.chat().length > 0, 'the message arrives');
  t.same(bob.chat(), [[sent.data.chat, 'Name of ann', 'hello']]);
  t.same(ann.chat(), bob.chat());
  const sale = await world.openSale({ quantity: 1 });
  t.ok(await bob.event('sale.opened'));
  const held = await ann.reserve(sale, 'k1');
  t.match(held, { t: 'ok', data: { reservation: { state: 'held', user: 'ann' }, durability: 'everysec' } });
  await tablet.find((m) => m.t === 'you' && m.reservation.state === 'held');
  const types = ann.received.map((m) => m.t);
  t.notOk(types.includes('you'), 'the connection of the request has the hold in its ok');
  const soldOut = ({ type }: ShowEvent): boolean => type === 'sale.sold_out';
  await bob.find((m) => m.state?.sales?.some((s) => s.left['shirt-m'] === 0) ?? m.events?.some(soldOut));
  t.match(await bob.reserve(sale, 'k1'), { t: 'error', code: 'sold_out' });
  t.equal(await world.node.metric('local_refusals_total', 'sold_out'), 1);
  await until(async () => {
    const verified = await world.store.verify(world.show);
    return verified.ok && verified.value.localRefusals === 1;
  }, 'the ledger has the local refusal');
  t.match(await ann.reserve(sale, 'k1'), { t: 'ok', data: { replayed: true } });
  const released = await ann.request({ t: 'release', key: 'k2', reservation: held.data.reservation.id });
  t.match(released, { t: 'ok', data: { reservation: { state: 'released' } } });
  t.match(await ann.request({ t: 'sync', at: 1 }), { t: 'ok', data: { received: Number, sent: Number } });
});
