import t from 'tap';
import { startWorld, until } from './harness.ts';

t.test('the whole path: join, chat, reserve, release', async (t) => {
  const world = await startWorld(t);
  const ann = await world.connect({ user: 'ann' });
  const tablet = await world.connect({ user: 'ann' });
  const welcome = await ann.type('welcome');
  t.equal(welcome['v'], 1);
  t.equal(welcome['snapshot'].show.id, world.show);
  t.match(welcome['you'], { user: 'ann', role: 'buyer', reservations: [] });
  const bob = await world.connect({ user: 'bob', encoding: 'msgpack' });
  t.match(await bob.type('welcome'), { t: 'welcome', snapshot: { show: { id: world.show } } });
  const sent = await ann.ask({ t: 'chat', text: 'hello' });
  t.match(sent, { t: 'ok', data: { chat: Number } });
  await until(() => bob.chat().length > 0 && ann.chat().length > 0, 'the message arrives');
  t.same(bob.chat(), [[sent['data'].chat, 'Name of ann', 'hello']]);
  t.same(ann.chat(), bob.chat());
  const sale = await world.openSale({ quantity: 1 });
  const opened = await bob.find((m) => m['events']?.some((e) => e.type === 'sale.opened'));
  t.ok(opened);
  const got = await ann.ask({ t: 'reserve', key: 'k1', sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  t.match(got, { t: 'ok', data: { reservation: { state: 'held', user: 'ann' }, durability: 'everysec' } });
  await tablet.find((m) => m['t'] === 'you' && m['reservation'].state === 'held');
  t.notOk(
    ann.received.some((m) => m['t'] === 'you'),
    'the socket that asked has the hold in its ok',
  );
  await bob.find(
    (m) =>
      m['state']?.sales?.some((s) => s.left['shirt-m'] === 0) ?? m['events']?.some((e) => e.type === 'sale.sold_out'),
  );
  const no = await bob.ask({ t: 'reserve', key: 'k1', sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  t.match(no, { t: 'error', code: 'sold_out' });
  await until(async () => {
    const verified = await world.store.verify(world.show);
    return verified.ok && verified.value.localRefusals === 1;
  }, 'the refusal came from the node and is in the ledger');
  const again = await ann.ask({ t: 'reserve', key: 'k1', sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  t.match(again, { t: 'ok', data: { replayed: true } });
  t.match(await ann.ask({ t: 'release', key: 'k2', reservation: got['data'].reservation.id }), {
    t: 'ok',
    data: { reservation: { state: 'released' } },
  });
  const sync = await ann.ask({ t: 'sync', at: 1 });
  t.match(sync, { t: 'ok', data: { received: Number, sent: Number } });
});
