/** refund.lua: an order ends once more, its units and the limit of its buyer come back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../../src/limits.ts';
import { byHost, HOST, items, outcome, refused, replayOf, StoreFixture, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('refund:');
const { test, saleTest, store, client, time, openShow, hold, order, confirm, release, refund } = fixture;
const { books, move, ledger, stateOf, reservationsOf, published, reserve } = fixture;

saleTest('a refund makes the units available, and restores the limit of the buyer (I1, I2)', {}, async (t, show) => {
  const sold = await order(show, 'ann');
  t.equal(outcome(await reserve(show, 'ann', { key: 'more' })), 'limit_exceeded');
  const [commit] = await published(show, async () => {
    const done = unwrap(await refund(show, sold, { reason: 'wrong size' }));
    t.match(done, { replayed: false, order: { id: sold.id, state: 'refunded', refundReason: 'wrong size' } });
    t.match(done.order, { refundedAt: Number, restocked: true, endedAt: sold.endedAt, orderRef: sold.orderRef });
  });
  const seen = unwrap(await store.getReservation(show, sold.id));
  t.same(seen, { ...sold, state: 'refunded', refundedAt: seen.refundedAt }, 'without the reason');
  t.same(commit?.reservations, [seen]);
  t.match(commit?.sales, [{ left: { S: 10 } }]);
  t.same(await books(show), { allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 });
  const moved = [['S', 1, 9, 0, 1, 0, 10, 0, 0, 0]];
  const entry = ['refund', 'sale', sold.id, 'ann', HOST, `refund:${sold.id}`, 'restocked', moved, { amount: 1000 }];
  t.same((await ledger(show)).at(-1), entry);
  t.equal(outcome(await reserve(show, 'ann', { key: 'more' })), 'ok');
  const [listed = []] = await reservationsOf(show, ['ann']);
  t.same(listed.map(({ state }) => state).sort(), ['held', 'refunded'], 'the buyer still finds the order');
});

const two = { units: { S: 10, M: { perBuyer: 2 } }, perBuyer: 4 };
saleTest('units that are not restocked are withdrawn (I1)', two, async (t, show) => {
  const sold = await order(show, 'ann', { lines: items({ S: 1, M: 2 }) });
  t.match(unwrap(await refund(show, sold, { restock: false })).order, { restocked: false });
  t.same(await books(show), { allocated: 10, available: 9, held: 0, sold: 0, withdrawn: 1 });
  t.same(await books(show, 'M'), { allocated: 10, available: 8, held: 0, sold: 0, withdrawn: 2 });
  t.match((await ledger(show)).at(-1)?.[6], 'withdrawn');
  t.equal(outcome(await reserve(show, 'ann', { key: 'more', lines: items({ S: 2, M: 2 }) })), 'ok', 'limit of the SKU');
});

saleTest('an order is refunded once, and does not end in another way (I3, I4)', {}, async (t, show) => {
  const sold = await order(show, 'ann');
  const first = unwrap(await refund(show, sold, { key: 'one', reason: 'late' }));
  t.same(await refund(show, sold, { key: 'one', reason: 'late' }), replayOf(first));
  for (const other of [{ reason: 'early' }, {}, { reason: 'late', restock: false }])
    t.equal(outcome(await refund(show, sold, { key: 'one', ...other })), 'idempotency_conflict', JSON.stringify(other));
  const { refundedAt } = first.order;
  const again = refused('reservation_refunded', { state: 'refunded', refundedAt, orderRef: sold.orderRef });
  t.match(await refund(show, sold, { key: 'two' }), again);
  for (const attempt of [
    await confirm(show, sold, { key: 'three' }),
    await release(show, sold, { key: 'four' }),
    await store.extendHold(show, { reservation: sold.id, byMs: 1_000 }, byHost('five')),
  ])
    t.match(attempt, refused('reservation_refunded', { state: 'refunded' }));
  t.same(await books(show), { allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 });
  const [repeat] = await store.reserve(show, [{ user: 'ann', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] }]);
  const { endedAt: _ended, orderRef: _ref, ...made } = sold;
  t.match(repeat, { ok: true, value: { replayed: true } }, 'the key of the hold gets what it got');
  t.same(unwrap(repeat!).reservation, { ...made, state: 'held' });
});

saleTest('only orders are refunded', { perBuyer: 2 }, async (t, show) => {
  const held = await hold(show, 'ann');
  t.match(await refund(show, held), refused('illegal_move', { state: 'held' }));
  unwrap(await release(show, held));
  t.match(await refund(show, held), refused('illegal_move', { state: 'released' }));
  const late = await hold(show, 'bob');
  await time.passDeadline(show, late.id);
  t.match(await refund(show, late), refused('illegal_move', { state: 'expired' }));
  t.equal(outcome(await refund(show, { id: 'r-unknown' })), 'reservation_not_found');
  t.equal(outcome(await refund('nowhere', held)), 'show_not_found');
});

const waits = (user: string) => ({ op: 'join', user, key: 'w', sale: 'sale', sku: 'S', qty: 1 }) as const;
test('the waitlist of an open sale gets the units, that of an ended or cancelled one does not', async (t) => {
  for (const op of [null, 'end', 'cancel'] as const) {
    const show = await openShow({ units: { S: 1 } });
    const sold = await order(show, 'ann');
    unwrap(await store.waitlist(show, waits('bob')));
    if (op !== null) unwrap(await move(show, { op }));
    unwrap(await refund(show, sold));
    const [held, available] = op === null ? [1, 0] : [0, 1];
    t.same(await books(show), { allocated: 1, available, held, sold: 0, withdrawn: 0 }, String(op));
    const [ofBob = []] = await reservationsOf(show, ['bob']);
    t.equal(ofBob[0]?.offer, op === null ? true : undefined);
  }
});

saleTest('a sale that sold out has units again, which is an event', { units: { S: 1 } }, async (t, show) => {
  const sold = await order(show, 'ann');
  const types = await fixture.eventTypes(show, async () => {
    unwrap(await refund(show, sold));
    await sleep(LIMITS.soldOutEveryMs + 50);
    unwrap(await store.tick(show));
  });
  t.same(types, ['sale.stocked']);
});

saleTest('the reference stays in use, and notes stay', { perBuyer: 2 }, async (t, show) => {
  const sold = await order(show, 'ann');
  unwrap(await store.changeOrder(show, sold.id, { note: 'gift', fulfillment: 'fulfilled' }));
  unwrap(await refund(show, sold));
  const other = await hold(show, 'bob');
  const taken = refused('order_ref_taken', { reservation: sold.id });
  t.match(await confirm(show, other, { orderRef: sold.orderRef as string }), taken);
  unwrap(await store.changeOrder(show, sold.id, { tracking: 'back: T-1', note: null }));
  const found = unwrap(await store.getOrder(show, sold.id));
  t.match(found, { state: 'refunded', fulfillment: 'fulfilled', tracking: 'back: T-1', refundedAt: Number });
  t.equal(found.note, undefined);
});

test('also after the end of the show, until it is archived', async (t) => {
  const show = await openShow({ perBuyer: 2 });
  const [first, second] = [await order(show, 'ann'), await order(show, 'bob')];
  unwrap(await move(show, { op: 'end' }));
  unwrap(await store.endShow(show, HOST));
  unwrap(await refund(show, first));
  t.match(await books(show), { available: 9, sold: 1 });
  const frozen = unwrap(await store.freezeShow(show, 'job'));
  t.equal(outcome(await refund(show, second)), 'show_archived');
  unwrap(await store.thawShow(show, frozen.step === 'frozen' ? frozen.show.token : ''));
  t.equal(outcome(await refund(show, second)), 'ok');
});

saleTest('a buyer with many refunds finds a bounded number of them (I9)', {}, async (t, show) => {
  for (let n = 0; n <= LIMITS.refundsListedMax; n++)
    unwrap(await refund(show, await order(show, 'ann', { key: `k${n}` })));
  const [listed = []] = await reservationsOf(show, ['ann']);
  t.equal(listed.length, LIMITS.refundsListedMax);
  t.match(await books(show), { available: 10, sold: 0 });
});

saleTest('the order of an erased buyer is refunded under the pseudonym', { perBuyer: 2 }, async (t, show) => {
  const sold = await order(show, 'ann');
  const earlier = await order(show, 'ann', { key: 'second' });
  unwrap(await refund(show, earlier, { reason: 'ann moved' }));
  const buyers = time.key(show, 'buyers');
  const record = await client.hgetBuffer(buyers, 'ann');
  await client.hset(time.key(show, 'show'), 'erasing', Date.now());
  await client.hdel(buyers, 'ann');
  t.match(await refund(show, sold), { error: { code: 'overloaded' } }, 'the erasure has begun');
  await client.hdel(time.key(show, 'show'), 'erasing');
  await client.hset(buyers, 'ann', record as Buffer);
  const erased = { user: 'ann', pseudonym: 'erased-1' };
  t.match(unwrap(await store.eraseInShow(show, erased)), { step: 'done' });
  const kept = unwrap(await store.getOrder(show, earlier.id));
  t.match(kept, { user: 'erased-1', state: 'refunded', refundedAt: Number, restocked: true });
  t.equal(kept.refundReason, undefined, 'what the host wrote may name the user');
  t.match(unwrap(await refund(show, sold)).order, { user: 'erased-1', state: 'refunded' });
  t.equal(await client.hexists(buyers, 'erased-1'), 0);
  t.match(await books(show), { available: 10, sold: 0 });
  t.equal(await stateOf(show, sold.id), 'refunded');
  t.match(unwrap(await store.verify(show)), { violations: { length: 0 } });
  await fixture.skipCommitCheck(show);
});

saleTest('an erasure that did not finish within an hour no longer stops refunds', {}, async (t, show) => {
  const sold = await order(show, 'ann');
  await client.hdel(time.key(show, 'buyers'), 'ann');
  await client.hset(time.key(show, 'show'), 'erasing', Date.now() - LIMITS.erasureMarkMs - 1_000);
  t.equal(outcome(await refund(show, sold)), 'ok');
  await fixture.skipCommitCheck(show);
});

saleTest('books that drifted are repaired with the refunds', { perBuyer: 2 }, async (t, show) => {
  const [first, second] = [await order(show, 'ann'), await order(show, 'bob')];
  unwrap(await refund(show, first));
  unwrap(await refund(show, second, { restock: false }));
  const right = await books(show);
  const stock = time.key(show, 'stock');
  const record = (await client.hgetBuffer(stock, 'sale/S')) as Buffer;
  const drifted = Buffer.from(record);
  drifted[2] = 7;
  await client.hset(stock, 'sale/S', drifted);
  t.match(unwrap(await store.reconcile(show, HOST)), { repaired: ['sale/S'], untrusted: [], violations: [] });
  t.same(await books(show), right);
});
