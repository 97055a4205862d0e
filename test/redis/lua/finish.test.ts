/** finish.lua: confirm and release. Each reservation ends once (I3), each key counts once (I4). */
import { LIMITS } from '../../../src/limits.ts';
import type { ReservationView } from '../../../src/protocol/messages.ts';
import { byHost, HOST, items, outcome, refused, replayOf, StoreFixture, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('finish:');
const { test, saleTest, store, time, openShow, connectAnother, hold } = fixture;
const { confirm, release, books, move, ledger, stateOf, reservationsOf, published } = fixture;

saleTest('a confirm makes an order: state, order reference, amount, books', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  const confirmed = unwrap(await confirm(show, held, { orderRef: 'A-1' }));
  t.notOk(confirmed.replayed);
  t.match(confirmed.reservation, { ...held, state: 'confirmed', orderRef: 'A-1', endedAt: Number });
  t.same(await books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 });
  t.same(unwrap(await store.getReservation(show, held.id)), confirmed.reservation);
  t.same(await reservationsOf(show, ['ann']), [[confirmed.reservation]], 'an order stays with its buyer');
  const moved = [['S', 1, 9, 1, 0, 0, 9, 0, 1, 0]];
  const entry = ['confirm', 'sale', held.id, 'ann', HOST, `confirm:${held.id}`, 'A-1', moved, { amount: 1000 }];
  t.match((await ledger(show)).at(-1), entry);
});

saleTest('an order reference names one order of a show', { perBuyer: 3 }, async (t, show) => {
  const [first, second] = [await hold(show, 'ann'), await hold(show, 'bob')];
  const paid = unwrap(await confirm(show, first, { key: 'pay', orderRef: 'A-1' }));
  const taken = refused('order_ref_taken', { reservation: first.id, orderRef: 'A-1' });
  t.match(await confirm(show, second, { key: 'late', orderRef: 'A-1' }), taken);
  t.equal(await stateOf(show, second.id), 'held', 'a refusal changes nothing');
  t.same(
    await confirm(show, first, { key: 'pay', orderRef: 'A-1' }),
    replayOf(paid),
    'a repeat is no second order (I4)',
  );
  t.equal(outcome(await confirm(show, second, { key: 'late', orderRef: 'A-2' })), 'ok');
  const other = await openShow();
  t.equal(outcome(await confirm(other, await hold(other, 'ann'), { orderRef: 'A-1' })), 'ok', 'of another show');
});

saleTest('notes of an order are neither in the ledger nor published', { perBuyer: 3 }, async (t, show) => {
  const [held, order] = [await hold(show, 'ann'), await hold(show, 'bob')];
  const { reservation } = unwrap(await confirm(show, order));
  const entries = (await ledger(show)).length;
  const commits = await published(show, async () => {
    const noted = unwrap(await store.changeOrder(show, order.id, { note: 'gift', fulfillment: 'fulfilled' }));
    t.match(noted, { id: order.id, note: 'gift', fulfillment: 'fulfilled' });
    unwrap(await store.changeOrder(show, order.id, { tracking: 'T-1', note: null }));
  });
  t.same(commits, []);
  t.equal((await ledger(show)).length, entries);
  const { note, tracking, fulfillment } = unwrap(await store.getOrder(show, order.id));
  t.same([note, tracking, fulfillment], [undefined, 'T-1', 'fulfilled']);
  t.same(unwrap(await store.getReservation(show, order.id)), reservation, 'buyers see what they saw');
  unwrap(await store.changeOrder(show, order.id, { tracking: null, fulfillment: 'unfulfilled' }));
  t.same(unwrap(await store.getOrder(show, order.id)).fulfillment, undefined);
  t.match(await store.changeOrder(show, held.id, { note: 'x' }), refused('illegal_move', { state: 'held' }));
  t.equal(outcome(await store.changeOrder(show, 'r-none', { note: 'x' })), 'reservation_not_found');
  t.equal(outcome(await store.getOrder(show, held.id)), 'reservation_not_found');
});

saleTest('a release frees the units', { units: { S: 10, M: 10 }, perBuyer: 4 }, async (t, show) => {
  const held = await hold(show, 'ann', { lines: items({ S: 1, M: 3 }) });
  const released = unwrap(await release(show, held));
  t.match(released.reservation, { id: held.id, state: 'released', endedAt: Number });
  for (const sku of ['S', 'M'])
    t.same(await books(show, sku), { allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 });
  t.same(await reservationsOf(show, ['ann']), [[]]);
});

saleTest('each commit has the reservation and the units that are left', {}, async (t, show) => {
  const [first, second] = [await hold(show, 'ann'), await hold(show, 'bob')];
  const [confirmed] = await published(show, () => confirm(show, first));
  t.match(confirmed, { reservations: [{ id: first.id, state: 'confirmed' }], sales: [{ left: { S: 8 } }] });
  const [released] = await published(show, () => release(show, second));
  t.match(released, { reservations: [{ id: second.id, state: 'released' }], sales: [{ left: { S: 9 } }] });
  t.same([confirmed?.events, released?.events], [[], []]);
});

const ends: Record<string, (show: string, held: ReservationView) => Promise<unknown>> = {
  confirmed: (show, held) => confirm(show, held, { key: 'first' }),
  released: (show, held) => release(show, held, { key: 'first' }),
  expired: (show, held) => time.passDeadline(show, held.id),
};
for (const [state, end] of Object.entries(ends)) {
  saleTest(`a ${state} reservation does not end again`, {}, async (t, show) => {
    const held = await hold(show, 'ann');
    await end(show, held);
    const attempts = [
      await confirm(show, held, { key: 'again' }),
      await release(show, held, { key: 'again2' }),
      await release(show, held, { key: 'again3', actor: HOST }),
    ];
    for (const attempt of attempts) t.match(attempt, refused(`reservation_${state}`, { state, endedAt: Number }));
    t.equal(await stateOf(show, held.id), state);
    const sold = state === 'confirmed' ? 1 : 0;
    t.same(await books(show), { allocated: 10, available: 10 - sold, held: 0, sold, withdrawn: 0 });
  });
}

test('a repeated key returns its result, with another body a conflict; another key gets the state', async (t) => {
  const show = await openShow();
  const held = await hold(show, 'ann');
  const other = await hold(show, 'bob');
  const first = unwrap(await confirm(show, held, { key: 'pay', orderRef: 'A-1' }));
  t.same(await confirm(show, held, { key: 'pay', orderRef: 'A-1' }), replayOf(first));
  const conflicts = {
    'another order reference': () => confirm(show, held, { key: 'pay', orderRef: 'A-2' }),
    'another amount': () => confirm(show, held, { key: 'pay', orderRef: 'A-1', amount: 1 }),
    'another reservation': () => confirm(show, other, { key: 'pay', orderRef: 'A-1' }),
    'another command': () => release(show, held, { key: 'pay', actor: HOST }),
  };
  for (const [name, call] of Object.entries(conflicts)) t.equal(outcome(await call()), 'idempotency_conflict', name);
  t.match(await confirm(show, held, { key: 'pay2' }), refused('reservation_confirmed', { orderRef: 'A-1' }));
  t.equal(await stateOf(show, other.id), 'held');

  const released = unwrap(await release(show, other, { key: 'drop' }));
  t.same(await release(show, other, { key: 'drop' }), replayOf(released));
  t.equal(outcome(await release(show, other, { key: 'drop2' })), 'reservation_released');
  t.equal(outcome(await confirm(show, held, { key: 'drop', actor: 'user:bob' })), 'idempotency_conflict');
});

saleTest('a key names one command, a release or a join', { units: { S: 2, M: 1 }, perBuyer: 5 }, async (t, show) => {
  await hold(show, 'bob', { sku: 'M' });
  const held = await hold(show, 'ann');
  const join = (key: string) => store.waitlist(show, { op: 'join', user: 'ann', key, sale: 'sale', sku: 'M' });
  t.match(await join('one'), { ok: true });
  t.equal(outcome(await release(show, held, { key: 'one', actor: 'user:ann' })), 'idempotency_conflict');
  t.equal(outcome(await release(show, held, { key: 'two', actor: 'user:ann' })), 'ok');
  t.match(await join('two'), refused('idempotency_conflict'));
});

saleTest('a key belongs to its actor', {}, async (t, show) => {
  const [ann, bob] = [await hold(show, 'ann'), await hold(show, 'bob')];
  t.equal(outcome(await release(show, ann, { key: 'x' })), 'ok');
  t.equal(outcome(await release(show, bob, { key: 'x' })), 'ok');
});

saleTest('the amount charged must be the amount reserved, and a mismatch changes nothing', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  const mismatch = refused('amount_mismatch', { amount: 1000, currency: 'EUR' });
  for (const amount of [0, 999, 1001, -1000, 1000.5, Number.NaN, Number.MAX_SAFE_INTEGER])
    t.match(await confirm(show, held, { key: `a${amount}`, amount }), mismatch, String(amount));
  t.equal(await stateOf(show, held.id), 'held');
  t.equal(outcome(await confirm(show, held, { key: 'a999', amount: 1000 })), 'ok', 'a refused key may be used again');
});

saleTest('another buyer cannot release a reservation; the host can', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  t.equal(outcome(await release(show, held, { user: 'bob' })), 'reservation_not_found');
  t.equal(await stateOf(show, held.id), 'held');
  t.equal(outcome(await store.release(show, held.id, byHost('h'))), 'ok');
});

saleTest('unknown reservation, unknown show', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  const unknown = { ...held, id: 'r-unknown' };
  t.equal(outcome(await confirm(show, unknown)), 'reservation_not_found');
  t.equal(outcome(await release(show, unknown)), 'reservation_not_found');
  t.equal(outcome(await store.getReservation(show, 'r-unknown')), 'reservation_not_found');
  t.equal(outcome(await confirm('nowhere', held)), 'show_not_found');
  t.equal(outcome(await release('nowhere', held)), 'show_not_found');
});

saleTest('a confirm within the grace after the deadline wins, a later one is refused', {}, async (t, show) => {
  const [intime, late] = [await hold(show, 'ann'), await hold(show, 'bob')];
  await time.passDeadline(show, intime.id, 10);
  t.equal(outcome(await confirm(show, intime)), 'ok', 'within the grace');
  await time.passDeadline(show, late.id, LIMITS.confirmGraceMs + 1);
  t.equal(outcome(await confirm(show, late)), 'reservation_expired');
  t.same(await books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 });
});

test('holds of a paused or ended sale can be confirmed and released, of a cancelled one not', async (t) => {
  for (const op of ['pause', 'end'] as const) {
    const show = await openShow();
    const [ann, bob] = [await hold(show, 'ann'), await hold(show, 'bob')];
    unwrap(await move(show, { op }));
    t.equal(outcome(await confirm(show, ann)), 'ok', `confirm after ${op}`);
    t.equal(outcome(await release(show, bob)), 'ok', `release after ${op}`);
    t.same(await books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 });
  }
  const show = await openShow();
  const [ann, bob] = [await hold(show, 'ann'), await hold(show, 'bob')];
  unwrap(await confirm(show, ann));
  unwrap(await move(show, { op: 'cancel' }));
  t.equal(await stateOf(show, bob.id), 'released', 'the cancel released it');
  t.equal(outcome(await confirm(show, bob)), 'reservation_released');
  t.same(await books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 }, 'orders stay');
});

saleTest('a hold of a cancelled sale that is not released yet cannot be confirmed', {}, async (t, show) => {
  const held = await hold(show, 'ann');
  // The process that cancels may die between the move and the release of the holds.
  const other = await connectAnother();
  const cancelling = other.moveSale(show, 'sale', { op: 'cancel' }, byHost('cancel'));
  const [, confirmed] = await Promise.all([cancelling, confirm(show, held)]);
  t.ok(['ok', 'sale_cancelled', 'reservation_released'].includes(outcome(confirmed)), outcome(confirmed));
  t.equal(await stateOf(show, held.id), outcome(confirmed) === 'ok' ? 'confirmed' : 'released');
  t.equal((await books(show)).held, 0);
});
