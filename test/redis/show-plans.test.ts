/** Shows that are planned with products and sales, and copies of shows. */
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { type CopiedSale, checkShowPlan, copyOf } from '../../src/domain/show-plan.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Product, SaleState, ShowView } from '../../src/protocol/messages.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { byHost, HOST, outcome, pluck, refused, StoreFixture, times, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('plans:');
const { test, store, client, time, connectAnother, confirm, hold } = fixture;

const brands = [{ id: 'acme', name: 'Acme' }];
const tee = { id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'S' }, { sku: 'M' }] };
const bag = { id: 'bag', brand: 'acme', title: 'Bag', skus: [{ sku: 'BAG' }] };
const sku = { sku: 'S', product: 'tee', price: 100, quantity: 5 };
const drop = { id: 'drop', title: 'Drop', currency: 'EUR', durationMs: 60_000, skus: [sku] };
const isFilling = (show: string) => client.hexists(time.key(show, 'show'), 'filling');
const contentsOf = async (show: string) => ({
  products: pluck(unwrap(await store.listProducts(show)), 'id').sort(),
  sales: pluck(unwrap(await store.listSales(show)), 'id').sort(),
});

test('a plan that stops at any moment is completed by its repeat, and changes nothing later (I4, I8)', async (t) => {
  const products = times(20, (i): Product => ({ ...bag, id: `p${i}`, skus: [{ sku: `S${i}` }] }));
  const sales = products.map(({ id }, i) => {
    const skus = [{ ...sku, product: id, sku: `S${i}` }];
    // Some without an id.
    return { ...drop, skus, id: `sale-${i}`, ...(i % 2 === 0 ? {} : { opensInMs: 600_000 }) };
  });
  const contents = { products, sales: [...sales, { ...drop, id: undefined as never, skus: sales[0]?.skus ?? [] }] };
  delete (contents.sales.at(-1) as { id?: string }).id;
  const stopped = new Set<number>();
  for (const afterMs of [1, 4, 8, 12, 16, 24, 40]) {
    const id = `show${afterMs}`;
    const process = await connectAnother();
    const planning = process.planShow({ id, title: 'Show', brands }, contents, HOST);
    await sleep(afterMs);
    await process.close();
    await planning;
    const known = await store.getShow(id);
    stopped.add(known.ok ? (await contentsOf(id)).products.length + (await contentsOf(id)).sales.length : -1);
    unwrap(await store.planShow({ id, title: 'Show', brands }, contents, HOST));
    const whole = await contentsOf(id);
    t.same([whole.products.length, whole.sales.length], [20, 21], `stopped after ${afterMs} ms`);
    t.equal(await isFilling(id), 0);
    unwrap(await store.removeProduct(id, 'p0', HOST).then(async () => store.deleteSale(id, 'sale-0', byHost('d'))));
    unwrap(await store.planShow({ id, title: 'Show', brands }, contents, HOST));
    t.same((await contentsOf(id)).sales.length, 20, 'a complete show is not filled again');
    t.match(unwrap(await store.verify(id)), { violations: { length: 0 } });
    t.equal(outcome(await store.planShow({ id, title: 'Show', brands }, { products }, HOST)), 'already_exists');
  }
  t.ok(stopped.size > 2, `the plans stopped at ${[...stopped]} records`);
});

test('a mistake names its path, and nothing is created', async (t) => {
  const spec = { id: 'wrong', title: 'Show', brands };
  const wrong: Array<[path: string, contents: Parameters<typeof store.planShow>[1]]> = [
    ['/sales/1/skus/0/sku', { products: [tee], sales: [drop, { ...drop, id: 'b', skus: [{ ...sku, sku: 'XL' }] }] }],
    ['/sales/0/skus/0/product', { sales: [drop] }],
    ['/sales/0/currency', { products: [tee], sales: [{ ...drop, currency: 'EEE' }] }],
    ['/sales/1/id', { products: [tee], sales: [drop, drop] }],
    ['/products/1', { products: [tee, tee] }],
    ['/products/0/brand', { products: [{ ...tee, brand: 'other' }] }],
    ['/products/0/title', { products: [{ ...tee, title: ' ' }] }],
    [
      '/sales/0/closesAt',
      { products: [tee], sales: [{ ...drop, durationMs: undefined as never, closesAt: store.now() }] },
    ],
  ];
  for (const [path, contents] of wrong) {
    const errors = [{ path }];
    t.match(await store.planShow(spec, contents, HOST), refused('invalid_request', { errors }), path);
  }
  t.equal(outcome(await store.getShow('wrong')), 'show_not_found');
});

test('a show that was sold from is cloned: drafts with all units, no orders and no holds', async (t) => {
  const startsAt = store.now() + 60_000;
  const settings = { guests: false, slowModeMs: 2_000, videoUrl: 'https://cdn.example/a.mp4' };
  const planned = { ...drop, id: 'later', opensAt: startsAt + 60_000, perBuyer: 3 };
  const sales = [{ ...drop, opensInMs: 0 }, planned, { ...drop, id: 'gone' }, { ...drop, id: 'cut' }];
  const only = { ...drop, id: 'bags', skus: [{ ...sku, product: 'bag', sku: 'BAG' }] };
  const source = { id: 'source', title: 'Source', brands, startsAt, visibility: 'public', ...settings } as const;
  unwrap(await store.planShow(source, { products: [tee, bag], sales: [...sales, only] }, HOST));
  unwrap(await confirm('source', await hold('source', 'ann', { sale: 'drop' })));
  await hold('source', 'bob', { sale: 'drop' });
  unwrap(await store.moveSale('source', 'drop', { op: 'units', sku: 'S', delta: -1 }, byHost('u')));
  unwrap(await store.moveSale('source', 'gone', { op: 'cancel' }, byHost('c')));
  unwrap(await store.moveSale('source', 'bags', { op: 'end' }, byHost('e')));
  unwrap(await store.removeProduct('source', 'bag', HOST));
  unwrap(await store.pinProduct('source', 'tee', HOST));

  const clone = { id: 'copy', title: 'Copy', startsAt: startsAt + 3_600_000 };
  const cloned = unwrap(await store.cloneShow('source', clone, HOST));
  t.match(cloned.show, { ...clone, ...settings, brands, state: 'planned', pinned: null, visibility: 'unlisted' });
  t.same(
    new Set(cloned.leftOut),
    new Set([
      { reason: 'no_product', sale: 'bags', product: 'bag', sku: 'BAG' },
      { reason: 'cancelled', sale: 'gone' },
    ]),
  );
  const books = unwrap(await store.listSales('copy'));
  t.same(pluck(books, 'id').sort(), ['cut', 'drop', 'later']);
  for (const { state, opensAt, skus } of books) t.match({ state, opensAt, skus }, { state: 'draft', opensAt: null });
  t.match(books.find(({ id }) => id === 'drop')?.skus, [{ allocated: 4, available: 4, held: 0, sold: 0 }]);
  const opened = unwrap(await store.moveSale('copy', 'cut', { op: 'open' }, byHost('o')));
  t.equal((opened.closesAt ?? 0) - (opened.opensAt ?? 0), 60_000, 'a window keeps its length');

  unwrap(await store.endShow('source', HOST));
  const timed = { ...clone, id: 'timed', scheduleSales: true };
  unwrap(await store.cloneShow('source', timed, HOST));
  unwrap(await store.cloneShow('source', timed, HOST));
  t.equal(outcome(await store.cloneShow('source', { ...timed, title: 'Other' }, HOST)), 'already_exists');
  const later = unwrap(await store.getSale('timed', 'later'));
  t.match(later, { state: 'scheduled', opensAt: planned.opensAt + 3_600_000, perBuyer: 3 });
  t.equal((later.closesAt ?? 0) - (later.opensAt ?? 0), 60_000);
  t.match(await store.cloneShow('source', { id: 'x', scheduleSales: true }, HOST), refused('invalid_request'));
  t.equal(outcome(await store.cloneShow('ghost', { id: 'x' }, HOST)), 'show_not_found');
  for (const id of ['copy', 'timed']) t.match(unwrap(await store.verify(id)), { violations: { length: 0 } });
});

test('a copy of any show is a plan without a mistake', async (t) => {
  const nowMs = 1_800_000_000_000;
  const { saleDurationMinMs, saleDurationMaxMs } = LIMITS;
  const moment = fc.option(fc.integer({ min: nowMs - 1e10, max: nowMs + 1e10 }));
  const length = fc.integer({ min: saleDurationMinMs, max: saleDurationMaxMs });
  const state = fc.constantFrom<SaleState>('draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled');
  const units = fc.integer({ min: 1, max: 50 });
  const sale = fc.record({
    ...{ state, opensAt: moment, closesAt: moment, length, durationMs: fc.option(length, { nil: undefined }) },
    ...{ units, withdrawn: units, product: fc.constantFrom('tee', 'gone'), sku: fc.constantFrom('S', 'X') },
    holdMs: fc.integer({ min: LIMITS.holdMinMs, max: LIMITS.holdMaxMs }),
  });
  const starts = fc.option(fc.integer({ min: nowMs, max: nowMs + LIMITS.saleLeadTimeMaxMs }));
  const clone = fc.record({ startsAt: starts, scheduleSales: fc.boolean() });
  const holdMaxMs = LIMITS.holdMaxDefaultMs;
  const property = fc.property(fc.array(sale), moment, clone, (drawn, startsAt, { startsAt: newStart, ...spec }) => {
    const source = { id: 'a', title: 'A', brands, startsAt, pinned: null, createdAt: 1 } as unknown as ShowView;
    const sales = drawn.map(({ units, withdrawn, sku, product, length, closesAt, ...rest }, i): CopiedSale => {
      const gone = Math.min(units, withdrawn);
      const books = { allocated: units, available: units - gone, held: 0, sold: 0, withdrawn: gone };
      const ends = closesAt === null || rest.opensAt === null ? closesAt : rest.opensAt + length;
      const named = { id: `s${i}`, title: 'Sale', currency: 'EUR', perBuyer: 1, rev: 1, createdAt: 1 };
      const skus = [{ sku, product, price: 1, ...books }];
      return { ...named, ...rest, closesAt: ends, openedAt: null, endedAt: null, skus };
    });
    const limits = { nowMs, holdMaxMs };
    const copy = copyOf(source, { products: [tee], sales }, { id: 'b', startsAt: newStart, ...spec }, limits);
    const isFar = copy.contents.sales.some(({ opensAt = 0 }) => opensAt > nowMs + LIMITS.saleLeadTimeMaxMs);
    const wrong = checkShowPlan(copy.spec, copy.contents, nowMs, holdMaxMs);
    t.ok(wrong === null || isFar, JSON.stringify([wrong, copy.contents.sales]));
    const copied = copy.contents.sales.length;
    t.equal(copied + copy.leftOut.length, sales.length, 'each sale is copied or named');
  });
  fc.assert(property, { numRuns: 100, seed: FIRST_SEED });
});
