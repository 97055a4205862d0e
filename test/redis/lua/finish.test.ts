/** finish.lua: confirm and release, each end once, and what each says when it comes second. */
import { LIMITS } from '../../../src/limits.ts';
import type { ReservationView } from '../../../src/protocol/messages.ts';
import { HOST, outcome, Stage, unwrap } from '../../support/stage.ts';

const stage = await Stage.open('finish:');
const { store, travel } = stage;

stage.scene('a confirm makes an order: state, order reference, amount, books', async (t) => {
  const show = await stage.openShow();
  const held = await stage.hold(show, 'ann');
  const confirmed = unwrap(await stage.confirm(show, held, { orderRef: 'A-1' }));
  t.notOk(confirmed.replayed);
  t.match(confirmed.reservation, { ...held, state: 'confirmed', orderRef: 'A-1', endedAt: Number });
  t.same(await stage.books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 });
  t.same(unwrap(await store.getReservation(show, held.id)), confirmed.reservation);
  t.same(await stage.reservationsOf(show, ['ann']), [[confirmed.reservation]], 'an order stays with its buyer');
  t.match((await stage.ledger(show)).at(-1), [
    'confirm',
    'sale',
    held.id,
    'ann',
    HOST,
    `confirm:${held.id}`,
    'A-1',
    [['S', 1, 9, 1, 0, 0, 9, 0, 1, 0]],
    { amount: 1000 },
  ]);
});

stage.scene('a release gives the units back', async (t) => {
  const show = await stage.openShow({ units: { S: 10, M: 10 }, perBuyer: 4 });
  const held = await stage.hold(show, 'ann', {
    lines: [
      { sku: 'S', qty: 1 },
      { sku: 'M', qty: 3 },
    ],
  });
  const released = unwrap(await stage.release(show, held));
  t.match(released.reservation, { id: held.id, state: 'released', endedAt: Number });
  for (const sku of ['S', 'M'])
    t.same(await stage.books(show, sku), { allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 });
  t.same(await stage.reservationsOf(show, ['ann']), [[]]);
});

stage.scene('each commit announces the reservation and, where units move to the public, what is left', async (t) => {
  const show = await stage.openShow();
  const [first, second] = [await stage.hold(show, 'ann'), await stage.hold(show, 'bob')];
  const confirmed = await stage.heard(show).during(() => stage.confirm(show, first));
  t.match(confirmed, [
    { reservations: [{ id: first.id, state: 'confirmed' }], sales: [{ left: { S: 8 } }], events: [] },
  ]);
  const released = await stage.heard(show).during(() => stage.release(show, second));
  t.match(released, [
    { reservations: [{ id: second.id, state: 'released' }], sales: [{ left: { S: 9 } }], events: [] },
  ]);
});

/** How each end comes about. */
const ends: Record<'confirmed' | 'released' | 'expired', (show: string, held: ReservationView) => Promise<unknown>> = {
  confirmed: (show, held) => stage.confirm(show, held, { key: 'first' }),
  released: (show, held) => stage.release(show, held, { key: 'first' }),
  expired: (show, held) => travel.deadline(show, held.id),
};
for (const [state, end] of Object.entries(ends)) {
  stage.scene(`a reservation that is ${state} ends no second time`, async (t) => {
    const show = await stage.openShow();
    const held = await stage.hold(show, 'ann');
    await end(show, held);
    const attempts = [
      () => stage.confirm(show, held, { key: 'again' }),
      () => stage.release(show, held, { key: 'again2' }),
      () => stage.release(show, held, { key: 'again3', actor: HOST }),
    ];
    for (const attempt of attempts)
      t.match(await attempt(), {
        ok: false,
        error: { code: `reservation_${state}`, details: { state, endedAt: Number } },
      });
    t.equal(await stage.stateOf(show, held.id), state);
    const sold = state === 'confirmed' ? 1 : 0;
    t.same(await stage.books(show), { allocated: 10, available: 10 - sold, held: 0, sold, withdrawn: 0 });
  });
}

stage.scene(
  'the same key answers again; the same key with another body conflicts; a second key is told the state',
  async (t) => {
    const show = await stage.openShow();
    const held = await stage.hold(show, 'ann');
    const other = await stage.hold(show, 'bob');
    const first = unwrap(await stage.confirm(show, held, { key: 'pay', orderRef: 'A-1' }));
    t.same(await stage.confirm(show, held, { key: 'pay', orderRef: 'A-1' }), {
      ok: true,
      value: { ...first, replayed: true },
    });
    t.equal(
      outcome(await stage.confirm(show, held, { key: 'pay', orderRef: 'A-2' })),
      'idempotency_conflict',
      'another order reference',
    );
    t.equal(
      outcome(await stage.confirm(show, held, { key: 'pay', orderRef: 'A-1', amount: 1 })),
      'idempotency_conflict',
      'another amount',
    );
    t.equal(
      outcome(await stage.confirm(show, other, { key: 'pay', orderRef: 'A-1' })),
      'idempotency_conflict',
      'another reservation',
    );
    t.equal(
      outcome(await stage.release(show, held, { key: 'pay', actor: HOST })),
      'idempotency_conflict',
      'another command',
    );
    t.match(await stage.confirm(show, held, { key: 'pay2' }), {
      ok: false,
      error: { code: 'reservation_confirmed', details: { orderRef: 'A-1' } },
    });
    t.equal(await stage.stateOf(show, other.id), 'held');

    const released = unwrap(await stage.release(show, other, { key: 'drop' }));
    t.same(await stage.release(show, other, { key: 'drop' }), { ok: true, value: { ...released, replayed: true } });
    t.equal(outcome(await stage.release(show, other, { key: 'drop2' })), 'reservation_released');
    t.equal(outcome(await stage.confirm(show, held, { key: 'drop', actor: 'user:bob' })), 'idempotency_conflict');
  },
);

stage.scene('a key of a buyer is one command, whether they give back or stand in line', async (t) => {
  const show = await stage.openShow({ units: { S: 2, M: 1 }, perBuyer: 5 });
  await stage.hold(show, 'bob', { lines: [{ sku: 'M', qty: 1 }] });
  const held = await stage.hold(show, 'ann');
  const join = (key: string): Promise<unknown> =>
    store.waitlist(show, { op: 'join', user: 'ann', key, sale: 'sale', sku: 'M' });
  t.match(await join('one'), { ok: true });
  t.equal(outcome(await stage.release(show, held, { key: 'one', actor: 'user:ann' })), 'idempotency_conflict');
  t.equal(outcome(await stage.release(show, held, { key: 'two', actor: 'user:ann' })), 'ok');
  t.match(await join('two'), { ok: false, error: { code: 'idempotency_conflict' } });
});

stage.scene('a key belongs to its actor', async (t) => {
  const show = await stage.openShow();
  const [ann, bob] = [await stage.hold(show, 'ann'), await stage.hold(show, 'bob')];
  t.equal(outcome(await stage.release(show, ann, { key: 'x' })), 'ok');
  t.equal(outcome(await stage.release(show, bob, { key: 'x' })), 'ok');
});

stage.scene('the amount charged must be the amount of the reservation, and a mismatch changes nothing', async (t) => {
  const show = await stage.openShow();
  const held = await stage.hold(show, 'ann');
  for (const amount of [0, 999, 1001, -1000, 1000.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
    t.match(
      await stage.confirm(show, held, { key: `a${amount}`, amount }),
      { ok: false, error: { code: 'amount_mismatch', details: { amount: 1000, currency: 'EUR' } } },
      String(amount),
    );
  }
  t.equal(await stage.stateOf(show, held.id), 'held');
  t.equal(
    outcome(await stage.confirm(show, held, { key: 'a999', amount: 1000 })),
    'ok',
    'a refusal does not use its key up',
  );
});

stage.scene('another buyer can neither see nor release a reservation; the host can', async (t) => {
  const show = await stage.openShow();
  const held = await stage.hold(show, 'ann');
  t.equal(outcome(await stage.release(show, held, { user: 'bob' })), 'reservation_not_found');
  t.equal(await stage.stateOf(show, held.id), 'held');
  t.equal(outcome(await store.release(show, held.id, { key: 'h', actor: HOST })), 'ok');
});

stage.scene('unknown reservation, unknown show', async (t) => {
  const show = await stage.openShow();
  const held = await stage.hold(show, 'ann');
  const stranger = { ...held, id: 'r-unknown' };
  t.equal(outcome(await stage.confirm(show, stranger)), 'reservation_not_found');
  t.equal(outcome(await stage.release(show, stranger)), 'reservation_not_found');
  t.equal(outcome(await store.getReservation(show, 'r-unknown')), 'reservation_not_found');
  t.equal(outcome(await stage.confirm('nowhere', held)), 'show_not_found');
  t.equal(outcome(await stage.release('nowhere', held)), 'show_not_found');
});

stage.scene('a confirm just after the deadline still wins; once the grace is over it is told so', async (t) => {
  const show = await stage.openShow();
  const [intime, late] = [await stage.hold(show, 'ann'), await stage.hold(show, 'bob')];
  await travel.deadline(show, intime.id, 10);
  t.equal(outcome(await stage.confirm(show, intime)), 'ok', 'within the grace');
  await travel.deadline(show, late.id, LIMITS.confirmGraceMs + 1);
  t.equal(outcome(await stage.confirm(show, late)), 'reservation_expired');
  t.same(await stage.books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 });
});

stage.scene(
  'a paused or ended sale lets open holds be confirmed and released; a cancelled one does not confirm',
  async (t) => {
    for (const op of ['pause', 'end'] as const) {
      const show = await stage.openShow();
      const [ann, bob] = [await stage.hold(show, 'ann'), await stage.hold(show, 'bob')];
      unwrap(await store.moveSale(show, 'sale', { op }, { key: op, actor: HOST }));
      t.equal(outcome(await stage.confirm(show, ann)), 'ok', `confirm after ${op}`);
      t.equal(outcome(await stage.release(show, bob)), 'ok', `release after ${op}`);
      t.same(await stage.books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 });
    }
    const show = await stage.openShow();
    const [ann, bob] = [await stage.hold(show, 'ann'), await stage.hold(show, 'bob')];
    unwrap(await stage.confirm(show, ann));
    unwrap(await store.moveSale(show, 'sale', { op: 'cancel' }, { key: 'cancel', actor: HOST }));
    t.equal(await stage.stateOf(show, bob.id), 'released', 'the cancel released it');
    t.equal(outcome(await stage.confirm(show, bob)), 'reservation_released');
    t.same(await stage.books(show), { allocated: 10, available: 9, held: 0, sold: 1, withdrawn: 0 }, 'orders stay');
  },
);

stage.scene('a hold of a cancelled sale that is not released yet cannot be confirmed', async (t) => {
  const show = await stage.openShow();
  const held = await stage.hold(show, 'ann');
  // As if the process that cancels died between the move and the release of the holds.
  const other = await stage.another();
  const cancelling = other.moveSale(show, 'sale', { op: 'cancel' }, { key: 'cancel', actor: HOST });
  const confirming = stage.confirm(show, held);
  const [, confirmed] = await Promise.all([cancelling, confirming]);
  t.ok(['ok', 'sale_cancelled', 'reservation_released'].includes(outcome(confirmed)), outcome(confirmed));
  t.equal(await stage.stateOf(show, held.id), outcome(confirmed) === 'ok' ? 'confirmed' : 'released');
  t.equal((await stage.books(show)).held, 0);
});
