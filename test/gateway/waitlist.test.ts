import type { Client } from './client.ts';
import { test, until } from './harness.ts';

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

test('changed positions reach all devices, also on another node (W-9.1, W-9.2, W-9.3)', async (t, world) => {
  const node = await world.addNode();
  const at = (user: string) => world.join({ node, user });
  const [ann, bob, cyd, phone] = [await world.join(), await at('bob'), await at('cyd'), await at('cyd')];
  const sale = await world.openSale({ quantity: 1, perBuyer: 1 });
  for (const client of [ann, bob, cyd]) await client.event('sale.opened');
  const held = await ann.reserve(sale, 'k');
  const dan = await world.join({ user: 'dan' });
  const request = (client: Client, op: 'join' | 'leave') =>
    client.request({ t: 'waitlist', key: op, op, sale, sku: 'shirt-m' });
  const placesOf = ({ received }: Client) =>
    received.flatMap(({ t: type, waits }) => (type === 'waits' ? [waits.map(({ place }) => place).join()] : []));
  for (const [i, client] of [dan, bob, cyd].entries())
    t.match(await request(client, 'join'), { t: 'ok', data: { place: i + 1 } });
  await until(() => placesOf(phone).includes('3'), 'the other device of cyd');
  await request(dan, 'leave');
  await until(() => [cyd, phone].every((client) => placesOf(client).at(-1) === '2'), 'cyd is the second');
  t.same([placesOf(bob).at(-1), placesOf(dan)], ['1', []]);
  await ann.request({ t: 'release', key: 'r', reservation: held.data.reservation.id });
  await until(() => placesOf(cyd).at(-1) === '1', 'bob has an offer, so cyd is next');
  t.match((await bob.type('you')).reservation, { offer: true });
  t.match(cyd.received.filter(({ t: type }) => type === 'waits').at(-1)?.waits, [{ sale, sku: 'shirt-m', qty: 1 }]);
  t.same(placesOf(ann), [], 'a viewer who does not wait gets none');
});
