import { test } from './harness.ts';

test('the welcome has waitlist positions; free units are offered (Q-11.1, Q-11.2, Q-11.3, W-1.2)', async (t, world) => {
  const [ann, bob] = [await world.join({ user: 'ann' }), await world.join({ user: 'bob' })];
  const sale = await world.openSale({ quantity: 1, perBuyer: 1 });
  const joinWaitlist = (key: string) => bob.request({ t: 'waitlist', key, op: 'join', sale, sku: 'shirt-m' });
  await bob.event('sale.opened');
  t.match(await joinWaitlist('w0'), { t: 'error', code: 'units_free' });
  const held = await ann.reserve(sale, 'k');
  t.equal(held.t, 'ok');
  t.match(await joinWaitlist('w1'), { t: 'ok', data: { place: 1, waiting: 1 } });
  t.match(await joinWaitlist('w1'), { t: 'ok', data: { place: 1, replayed: true } });
  const phone = await world.connect({ user: 'bob', encoding: 'msgpack' });
  t.match((await phone.type('welcome')).you.waits, [{ sale, sku: 'shirt-m', qty: 1, place: 1 }]);
  await ann.request({ t: 'release', key: 'r', reservation: held.data.reservation.id });
  for (const client of [bob, phone])
    t.match((await client.type('you')).reservation, { user: 'bob', state: 'held', offer: true });
  const again = await world.connect({ user: 'bob' });
  t.match((await again.type('welcome')).you, { waits: { length: 0 }, reservations: [{ offer: true }] });
});
