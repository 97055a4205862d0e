/** Concurrent requests on several connections: one wins, and all get the right result. */
import type { Result } from '../../../src/protocol/codes.ts';
import { byHost, items, outcome, StoreFixture, times, unitsMove, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('races:');
const { test, saleTest, time, reserve, hold, order, confirm, release, refund, stateOf, openShow } = fixture;
const { connectAnother } = fixture;
const stores = [fixture.store, await connectAnother(), await connectAnother(), await connectAnother()];
const storeOf = (i: number) => stores[i % stores.length] ?? fixture.store;

const countsOf = (results: ReadonlyArray<Result<unknown>>): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of results.map(outcome)) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

saleTest('of 200 concurrent requests for the last unit exactly one wins', { units: { S: 1 } }, async (t, show) => {
  const results = await Promise.all(times(200, (i) => reserve(show, `racer${i}`, {}, storeOf(i))));
  t.same(countsOf(results), { ok: 1, sold_out: 199 });
  t.same(await fixture.books(show), { allocated: 1, available: 0, held: 1, sold: 0, withdrawn: 0 });
});

test('of 200 requests in batches for seven units of two SKUs seven win', async (t) => {
  const show = await openShow({ units: { S: 7, M: 7 }, perBuyer: 2 });
  const requestsOf = (batch: number) =>
    times(25, (i) => ({ user: `racer${batch}-${i}`, key: 'k', sale: 'sale', lines: items({ S: 1, M: 1 }) }));
  const batches = times(8, (batch) => storeOf(batch).reserve(show, requestsOf(batch)));
  t.same(countsOf((await Promise.all(batches)).flat()), { ok: 7, sold_out: 193 });
});

saleTest('one buyer on four devices stays within the limit', { units: { S: 50 }, perBuyer: 3 }, async (t, show) => {
  const results = await Promise.all(times(40, (i) => reserve(show, 'ann', { key: `k${i}` }, storeOf(i))));
  t.same(countsOf(results), { ok: 3, limit_exceeded: 37 });
});

saleTest('the same request from four devices is one reservation', {}, async (t, show) => {
  const results = await Promise.all(times(40, (i) => reserve(show, 'ann', {}, storeOf(i))));
  t.same(countsOf(results), { ok: 1, replayed: 39 });
  t.equal(new Set(results.map((result) => unwrap(result).reservation.id)).size, 1);
});

test('two confirms race: one order', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await openShow();
    const held = await hold(show, 'ann');
    const pay = (i: number) => confirm(show, held, { key: `pay${i}`, orderRef: `order${i}` }, storeOf(i));
    const results = await Promise.all([pay(0), pay(1)]);
    t.same(countsOf(results), { ok: 1, reservation_confirmed: 1 });
    t.equal((await fixture.books(show)).sold, 1);
  }
});

test('a confirm races a release: one end, and both get it', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await openShow();
    const held = await hold(show, 'ann');
    const confirming = confirm(show, held, {}, storeOf(round));
    const results = await Promise.all([confirming, release(show, held, {}, storeOf(round + 1))]);
    const isConfirmed = (await stateOf(show, held.id)) === 'confirmed';
    t.same(results.map(outcome), isConfirmed ? ['ok', 'reservation_confirmed'] : ['reservation_released', 'ok']);
  }
});

test('a confirm races the deadline: one winner, and both sides get it (I3)', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await openShow({ units: { S: 1 } });
    const held = await hold(show, 'ann');
    // The grace ends within milliseconds, sometimes before and sometimes after the confirm.
    await time.passDeadline(show, held.id, 500 - (round % 5));
    const [confirmed, ticked, reserved] = await Promise.all([
      confirm(show, held, {}, storeOf(1)),
      storeOf(2).tick(show),
      reserve(show, 'bob', {}, storeOf(3)),
    ]);
    t.ok(ticked.ok);
    const state = await stateOf(show, held.id);
    t.equal(outcome(confirmed), state === 'confirmed' ? 'ok' : 'reservation_expired');
    if (outcome(reserved) === 'ok') t.equal(state, 'expired', 'the unit was not sold twice');
    const { held: open, sold, available } = await fixture.books(show);
    t.equal(open + sold + available, 1);
  }
});

test('two refunds race, and the buyer reserves again: one refund (I1 to I3)', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await openShow({ units: { S: 1 } });
    const sold = await order(show, 'ann');
    const [one, two, again] = await Promise.all([
      refund(show, sold, { key: 'one' }, storeOf(round)),
      refund(show, sold, { key: 'two', restock: false }, storeOf(round + 1)),
      reserve(show, 'ann', { key: 'again' }, storeOf(round + 2)),
    ]);
    t.same([one, two].map(outcome).sort(), ['ok', 'reservation_refunded']);
    const found = await fixture.books(show);
    t.equal(found.withdrawn, outcome(two) === 'ok' ? 1 : 0);
    t.equal(found.held, outcome(again) === 'ok' ? 1 : 0);
    t.equal(found.available + found.held + found.withdrawn, 1);
  }
});

saleTest('units are added and withdrawn while buyers reserve', { units: { S: 20 } }, async (t, show) => {
  const deltas = times(20, (i) => unitsMove(i % 2 === 0 ? 3 : -2));
  const moves = deltas.map((move, i) => storeOf(i).moveSale(show, 'sale', move, byHost(`m${i}`)));
  const asks = times(100, (i) => reserve(show, `racer${i}`, {}, storeOf(i)));
  const ticks = times(10, (i) => storeOf(i).tick(show));
  const [moved, asked] = await Promise.all([Promise.all(moves), Promise.all(asks), Promise.all(ticks)]);
  const count = (results: ReadonlyArray<{ ok: boolean }>) => results.filter(({ ok }) => ok).length;
  const withdrawn = 2 * count(moved.filter((_, i) => i % 2 === 1));
  t.match(await fixture.books(show), { allocated: 50, withdrawn, held: count(asked) });
});
