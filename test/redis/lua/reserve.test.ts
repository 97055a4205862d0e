/** reserve.lua: all its results, through the store. */
import type { Commit } from '../../../src/domain/show-log.ts';
import { LIMITS } from '../../../src/limits.ts';
import { items, outcome, refused, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('reserve:');
const { store, time, hold, confirm, release, move, ledger, stateOf, openShow, newSale, reservationsOf, published } =
  fixture;

fixture.test('a hold has items, amount, currency and deadline, and the books match', async (t) => {
  const show = await openShow({
    units: { S: { quantity: 10, price: 1999 }, M: { quantity: 5, price: 500 } },
    perBuyer: 5,
    holdMs: 60_000,
  });
  const decision = unwrap(await fixture.reserve(show, 'ann', { lines: items({ S: 2, M: 1 }) }));
  const { reservation, replayed } = decision;
  t.notOk(replayed);
  t.match(reservation, { sale: 'sale', user: 'ann', state: 'held', amount: 2 * 1999 + 500, currency: 'EUR' });
  t.equal(reservation.heldUntil - reservation.createdAt, 60_000);
  t.same(
    [...reservation.lines].sort((a, b) => (a.sku < b.sku ? -1 : 1)),
    items({ M: 1, S: 2 }),
  );
  t.same(await fixture.books(show, 'S'), { allocated: 10, available: 8, held: 2, sold: 0, withdrawn: 0 });
  t.same(await fixture.books(show, 'M'), { allocated: 5, available: 4, held: 1, sold: 0, withdrawn: 0 });
  t.same(unwrap(await store.getReservation(show, reservation.id)), reservation);
  t.same(await reservationsOf(show, ['ann', 'bob']), [[reservation], []]);
});

fixture.saleTest('one commit has exactly the hold and what is left', { units: { S: 10, M: 5 } }, async (t, show) => {
  const commits = await published(show, () => hold(show, 'ann'));
  t.equal(commits.length, 1);
  t.match(commits[0], {
    events: [],
    sales: [{ id: 'sale', state: 'open', left: { S: 9 } }],
    reservations: [{ user: 'ann', state: 'held' }],
  });
  t.same(Object.keys(commits[0]?.sales[0]?.left ?? {}), ['S'], 'only the SKU that changed');
  t.equal(commits[0]?.reservations.length, 1);
});

fixture.test('the commit names the origin of new holds, separate from other changes', async (t) => {
  const show = await openShow({ units: { S: 10 } });
  const commits: Commit[] = [];
  const listening = unwrap(
    await store.subscribe(show, {
      onResync: () => {},
      onMessage: (message) => void (message.kind === 'commit' && commits.push(message.commit)),
    }),
  );
  const expired = await hold(show, 'ann');
  await time.passDeadlineUnderLoad(show, expired.id);
  const [bob] = await store.reserve(
    show,
    [{ user: 'bob', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] }],
    'here',
  );
  t.equal(outcome(bob), 'ok');
  await fixture.commitsOf(show).settled();
  const [first, second] = commits;
  t.same([first?.holds?.origin, first?.holds?.changes().map(({ user }) => user)], ['', ['ann']], 'no origin');
  t.same([second?.holds?.origin, second?.holds?.changes().map(({ user }) => user)], ['here', ['bob']]);
  // A hold that expired in the same call is for all nodes.
  t.match(second?.reservations, [{ user: 'ann', isNewHold: false }]);
  await listening.unsubscribe();
});

fixture.showTest('a refusal has its code, changes nothing and publishes nothing', async (t, show) => {
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
  const books = unwrap(await store.listSales(show));
  for (const [sale, code] of Object.entries(refusals)) {
    const reserve = async () => t.equal(outcome(await fixture.reserve(show, 'ann', { sale })), code, sale);
    t.same(await published(show, reserve), [], `${sale}: nothing is published`);
    t.same(unwrap(await store.listSales(show)), books, `${sale}: nothing changed`);
  }
  t.same(await reservationsOf(show, ['ann']), [[]]);
});

fixture.showTest('before the opening the refusal says how long to wait', async (t, show) => {
  await newSale(show, { opensInMs: 30_000, durationMs: 60_000 });
  const early = await fixture.reserve(show, 'ann');
  t.match(early, {
    ok: false,
    error: { code: 'sale_not_open', retryAfterMs: Number, details: { opensAt: Number, now: Number } },
  });
  const wait = early.ok ? 0 : (early.error.retryAfterMs ?? 0);
  t.ok(wait > 20_000 && wait <= 30_000, `wait ${wait} ms`);
});

fixture.saleTest('unknown show, unknown SKU, sold out', { units: { S: 1 } }, async (t, show) => {
  t.equal(outcome(await fixture.reserve('nowhere', 'ann')), 'show_not_found');
  t.equal(outcome(await fixture.reserve(show, 'ann', { sku: 'XXL' })), 'sku_not_found');
  await hold(show, 'ann');
  t.match(await fixture.reserve(show, 'bob'), refused('sold_out', { sku: 'S', left: 0 }));
});

fixture.test('an invalid request is refused before Redis, and the others of its batch are decided', async (t) => {
  const show = await openShow();
  const bad = [
    { lines: [] },
    { lines: [{ sku: 'S', qty: 0 }] },
    { lines: [{ sku: 'S', qty: -1 }] },
    { lines: [{ sku: 'S', qty: 1.5 }] },
    { lines: [{ sku: 'S', qty: LIMITS.perBuyerUnitsMax + 1 }] },
    { lines: times(LIMITS.linesPerReservationMax + 1, (i) => ({ sku: `S${i}`, qty: 1 })) },
    { lines: [{ sku: 'S', qty: 1 }], key: '' },
    { lines: [{ sku: 'S', qty: 1 }], key: 'k'.repeat(LIMITS.keyCharsMax + 1) },
    { lines: [{ sku: 'S', qty: 1 }], user: '' },
  ].map((part, i) => ({ user: `u${i}`, key: 'k', sale: 'sale', ...part }));
  const good = { user: 'ann', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] };
  const results = await store.reserve(show, [good, ...bad, { ...good, user: 'bob' }]);
  t.same(results.map(outcome), ['ok', ...bad.map(() => 'invalid_request'), 'ok']);
  t.same(await store.reserve(show, []), []);
  await t.rejects(
    store.reserve(
      show,
      times(LIMITS.reserveBatchMax + 1, () => good),
    ),
    RangeError,
  );
});

fixture.test('the limit per sale counts holds and orders over all SKUs (I2)', async (t) => {
  const show = await openShow({ units: { S: 10, M: 10 }, perBuyer: 3 });
  const first = await hold(show, 'ann', { key: 'k1', qty: 2 });
  t.match(
    await fixture.reserve(show, 'ann', { key: 'k2', sku: 'M', qty: 2 }),
    refused('limit_exceeded', { limit: 3, have: 2 }),
  );
  unwrap(await confirm(show, first));
  // An order counts like a hold.
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k3', sku: 'M', qty: 2 })), 'limit_exceeded');
  const second = await hold(show, 'ann', { key: 'k4', sku: 'M' });
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k5' })), 'limit_exceeded');
  unwrap(await release(show, second));
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k6' })), 'ok', 'a released hold no longer counts');
});

fixture.test('the limit per SKU counts beside the limit per sale, and both are per sale', async (t) => {
  const show = await openShow({ units: { S: { perBuyer: 1 }, M: 10 }, perBuyer: 3 });
  await newSale(show, { id: 'second', units: { S: { perBuyer: 1 } }, perBuyer: 3 });
  await hold(show, 'ann');
  t.match(
    await fixture.reserve(show, 'ann', { key: 'k2' }),
    refused('limit_exceeded', { sku: 'S', limit: 1, have: 1 }),
  );
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k3', sku: 'M', qty: 2 })), 'ok');
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k4', sale: 'second' })), 'ok', 'limits are per sale');
});

fixture.saleTest('limits are checked before stock', { units: { S: 1 } }, async (t, show) => {
  await hold(show, 'ann');
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k2' })), 'limit_exceeded');
});

fixture.saleTest('items of the same SKU are merged', { units: { S: 3 }, perBuyer: 4 }, async (t, show) => {
  const twice = [...items({ S: 2 }), ...items({ S: 2 })];
  t.equal(outcome(await fixture.reserve(show, 'ann', { lines: twice })), 'sold_out', 'each alone would fit');
  t.equal(outcome(await fixture.reserve(show, 'bob', { lines: [...twice, { sku: 'S', qty: 1 }] })), 'limit_exceeded');
  const held = await hold(show, 'cyd', { lines: [...items({ S: 1 }), ...items({ S: 2 })] });
  t.same(held.lines, [{ sku: 'S', qty: 3 }]);
});

fixture.test('several items are held together or not at all (Q-8.1)', async (t) => {
  const show = await openShow({ units: { S: 5, M: 1 }, perBuyer: 5 });
  await hold(show, 'ann', { sku: 'M' });
  const both = items({ S: 2, M: 1 });
  t.match(await fixture.reserve(show, 'bob', { lines: both }), refused('sold_out', { sku: 'M' }));
  t.equal(outcome(await fixture.reserve(show, 'bob', { key: 'k2', lines: items({ S: 1, XXL: 1 }) })), 'sku_not_found');
  t.same(
    await fixture.books(show, 'S'),
    { allocated: 5, available: 5, held: 0, sold: 0, withdrawn: 0 },
    'no item was held alone',
  );
});

fixture.test('within a batch earlier requests count against later ones', async (t) => {
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
  const results = await store.reserve(
    show,
    batch.map(([, ...args]) => request(...args)),
  );
  t.same(
    results.map(outcome),
    batch.map(([expected]) => expected),
  );
  t.same(await fixture.books(show), { allocated: 2, available: 0, held: 2, sold: 0, withdrawn: 0 });
});

fixture.test('a repeated key returns its first result; another body conflicts (I4, Q-7.2, Q-7.3)', async (t) => {
  const show = await openShow({ perBuyer: 2 });
  const first = unwrap(await fixture.reserve(show, 'ann'));
  const replay = async (): Promise<void> => {
    t.same(await fixture.reserve(show, 'ann'), { ok: true, value: { ...first, replayed: true } });
  };
  await replay();
  for (const body of [
    { qty: 2 },
    { sku: 'M' },
    { sale: 'other' },
    {
      lines: items({ S: 1, M: 1 }),
    },
  ]) {
    t.equal(outcome(await fixture.reserve(show, 'ann', body)), 'idempotency_conflict', JSON.stringify(body));
  }
  t.equal(outcome(await fixture.reserve(show, 'bob')), 'ok', 'a key belongs to one buyer');
  unwrap(await confirm(show, first.reservation));
  await replay();
  unwrap(await move(show, { op: 'end' }));
  await replay();
  t.equal((await fixture.books(show)).sold, 1);
});

fixture.test('a refusal is not recorded: the same key may be used again (Q-7.4)', async (t) => {
  const show = await openShow({ units: { S: 1 } });
  const held = await hold(show, 'ann');
  t.equal(outcome(await fixture.reserve(show, 'bob')), 'sold_out');
  unwrap(await release(show, held));
  t.equal(outcome(await fixture.reserve(show, 'bob')), 'ok');
});

fixture.test('the next reserve frees an expired hold, whose key stays used', async (t) => {
  const show = await openShow({ units: { S: 1 } });
  const held = await hold(show, 'ann');
  await time.passDeadline(show, held.id);
  t.equal(outcome(await fixture.reserve(show, 'bob')), 'ok');
  t.equal(await stateOf(show, held.id), 'expired');
  const recorded = { ok: true, value: { replayed: true, reservation: { id: held.id, state: 'held' } } };
  t.match(await fixture.reserve(show, 'ann'), recorded);
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: 'k2' })), 'sold_out');
});

fixture.test('amounts stay exact to the largest price and quantity', async (t) => {
  const price = LIMITS.priceMinorUnitsMax;
  const show = await openShow({ units: { S: { quantity: 900, price } }, perBuyer: 900 });
  const held = await hold(show, 'ann', { qty: 899 });
  t.equal(held.amount, 899 * price);
  t.match(unwrap(await confirm(show, held)).reservation, { amount: 899 * price, state: 'confirmed' });
});

fixture.showTest('names that look like numbers or blanks are names', async (t, show) => {
  await newSale(show, { id: '1', units: { '1': 2, '2': 2 } });
  const held = await hold(show, '1', { key: '1', sale: '1', sku: '1' });
  await hold(show, 'Zoë 🦊 {a}', { key: ' \n', sale: '1', sku: '2' });
  t.same(held.lines, [{ sku: '1', qty: 1 }]);
  t.match(await reservationsOf(show, ['1', 'Zoë 🦊 {a}']), [[{ sale: '1' }], [{ user: 'Zoë 🦊 {a}' }]]);
});

fixture.saleTest('a refusal is in the ledger with its key and items', { units: { S: 1 } }, async (t, show) => {
  await hold(show, 'ann');
  await fixture.reserve(show, 'bob', { key: 'late' });
  t.match((await ledger(show)).at(-1), ['refuse', 'sale', String, 'bob', 'user', 'late', 'sold_out', [['S', 1]]]);
});
