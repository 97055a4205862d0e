/** Idempotency keys over time (promise I4): kept for 24 to 48 hours, each counts once. */
import { LIMITS } from '../../../src/limits.ts';
import { HOST, outcome, StoreFixture, unitsMove, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('keys:');
const { store, time, client, reserve, hold, confirm, release, books, openShow, connectAnother } = fixture;

fixture.test('a key is kept over one rotation of the generations and dropped after two', async (t) => {
  const show = await openShow({ perBuyer: 9, units: { S: 9 } });
  const held = await hold(show, 'ann');
  const first = unwrap(await confirm(show, held, { key: 'pay' }));
  const rotate = async (key: string): Promise<void> => {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs + 1);
    unwrap(await store.moveSale(show, 'sale', unitsMove(1), { key, actor: HOST }));
  };
  await rotate('t1');
  t.same(await confirm(show, held, { key: 'pay' }), { ok: true, value: { ...first, replayed: true } }, 'one day later');
  t.equal(outcome(await confirm(show, held, { key: 'pay', orderRef: 'other' })), 'idempotency_conflict');
  t.equal(await client.exists(time.key(show, 'idem-old')), 1);
  await rotate('t2');
  t.equal(
    outcome(await confirm(show, held, { key: 'pay' })),
    'reservation_confirmed',
    'two rotations later the state decides',
  );
  t.equal((await books(show)).sold, 1, 'nothing happens again');
  t.equal(outcome(await reserve(show, 'ann')), 'replayed', 'a reservation is its record and never dropped');
});

fixture.saleTest('generations do not rotate within a day', { perBuyer: 9 }, async (t, show) => {
  const held = await hold(show, 'ann');
  unwrap(await confirm(show, held, { key: 'pay' }));
  for (let i = 0; i < 3; i++) {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs - 60_000);
    unwrap(await store.moveSale(show, 'sale', unitsMove(1), { key: `t${i}`, actor: HOST }));
  }
  t.equal(await client.exists(time.key(show, 'idem-old')), 0);
  t.equal(outcome(await confirm(show, held, { key: 'pay' })), 'replayed');
});

fixture.saleTest('two commands never share a record, with any characters in keys and names', {}, async (t, show) => {
  const [ann, annx] = [await hold(show, 'ann'), await hold(show, 'ann|x')];
  t.equal(outcome(await release(show, ann, { key: 'x|r' })), 'ok');
  t.equal(outcome(await release(show, annx, { key: 'r' })), 'ok', 'user "ann", key "x|r" is not user "ann|x", key "r"');
});

fixture.saleTest('scripts that the server lost are loaded again', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  await client.function('FLUSH');
  t.equal(outcome(await confirm(show, held)), 'ok');
  await client.function('FLUSH');
  const results = await Promise.all([
    reserve(show, 'bob'),
    reserve(show, 'cyd'),
    store.tick(show),
    store.listSales(show),
    store.load(show),
  ]);
  t.same(results.map(outcome), ['ok', 'ok', 'ok', 'ok', 'ok']);
});

fixture.saleTest('the same request sent again, byte for byte, counts once', {}, async (t, show) => {
  const other = await connectAnother();
  const twice = await Promise.all([reserve(show, 'ann'), reserve(show, 'ann', {}, other)]);
  t.same(twice.map(outcome).sort(), ['ok', 'replayed']);
  const held = unwrap(twice[0]).reservation;
  const paid = await Promise.all([confirm(show, held), confirm(show, held, {}, other)]);
  t.same(paid.map(outcome).sort(), ['ok', 'replayed']);
  const moved = await Promise.all(
    [store, other].map((at) => at.moveSale(show, 'sale', unitsMove(5), { key: 'more', actor: HOST })),
  );
  t.equal(outcome(moved[0]), 'ok');
  t.same(moved[0], moved[1], 'both get the same result');
  t.same(await books(show), { allocated: 15, available: 14, held: 0, sold: 1, withdrawn: 0 });
});
