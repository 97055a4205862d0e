/** Concurrent requests on several connections: one wins, and all get the right result. */
import { HOST, items, outcome, StoreFixture, times, unitsMove, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('races:');
const { time, reserve, hold, confirm, release, stateOf, openShow, connectAnother } = fixture;
const stores = [fixture.store, await connectAnother(), await connectAnother(), await connectAnother()];
const storeOf = (i: number) => stores[i % stores.length] ?? fixture.store;

const countsOf = (outcomes: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of outcomes) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

fixture.test('of 200 concurrent requests for the last unit exactly one wins', async (t) => {
  const show = await openShow({ units: { S: 1 } });
  const results = await Promise.all(times(200, (i) => reserve(show, `racer${i}`, {}, storeOf(i))));
  t.same(countsOf(results.map(outcome)), { ok: 1, sold_out: 199 });
  t.same(await fixture.books(show), { allocated: 1, available: 0, held: 1, sold: 0, withdrawn: 0 });
});

fixture.test('of 200 requests in batches for seven units of two SKUs seven win', async (t) => {
  const show = await openShow({ units: { S: 7, M: 7 }, perBuyer: 2 });
  const both = items({ S: 1, M: 1 });
  const batches = times(8, (batch) =>
    storeOf(batch).reserve(
      show,
      times(25, (i) => ({ user: `racer${batch}-${i}`, key: 'k', sale: 'sale', lines: both })),
    ),
  );
  t.same(countsOf((await Promise.all(batches)).flat().map(outcome)), { ok: 7, sold_out: 193 });
});

fixture.test('one buyer on four devices stays within the limit', async (t) => {
  const show = await openShow({ units: { S: 50 }, perBuyer: 3 });
  const results = await Promise.all(times(40, (i) => reserve(show, 'ann', { key: `k${i}` }, storeOf(i))));
  t.same(countsOf(results.map(outcome)), { ok: 3, limit_exceeded: 37 });
});

fixture.saleTest('the same request from four devices is one reservation', {}, async (t, show) => {
  const results = await Promise.all(times(40, (i) => reserve(show, 'ann', {}, storeOf(i))));
  t.same(countsOf(results.map(outcome)), { ok: 1, replayed: 39 });
  t.equal(new Set(results.map((result) => unwrap(result).reservation.id)).size, 1);
});

fixture.test('two confirms race: one order', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await openShow();
    const held = await hold(show, 'ann');
    const results = await Promise.all(
      [0, 1].map((i) => confirm(show, held, { key: `pay${i}`, orderRef: `order${i}` }, storeOf(i))),
    );
    t.same(countsOf(results.map(outcome)), { ok: 1, reservation_confirmed: 1 });
    t.equal((await fixture.books(show)).sold, 1);
  }
});

fixture.test('a confirm races a release: one end, and both get it', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await openShow();
    const held = await hold(show, 'ann');
    const [confirmed, released] = await Promise.all([
      confirm(show, held, {}, storeOf(round)),
      release(show, held, {}, storeOf(round + 1)),
    ]);
    const state = await stateOf(show, held.id);
    if (state === 'confirmed') t.same([confirmed, released].map(outcome), ['ok', 'reservation_confirmed']);
    else t.same([confirmed, released].map(outcome), ['reservation_released', 'ok']);
  }
});

fixture.test('a confirm races the deadline: one winner, and both sides get it (I3)', async (t) => {
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

fixture.saleTest('units are added and withdrawn while buyers reserve', { units: { S: 20 } }, async (t, show) => {
  const moves = times(20, (i) =>
    storeOf(i).moveSale(show, 'sale', unitsMove(i % 2 === 0 ? 3 : -2), { key: `m${i}`, actor: HOST }),
  );
  const asks = times(100, (i) => reserve(show, `racer${i}`, {}, storeOf(i)));
  const ticks = times(10, (i) => storeOf(i).tick(show));
  const [moved, asked] = await Promise.all([Promise.all(moves), Promise.all(asks), Promise.all(ticks)]);
  const count = (results: ReadonlyArray<{ ok: boolean }>) => results.filter(({ ok }) => ok).length;
  const withdrawn = 2 * count(moved.filter((_, i) => i % 2 === 1));
  const books = await fixture.books(show);
  t.equal(books.allocated, 50);
  t.equal(books.withdrawn, withdrawn);
  t.equal(books.held, count(asked));
});
