/** Idempotency keys over time (promise I4): kept for 24 to 48 hours, each counts once. */
import { LIMITS } from '../../../src/limits.ts';
import type { Result } from '../../../src/protocol/codes.ts';
import { byHost, outcome, replayOf, StoreFixture, unitsMove, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('keys:');
const { saleTest, store, time, client, reserve, move, hold, confirm, release, books, connectAnother } = fixture;

saleTest('a key is kept over one rotation of the generations, dropped after two', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  const first = unwrap(await confirm(show, held, { key: 'pay' }));
  const rotate = async (): Promise<void> => {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs + 1);
    unwrap(await move(show, unitsMove(1)));
  };
  await rotate();
  t.same(await confirm(show, held, { key: 'pay' }), replayOf(first), 'one day later');
  t.equal(outcome(await confirm(show, held, { key: 'pay', orderRef: 'other' })), 'idempotency_conflict');
  t.equal(await client.exists(time.key(show, 'idem-old')), 1);
  await rotate();
  const late = outcome(await confirm(show, held, { key: 'pay' }));
  t.equal(late, 'reservation_confirmed', 'two rotations later the state decides');
  t.equal((await books(show)).sold, 1, 'nothing happens again');
  t.equal(outcome(await reserve(show, 'ann')), 'replayed', 'a reservation is its record and never dropped');
});

saleTest('generations do not rotate within a day', { perBuyer: 9 }, async (t, show) => {
  const held = await hold(show, 'ann');
  unwrap(await confirm(show, held, { key: 'pay' }));
  for (let i = 0; i < 3; i++) {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs - 60_000);
    unwrap(await move(show, unitsMove(1)));
  }
  t.equal(await client.exists(time.key(show, 'idem-old')), 0);
  t.equal(outcome(await confirm(show, held, { key: 'pay' })), 'replayed');
});

saleTest('two commands never share a record, with any characters in keys and names', {}, async (t, show) => {
  const [ann, annx] = [await hold(show, 'ann'), await hold(show, 'ann|x')];
  t.equal(outcome(await release(show, ann, { key: 'x|r' })), 'ok');
  t.equal(outcome(await release(show, annx, { key: 'r' })), 'ok', 'user "ann", key "x|r" is not user "ann|x", key "r"');
});

saleTest('scripts that the server lost are loaded again', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  const flush = () => Promise.all([client.function('FLUSH'), client.script('FLUSH')]);
  await flush();
  t.equal(outcome(await confirm(show, held)), 'ok');
  await flush();
  const calls = [reserve(show, 'bob'), reserve(show, 'cyd'), store.tick(show), store.listSales(show), store.load(show)];
  const results = await Promise.all<Result<unknown>>(calls);
  t.same(results.map(outcome), ['ok', 'ok', 'ok', 'ok', 'ok']);
});

saleTest('the same request sent again, byte for byte, counts once', {}, async (t, show) => {
  const other = await connectAnother();
  const twice = await Promise.all([reserve(show, 'ann'), reserve(show, 'ann', {}, other)]);
  t.same(twice.map(outcome).sort(), ['ok', 'replayed']);
  const held = unwrap(twice[0]).reservation;
  const paid = await Promise.all([confirm(show, held), confirm(show, held, {}, other)]);
  t.same(paid.map(outcome).sort(), ['ok', 'replayed']);
  const moves = [store, other].map((at) => at.moveSale(show, 'sale', unitsMove(5), byHost('more')));
  const moved = await Promise.all(moves);
  t.equal(outcome(moved[0]), 'ok');
  t.same(moved[0], moved[1], 'both get the same result');
  t.same(await books(show), { allocated: 15, available: 14, held: 0, sold: 1, withdrawn: 0 });
});
