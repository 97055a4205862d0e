/**
 * Many connections want the same thing at once: one of them gets it, and all of them learn the
 * truth.
 */
import { HOST, outcome, StoreFixture, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('races:');
const { time } = fixture;
const stores = [
  fixture.store,
  await fixture.connectAnother(),
  await fixture.connectAnother(),
  await fixture.connectAnother(),
];
const storeOf = (i: number) => stores[i % stores.length] ?? fixture.store;

const tally = (outcomes: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of outcomes) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

fixture.test('200 racers on the last unit: exactly one wins', async (t) => {
  const show = await fixture.openShow({ units: { S: 1 } });
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) => fixture.reserve(show, `racer${i}`, {}, storeOf(i))),
  );
  t.same(tally(answers.map(outcome)), { ok: 1, sold_out: 199 });
  t.same(await fixture.books(show), { allocated: 1, available: 0, held: 1, sold: 0, withdrawn: 0 });
});

fixture.test('200 racers in batches on seven units of two SKUs', async (t) => {
  const show = await fixture.openShow({ units: { S: 7, M: 7 }, perBuyer: 2 });
  const both = [
    { sku: 'S', qty: 1 },
    { sku: 'M', qty: 1 },
  ];
  const batches = Array.from({ length: 8 }, (_, batch) =>
    storeOf(batch).reserve(
      show,
      Array.from({ length: 25 }, (_, i) => ({ user: `racer${batch}-${i}`, key: 'k', sale: 'sale', lines: both })),
    ),
  );
  t.same(tally((await Promise.all(batches)).flat().map(outcome)), { ok: 7, sold_out: 193 });
});

fixture.test('one buyer on four devices stays within the limit', async (t) => {
  const show = await fixture.openShow({ units: { S: 50 }, perBuyer: 3 });
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => fixture.reserve(show, 'ann', { key: `k${i}` }, storeOf(i))),
  );
  t.same(tally(answers.map(outcome)), { ok: 3, limit_exceeded: 37 });
});

fixture.test('the same request from four devices is one reservation', async (t) => {
  const show = await fixture.openShow();
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => fixture.reserve(show, 'ann', {}, storeOf(i))));
  t.same(tally(answers.map(outcome)), { ok: 1, replayed: 39 });
  t.equal(new Set(answers.map((answer) => unwrap(answer).reservation.id)).size, 1);
});

fixture.test('two confirms race: one order', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await fixture.openShow();
    const held = await fixture.hold(show, 'ann');
    const answers = await Promise.all(
      [0, 1].map((i) => fixture.confirm(show, held, { key: `pay${i}`, orderRef: `order${i}` }, storeOf(i))),
    );
    t.same(tally(answers.map(outcome)), { ok: 1, reservation_confirmed: 1 });
    t.equal((await fixture.books(show)).sold, 1);
  }
});

fixture.test('a confirm races the release by the buyer: one end, both are told which', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await fixture.openShow();
    const held = await fixture.hold(show, 'ann');
    const [confirmed, released] = await Promise.all([
      fixture.confirm(show, held, {}, storeOf(round)),
      fixture.release(show, held, {}, storeOf(round + 1)),
    ]);
    const state = await fixture.stateOf(show, held.id);
    if (state === 'confirmed') t.same([confirmed, released].map(outcome), ['ok', 'reservation_confirmed']);
    else t.same([confirmed, released].map(outcome), ['reservation_released', 'ok']);
  }
});

fixture.test('a confirm races the deadline: one winner, both sides learn which', async (t) => {
  for (let round = 0; round < 10; round++) {
    const show = await fixture.openShow({ units: { S: 1 } });
    const held = await fixture.hold(show, 'ann');
    // The grace ends within the next milliseconds: sometimes before the confirm, sometimes after
    // it.
    await time.passDeadline(show, held.id, 500 - (round % 5));
    const [confirmed, ticked, reserved] = await Promise.all([
      fixture.confirm(show, held, {}, storeOf(1)),
      storeOf(2).tick(show),
      fixture.reserve(show, 'bob', {}, storeOf(3)),
    ]);
    t.ok(ticked.ok);
    const state = await fixture.stateOf(show, held.id);
    t.equal(outcome(confirmed), state === 'confirmed' ? 'ok' : 'reservation_expired');
    if (outcome(reserved) === 'ok') t.equal(state, 'expired', 'the unit was not sold twice');
    const { held: open, sold, available } = await fixture.books(show);
    t.equal(open + sold + available, 1);
  }
});

fixture.test('buyers, host and clock at once: units added and withdrawn in a rush', async (t) => {
  const show = await fixture.openShow({ units: { S: 20 } });
  const moves = Array.from({ length: 20 }, (_, i) =>
    storeOf(i).moveSale(
      show,
      'sale',
      { op: 'units', sku: 'S', delta: i % 2 === 0 ? 3 : -2 },
      { key: `m${i}`, actor: HOST },
    ),
  );
  const asks = Array.from({ length: 100 }, (_, i) => fixture.reserve(show, `racer${i}`, {}, storeOf(i)));
  const ticks = Array.from({ length: 10 }, (_, i) => storeOf(i).tick(show));
  const [moved, asked] = await Promise.all([Promise.all(moves), Promise.all(asks), Promise.all(ticks)]);
  const count = (answers: ReadonlyArray<{ ok: boolean }>) => answers.filter(({ ok }) => ok).length;
  const withdrawn = 2 * count(moved.filter((_, i) => i % 2 === 1));
  const books = await fixture.books(show);
  t.equal(books.allocated, 50);
  t.equal(books.withdrawn, withdrawn);
  t.equal(books.held, count(asked));
});
