import t from 'tap';
import { startWorld } from './harness.ts';

t.test('Q-6 W-1: a place in line, told in the welcome, and the offer when units come back', async (t) => {
  const world = await startWorld(t);
  const [ann, bob] = await Promise.all([world.connect({ user: 'ann' }), world.connect({ user: 'bob' })]);
  await Promise.all([ann.type('welcome'), bob.type('welcome')]);
  const sale = await world.openSale({ quantity: 1, perBuyer: 1 });
  await bob.find((m) => m.events?.some((e) => e.type === 'sale.opened'));
  t.match(await bob.ask({ t: 'waitlist', key: 'w0', op: 'join', sale, sku: 'shirt-m' }), {
    t: 'error',
    code: 'units_free',
  });
  const held = await ann.ask({ t: 'reserve', key: 'k', sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  t.equal(held.t, 'ok');
  t.match(await bob.ask({ t: 'waitlist', key: 'w1', op: 'join', sale, sku: 'shirt-m' }), {
    t: 'ok',
    data: { place: 1, waiting: 1 },
  });
  t.match(await bob.ask({ t: 'waitlist', key: 'w1', op: 'join', sale, sku: 'shirt-m' }), {
    t: 'ok',
    data: { place: 1, replayed: true },
  });
  const phone = await world.connect({ user: 'bob', encoding: 'msgpack' });
  t.match((await phone.type('welcome')).you.waits, [{ sale, sku: 'shirt-m', qty: 1, place: 1 }]);
  await ann.ask({ t: 'release', key: 'r', reservation: held.data.reservation.id });
  for (const client of [bob, phone])
    t.match((await client.type('you')).reservation, { user: 'bob', state: 'held', offer: true });
  t.same((await (await world.connect({ user: 'bob' })).type('welcome')).you.waits, []);
});
