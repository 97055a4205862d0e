/** reserve.lua: all its results, through the store. */
import { LIMITS } from '../../../src/limits.ts';
import { listen } from '../../support/listen.ts';
import { items, outcome, pluck, refused, replayOf, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('reserve:');
const { test, showTest, saleTest, store, reserve, books, time, hold } = fixture;
const { confirm, release, move, ledger, stateOf, openShow, newSale, reservationsOf, published, client } = fixture;

const twoPrices = { S: { quantity: 10, price: 1999 }, M: { quantity: 5, price: 500 } };
const priced = { units: twoPrices, perBuyer: 5, holdMs: 60_000 };
saleTest('a hold has items, amount, currency and deadline, and the books match', priced, async (t, show) => {
  const { reservation, replayed } = unwrap(await reserve(show, 'ann', { lines: items({ S: 2, M: 1 }) }));
  t.notOk(replayed);
  t.match(reservation, { sale: 'sale', user: 'ann', state: 'held', amount: 2 * 1999 + 500, currency: 'EUR' });
  t.equal(reservation.heldUntil - reservation.createdAt, 60_000);
  t.same(Object.fromEntries(reservation.lines.map(({ sku, qty }) => [sku, qty])), { S: 2, M: 1 });
  t.equal(reservation.lines.length, 2);
  t.same(await books(show, 'S'), { allocated: 10, available: 8, held: 2, sold: 0, withdrawn: 0 });
  t.same(await books(show, 'M'), { allocated: 5, available: 4, held: 1, sold: 0, withdrawn: 0 });
  t.same(unwrap(await store.getReservation(show, reservation.id)), reservation);
  t.same(await reservationsOf(show, ['ann', 'bob']), [[reservation], []]);
});

saleTest('a lookup ends after a bounded number of holders (I9)', { units: { S: 300 } }, async (t, show) => {
  const holders = times(LIMITS.holdersPerCallMax + 1, (i) => `u${i}`);
  await Promise.all(holders.map((user) => hold(show, user)));
  const found = unwrap(await store.holdingsOf(show, ['new', ...holders]));
  t.same([found.length, found[0]?.sales, found.at(-1)?.sales], [LIMITS.holdersPerCallMax + 1, [], ['sale']]);
});

saleTest('one commit has exactly the hold and what is left', { units: { S: 10, M: 5 } }, async (t, show) => {
  const [commit, ...more] = await published(show, () => hold(show, 'ann'));
  t.match(commit, { reservations: [{ user: 'ann', state: 'held' }], sales: [{ id: 'sale', state: 'open' }] });
  t.same(commit?.sales[0]?.left, { S: 9 }, 'only the SKU that changed');
  t.same([commit?.reservations.length, commit?.events, more], [1, [], []]);
});

test('the commit names the origin of new holds, separate from other changes', async (t) => {
  const show = await openShow({ units: { S: 10 } });
  const { received, unsubscribe } = await listen(store, show);
  const expired = await hold(show, 'ann');
  await time.passDeadlineUnderLoad(show, expired.id);
  const request = { user: 'bob', key: 'k', sale: 'sale', lines: items({ S: 1 }) };
  const [bob] = await store.reserve(show, [request], 'here');
  t.equal(outcome(bob), 'ok');
  await fixture.commitsOf(show).settled();
  const [first, second] = received.flatMap((message) => (message.kind === 'commit' ? [message.commit] : []));
  t.same([first?.holds?.origin, first?.holds?.changes().map(({ user }) => user)], ['', ['ann']], 'no origin');
  t.same([second?.holds?.origin, second?.holds?.changes().map(({ user }) => user)], ['here', ['bob']]);
  // A hold that expired in the same call is for all nodes.
  t.match(second?.reservations, [{ user: 'ann', isNewHold: false }]);
  await unsubscribe();
});

showTest('a refusal has its code, changes nothing and publishes nothing', async (t, show) => {
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  await newSale(show, { id: 'scheduled', opensInMs: 60_000 });
  for (const op of ['pause', 'end', 'cancel'] as const) {
    await newSale(show, { id: op });
    unwrap(await move(show, { op }, op));
  }
  const refusals = {
    ...{ draft: 'sale_not_open', scheduled: 'sale_not_open', pause: 'sale_paused', end: 'sale_ended' },
    ...{ cancel: 'sale_cancelled', unknown: 'sale_not_found' },
  };
  const sales = unwrap(await store.listSales(show));
  for (const [sale, code] of Object.entries(refusals)) {
    const work = async () => t.equal(outcome(await reserve(show, 'ann', { sale })), code, sale);
    t.same(await published(show, work), [], `${sale}: nothing is published`);
    t.same(unwrap(await store.listSales(show)), sales, `${sale}: nothing changed`);
  }
  t.same(await reservationsOf(show, ['ann']), [[]]);
});

showTest('before the opening the refusal says how long to wait', async (t, show) => {
  await newSale(show, { opensInMs: 30_000, durationMs: 60_000 });
  const early = await reserve(show, 'ann');
  t.match(early, { error: { code: 'sale_not_open', retryAfterMs: Number, details: { opensAt: Number, now: Number } } });
  const wait = early.ok ? 0 : (early.error.retryAfterMs ?? 0);
  t.ok(wait > 20_000 && wait <= 30_000, `wait ${wait} ms`);
});

saleTest('unknown show, unknown SKU, sold out', { units: { S: 1 } }, async (t, show) => {
  t.equal(outcome(await reserve('nowhere', 'ann')), 'show_not_found');
  t.equal(outcome(await reserve(show, 'ann', { sku: 'XXL' })), 'sku_not_found');
  await hold(show, 'ann');
  t.match(await reserve(show, 'bob'), refused('sold_out', { sku: 'S', left: 0 }));
});

saleTest('an invalid request is refused before Redis, and the others of its batch are decided', {}, async (t, show) => {
  const good = { user: 'ann', key: 'k', sale: 'sale', lines: items({ S: 1 }) };
  const bad = [
    ...[0, -1, 1.5, LIMITS.perBuyerUnitsMax + 1].map((qty) => ({ lines: items({ S: qty }) })),
    { lines: [] },
    { lines: times(LIMITS.linesPerReservationMax + 1, (i) => ({ sku: `S${i}`, qty: 1 })) },
    { key: '' },
    { key: 'k'.repeat(LIMITS.keyCharsMax + 1) },
    { user: '' },
  ].map((part, i) => ({ ...good, user: `u${i}`, ...part }));
  const results = await store.reserve(show, [good, ...bad, { ...good, user: 'bob' }]);
  t.same(results.map(outcome), ['ok', ...bad.map(() => 'invalid_request'), 'ok']);
  t.same(await store.reserve(show, []), []);
  await t.rejects(store.reserve(show, Array(LIMITS.reserveBatchMax + 1).fill(good)), RangeError);
});

test('the limit per sale counts holds and orders over all SKUs (I2)', async (t) => {
  const show = await openShow({ units: { S: 10, M: 10 }, perBuyer: 3 });
  const first = await hold(show, 'ann', { key: 'k1', qty: 2 });
  const more = await reserve(show, 'ann', { key: 'k2', sku: 'M', qty: 2 });
  t.match(more, refused('limit_exceeded', { limit: 3, have: 2 }));
  unwrap(await confirm(show, first));
  // An order counts like a hold.
  t.equal(outcome(await reserve(show, 'ann', { key: 'k3', sku: 'M', qty: 2 })), 'limit_exceeded');
  const second = await hold(show, 'ann', { key: 'k4', sku: 'M' });
  t.equal(outcome(await reserve(show, 'ann', { key: 'k5' })), 'limit_exceeded');
  unwrap(await release(show, second));
  t.equal(outcome(await reserve(show, 'ann', { key: 'k6' })), 'ok', 'a released hold no longer counts');
});

test('the limit per SKU counts beside the limit per sale, and both are per sale', async (t) => {
  const show = await openShow({ units: { S: { perBuyer: 1 }, M: 10 }, perBuyer: 3 });
  await newSale(show, { id: 'second', units: { S: { perBuyer: 1 } }, perBuyer: 3 });
  await hold(show, 'ann');
  t.match(await reserve(show, 'ann', { key: 'k2' }), refused('limit_exceeded', { sku: 'S', limit: 1, have: 1 }));
  t.equal(outcome(await reserve(show, 'ann', { key: 'k3', sku: 'M', qty: 2 })), 'ok');
  t.equal(outcome(await reserve(show, 'ann', { key: 'k4', sale: 'second' })), 'ok', 'limits are per sale');
});

saleTest('limits are checked before stock', { units: { S: 1 } }, async (t, show) => {
  await hold(show, 'ann');
  t.equal(outcome(await reserve(show, 'ann', { key: 'k2' })), 'limit_exceeded');
});

saleTest('items of the same SKU are merged', { units: { S: 3 }, perBuyer: 4 }, async (t, show) => {
  const twice = [...items({ S: 2 }), ...items({ S: 2 })];
  t.equal(outcome(await reserve(show, 'ann', { lines: twice })), 'sold_out', 'each alone would fit');
  t.equal(outcome(await reserve(show, 'bob', { lines: [...twice, { sku: 'S', qty: 1 }] })), 'limit_exceeded');
  const held = await hold(show, 'cyd', { lines: [...items({ S: 1 }), ...items({ S: 2 })] });
  t.same(held.lines, [{ sku: 'S', qty: 3 }]);
});

test('several items are held together or not at all (Q-8.1)', async (t) => {
  const show = await openShow({ units: { S: 5, M: 1 }, perBuyer: 5 });
  await hold(show, 'ann', { sku: 'M' });
  const both = items({ S: 2, M: 1 });
  t.match(await reserve(show, 'bob', { lines: both }), refused('sold_out', { sku: 'M' }));
  t.equal(outcome(await reserve(show, 'bob', { key: 'k2', lines: items({ S: 1, XXL: 1 }) })), 'sku_not_found');
  t.same(await books(show, 'S'), { allocated: 5, available: 5, held: 0, sold: 0, withdrawn: 0 }, 'no item is held');
});

test('within a batch earlier requests count against later ones', async (t) => {
  const show = await openShow({ units: { S: 2 }, perBuyer: 2 });
  const request = (user: string, key: string, qty = 1) => ({ user, key, sale: 'sale', lines: [{ sku: 'S', qty }] });
  const batch: Array<[outcome: string, ...request: Parameters<typeof request>]> = [
    ['ok', 'ann', 'k1'],
    ['replayed', 'ann', 'k1'],
    ['idempotency_conflict', 'ann', 'k1', 2],
    ['limit_exceeded', 'ann', 'k2', 2],
    ['ok', 'bob', 'k1'],
    ['sold_out', 'cyd', 'k1'],
    ['sold_out', 'cyd', 'k1'],
  ];
  const requests = batch.map(([, ...args]) => request(...args));
  const results = await store.reserve(show, requests);
  t.same(results.map(outcome), pluck(batch, 0));
  t.same(await books(show), { allocated: 2, available: 0, held: 2, sold: 0, withdrawn: 0 });
});

test('a repeated key returns its first result; another body conflicts (I4, Q-7.2, Q-7.3)', async (t) => {
  const show = await openShow({ perBuyer: 2 });
  const first = unwrap(await reserve(show, 'ann'));
  const replay = async () => t.same(await reserve(show, 'ann'), replayOf(first));
  await replay();
  for (const body of [{ qty: 2 }, { sku: 'M' }, { sale: 'other' }, { lines: items({ S: 1, M: 1 }) }])
    t.equal(outcome(await reserve(show, 'ann', body)), 'idempotency_conflict', JSON.stringify(body));
  t.equal(outcome(await reserve(show, 'bob')), 'ok', 'a key belongs to one buyer');
  unwrap(await confirm(show, first.reservation));
  await replay();
  unwrap(await move(show, { op: 'end' }));
  await replay();
  t.equal((await books(show)).sold, 1);
});

saleTest('a refusal is not recorded: the same key may be used again (Q-7.4)', { units: { S: 1 } }, async (t, show) => {
  const held = await hold(show, 'ann');
  t.equal(outcome(await reserve(show, 'bob')), 'sold_out');
  unwrap(await release(show, held));
  t.equal(outcome(await reserve(show, 'bob')), 'ok');
});

saleTest('the next reserve frees an expired hold, whose key stays used', { units: { S: 1 } }, async (t, show) => {
  const held = await hold(show, 'ann');
  await time.passDeadline(show, held.id);
  t.equal(outcome(await reserve(show, 'bob')), 'ok');
  t.equal(await stateOf(show, held.id), 'expired');
  const recorded = { ok: true, value: { replayed: true, reservation: { id: held.id, state: 'held' } } };
  t.match(await reserve(show, 'ann'), recorded);
  t.equal(outcome(await reserve(show, 'ann', { key: 'k2' })), 'sold_out');
});

test('amounts stay exact to the largest price and quantity', async (t) => {
  const price = LIMITS.priceMinorUnitsMax;
  const show = await openShow({ units: { S: { quantity: 900, price } }, perBuyer: 900 });
  const held = await hold(show, 'ann', { qty: 899 });
  t.equal(held.amount, 899 * price);
  t.match(unwrap(await confirm(show, held)).reservation, { amount: 899 * price, state: 'confirmed' });
});

showTest('names that look like numbers or blanks are names', async (t, show) => {
  await newSale(show, { id: '1', units: { '1': 2, '2': 2 } });
  const held = await hold(show, '1', { key: '1', sale: '1', sku: '1' });
  await hold(show, 'Zoë 🦊 {a}', { key: ' \n', sale: '1', sku: '2' });
  t.same(held.lines, [{ sku: '1', qty: 1 }]);
  t.match(await reservationsOf(show, ['1', 'Zoë 🦊 {a}']), [[{ sale: '1' }], [{ user: 'Zoë 🦊 {a}' }]]);
});

const asked = (user: string, key: string, more: object = {}) => ({
  ...{ user, key, sale: 'sale', lines: [{ sku: 'S', qty: 1 }], ...more },
});
/** Returns code, sale, count and the users of the complete refusals of each entry. */
const refusalsOf = async (show: string) =>
  (await ledger(show))
    .filter(([kind]) => kind === 'gate')
    .map(([, sale, , , , , code, , extra]) => {
      const samples = extra?.samples as unknown[][];
      return [code, sale, extra?.count, samples.map(([, user]) => user)];
    });

saleTest('a refusal is in the ledger with its key and items', { units: { S: 1 } }, async (t, show) => {
  await hold(show, 'ann');
  await reserve(show, 'bob', { key: 'late' });
  const sample = [String, 'bob', 'sale', [['S', 1]], 'late', { left: 0 }];
  const extra = { count: 1, samples: [sample] };
  t.match((await ledger(show)).at(-1), ['gate', 'sale', false, false, 'user', '', 'sold_out', false, extra]);
});

saleTest('I9: refusals of a call are summed by sale and code', { units: { S: 2 } }, async (t, show) => {
  const late = (i: number) => asked(`late${i}`, 'k');
  await store.reserve(show, [
    ...times(5, late),
    ...times(6, (i) => asked('eve', `k${i}`, { sale: `made-up-${i}` })),
    asked('late0', 'k', { lines: items({ S: 1, X: 1 }) }),
  ]);
  t.same(await refusalsOf(show), [
    ['sold_out', 'sale', 3, ['late2', 'late3', 'late4']],
    ['sale_not_found', '', 6, ['eve', 'eve', 'eve']],
    ['idempotency_conflict', 'sale', 1, ['late0']],
  ]);
  t.match(unwrap(await store.verify(show)), { refusals: 10, violations: { length: 0 } });
});

saleTest('I9: what refusals add to Redis is bounded, and all are counted', { units: { S: 1 } }, async (t, show) => {
  const key = time.key(show, 'ledger');
  const [bytesBefore, calls] = [Number(await client.memory('USAGE', key)), 200];
  const lines = times(LIMITS.linesPerReservationMax, (i) => ({ sku: `made-up-${i}-`.padEnd(64, 'x'), qty: 1 }));
  const request = (i: number) => asked('eve', `k-${i}-`.padEnd(128, 'y'), { lines });
  for (let call = 0; call < calls; call++)
    await store.reserve(
      show,
      times(LIMITS.reserveBatchMax, (i) => request(call * LIMITS.reserveBatchMax + i)),
    );
  const bytes = Number(await client.memory('USAGE', key, 'SAMPLES', 0)) - bytesBefore;
  const allowed = LIMITS.refusalSampleBurstBytes + 10 * LIMITS.refusalSampleBytesPerSecond + calls * 200;
  t.ok(bytes < allowed, `${bytes} bytes for ${calls * LIMITS.reserveBatchMax} refusals, allowed ${allowed}`);
  const verified = unwrap(await store.verify(show));
  t.match(verified, { refusals: calls * LIMITS.reserveBatchMax, violations: { length: 0 } });
});
