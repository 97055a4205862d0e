/** sale_create.lua: the state of a new sale, and refusals. */
import type { SaleBooks, SaleSpec } from '../../../src/domain/sale.ts';
import { LIMITS } from '../../../src/limits.ts';
import { byHost, HOST, outcome, pluck, refused, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('create:');
const { test, showTest, store, connectAnother, hold, newShow, newSale, saleSpec, published } = fixture;
const create = (show: string, spec: SaleSpec, key = 'c') => store.createSale(show, spec, byHost(key));

showTest('a draft, a planned and an opened sale: state, window, events, books', async (t, show) => {
  const before = store.now();
  const created = ['sale.created'];
  const opened = ['sale.created', 'sale.opened'];
  const durationMs = 60_000;
  const absolute = { opensAt: before + 40_000, closesAt: before + 80_000 };
  const cases: Array<[string, Partial<SaleSpec>, string, number | null, number | null, string[]]> = [
    ['draft', { durationMs }, 'draft', null, null, created],
    ['later', { opensInMs: 30_000, durationMs }, 'scheduled', 30_000, 90_000, created],
    ['endless', { opensInMs: 30_000 }, 'scheduled', 30_000, null, created],
    ['absolute', absolute, 'scheduled', 40_000, 80_000, created],
    ['now', { opensInMs: 0, durationMs }, 'open', 0, 60_000, opened],
    ['begun', { opensAt: before - 5_000, durationMs }, 'open', -5_000, 55_000, opened],
  ];
  for (const [id, window, state, opensIn, closesIn, events] of cases) {
    const made: SaleBooks[] = [];
    const work = async () => made.push(unwrap(await create(show, saleSpec({ id, ...window }), id)));
    const commits = await published(show, work);
    const sale = unwrap(await store.getSale(show, id));
    t.same(made, [sale], `${id}: read as returned`);
    const books = { price: 1000, allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 };
    t.match(sale, { id, state, perBuyer: 1, currency: 'EUR', skus: [{ sku: 'S', product: 'p', ...books }] }, id);
    for (const [moment, expected] of [[sale.opensAt, opensIn] as const, [sale.closesAt, closesIn] as const])
      if (expected === null) t.equal(moment, null, id);
      else
        t.ok(Math.abs((moment ?? 0) - before - expected) < 5_000, `${id}: ${moment}, about ${expected} ms from then`);
    const types = commits.map((commit) => pluck(commit.events, 'type'));
    t.same(types, [events], `${id}: one commit, its events`);
    t.same(commits[0]?.sales[0]?.left, { S: 10 });
  }
  const event = (await fixture.eventsOf(show)).find(({ type }) => type === 'sale.opened');
  // The event has the new view.
  t.match(event?.data, { sale: { id: 'now', state: 'open', skus: [{ sku: 'S', left: 10 }] } });
  t.notOk(JSON.stringify(event?.data).includes('sold"'), 'and only public values');
});

showTest('a sale that is already over is refused', async (t, show) => {
  const now = store.now();
  const over = saleSpec({ opensAt: now - 60_000, closesAt: now - 1_000 });
  t.match(await create(show, over), refused('invalid_request', { field: 'closesAt' }));
  // It closes before it opens: one moment is relative, the other absolute.
  t.equal(outcome(await create(show, saleSpec({ opensInMs: 60_000, closesAt: now + 30_000 }))), 'invalid_request');
  t.same(unwrap(await store.listSales(show)), []);
});

showTest('unknown show, unknown product, an id that is taken, an ended show', async (t, show) => {
  t.equal(outcome(await create('nowhere', saleSpec())), 'show_not_found');
  const ghost = { ...saleSpec(), skus: [{ sku: 'S', product: 'ghost', price: 1, quantity: 1 }] };
  t.match(await create(show, ghost), refused('product_not_found', { product: 'ghost' }));
  await newSale(show);
  t.equal(outcome(await create(show, saleSpec(), 'another key')), 'already_exists');
  unwrap(await store.endShow(show, HOST));
  t.equal(outcome(await create(show, saleSpec({ id: 'late' }), 'late')), 'show_ended');
});

test('a repeated key returns the first result after the sale changed; another body conflicts (I4)', async (t) => {
  const show = await newShow();
  const first = unwrap(await create(show, saleSpec()));
  await hold(show, 'ann');
  t.same(unwrap(await create(show, saleSpec())), first);
  t.equal(outcome(await create(show, saleSpec({ title: 'Other' }))), 'idempotency_conflict');
  const { title, ...rest } = saleSpec();
  t.same(unwrap(await create(show, { ...rest, title })), first, 'the order of fields means nothing');
  const noId = saleSpec();
  delete noId.id;
  const made = unwrap(await create(show, noId, 'without id'));
  t.same(unwrap(await create(show, noId, 'without id')), made, 'a repeat names the same sale');
  t.equal(unwrap(await store.listSales(show)).length, 2);
});

showTest('a hold lasts for at most HOLD_MAX, also when it is extended', async (t, show) => {
  const long = await connectAnother({ holdMaxMs: 3_600_000 });
  const spec = saleSpec({ holdMs: 3_599_000 });
  t.equal(outcome(await create(show, spec)), 'invalid_request', 'the default is 15 minutes');
  unwrap(await long.createSale(show, spec, byHost('long')));
  const held = await hold(show, 'ann');
  t.equal(held.heldUntil - held.createdAt, 3_599_000);
  const extend = (key: string, byMs: number, by = long) =>
    by.extendHold(show, { reservation: held.id, byMs }, byHost(key));
  t.match(await extend('a', 1_000, store), refused('limit_reached'), 'a process with the default');
  t.match(await extend('b', 1_001), refused('limit_reached'));
  t.equal(outcome(await extend('c', 1_000)), 'ok');
});

showTest('mistakes in a sale are refused before Redis', async (t, show) => {
  const sku = { sku: 'S', product: 'p', price: 1, quantity: 1 };
  const wrong: Array<Partial<SaleSpec>> = [
    { title: '' },
    { currency: 'XX' },
    { perBuyer: 0 },
    ...[LIMITS.holdMinMs - 1, LIMITS.holdMaxMs + 1].map((holdMs) => ({ holdMs })),
    { skus: [] },
    { skus: [sku, sku] },
    ...[0, LIMITS.unitsPerSkuMax + 1].map((quantity) => ({ skus: [{ ...sku, quantity }] })),
    ...[-1, 0.5].map((price) => ({ skus: [{ ...sku, price }] })),
    { skus: times(LIMITS.skusPerSaleMax + 1, (i) => ({ ...sku, sku: `S${i}` })) },
    { durationMs: LIMITS.saleDurationMinMs - 1 },
    { id: 'a/b' },
  ];
  for (const part of wrong) {
    const name = JSON.stringify(part).slice(0, 60);
    t.equal(outcome(await create(show, { ...saleSpec(), ...part })), 'invalid_request', name);
  }
  t.same(unwrap(await store.listSales(show)), []);
});

showTest('a window with mixed moments has a maximum length', async (t, show) => {
  const tooLong = store.now() + LIMITS.saleDurationMaxMs + 60_000;
  t.equal(outcome(await create(show, saleSpec({ opensInMs: 0, closesAt: tooLong }))), 'invalid_request');
});

showTest('the number of sales of a show is limited, and the largest sale fits', async (t, show) => {
  const units = Object.fromEntries(times(LIMITS.skusPerSaleMax, (i) => [`S${i}`, 1]));
  t.equal((await newSale(show, { id: 'large', units })).skus.length, LIMITS.skusPerSaleMax);
  await Promise.all(times(LIMITS.salesPerShowMax - 1, (i) => newSale(show, { id: `s${i}`, opensInMs: 60_000 })));
  const limit = LIMITS.salesPerShowMax;
  t.match(await create(show, saleSpec({ id: 'one-more' })), refused('limit_reached', { limit }));
});
