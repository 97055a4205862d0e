/**
 * Idempotency keys over time (promise I4): kept at least 24 hours, dropped at some point, harmless
 * when a script runs twice.
 */
import { LIMITS } from '../../../src/limits.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('keys:');
const { store, time, client } = fixture;

fixture.test('a key is remembered over one turn of the generations and forgotten after two', async (t) => {
  const show = await fixture.openShow({ perBuyer: 9, units: { S: 9 } });
  const held = await fixture.hold(show, 'ann');
  const first = unwrap(await fixture.confirm(show, held, { key: 'pay' }));
  const turn = async (key: string): Promise<void> => {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs + 1);
    unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key, actor: HOST }));
  };
  await turn('t1');
  t.same(
    await fixture.confirm(show, held, { key: 'pay' }),
    { ok: true, value: { ...first, replayed: true } },
    'one day later',
  );
  t.equal(outcome(await fixture.confirm(show, held, { key: 'pay', orderRef: 'other' })), 'idempotency_conflict');
  t.equal(await client.exists(time.key(show, 'idem-old')), 1);
  await turn('t2');
  t.equal(
    outcome(await fixture.confirm(show, held, { key: 'pay' })),
    'reservation_confirmed',
    'two turns later the state answers',
  );
  t.equal((await fixture.books(show)).sold, 1, 'and nothing happens twice');
  t.equal(
    outcome(await fixture.reserve(show, 'ann')),
    'replayed',
    'a reservation is its own record and never forgotten',
  );
});

fixture.test('keys do not turn before their day is over', async (t) => {
  const show = await fixture.openShow({ perBuyer: 9 });
  const held = await fixture.hold(show, 'ann');
  unwrap(await fixture.confirm(show, held, { key: 'pay' }));
  for (let i = 0; i < 3; i++) {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs - 60_000);
    unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: `t${i}`, actor: HOST }));
  }
  t.equal(await client.exists(time.key(show, 'idem-old')), 0);
  t.equal(outcome(await fixture.confirm(show, held, { key: 'pay' })), 'replayed');
});

fixture.test('two commands never share a record, whatever signs their keys and names hold', async (t) => {
  const show = await fixture.openShow();
  const [ann, annx] = [await fixture.hold(show, 'ann'), await fixture.hold(show, 'ann|x')];
  t.equal(outcome(await fixture.release(show, ann, { key: 'x|r' })), 'ok');
  t.equal(
    outcome(await fixture.release(show, annx, { key: 'r' })),
    'ok',
    'user "ann", key "x|r" is not user "ann|x", key "r"',
  );
});

fixture.test('a server that forgets the scripts in mid-way is not noticed', async (t) => {
  const show = await fixture.openShow();
  const held = await fixture.hold(show, 'ann');
  await client.function('FLUSH');
  t.equal(outcome(await fixture.confirm(show, held)), 'ok');
  await client.function('FLUSH');
  const answers = await Promise.all([
    fixture.reserve(show, 'bob'),
    fixture.reserve(show, 'cyd'),
    store.tick(show),
    store.listSales(show),
    store.load(show),
  ]);
  t.same(answers.map(outcome), ['ok', 'ok', 'ok', 'ok', 'ok']);
});

fixture.test('the same script sent twice, byte for byte, counts once', async (t) => {
  const show = await fixture.openShow();
  const other = await fixture.connectAnother();
  const twice = await Promise.all([fixture.reserve(show, 'ann'), fixture.reserve(show, 'ann', {}, other)]);
  t.same(twice.map(outcome).sort(), ['ok', 'replayed']);
  const held = unwrap(twice[0]).reservation;
  const paid = await Promise.all([fixture.confirm(show, held), fixture.confirm(show, held, {}, other)]);
  t.same(paid.map(outcome).sort(), ['ok', 'replayed']);
  const moved = await Promise.all(
    [store, other].map((at) =>
      at.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 5 }, { key: 'more', actor: HOST }),
    ),
  );
  t.equal(outcome(moved[0]), 'ok');
  t.same(moved[0], moved[1], 'a move answers the same to both');
  t.same(await fixture.books(show), { allocated: 15, available: 14, held: 0, sold: 1, withdrawn: 0 });
});
