/** sale_create.lua: the state of a new sale, and refusals. */
import type { SaleSpec } from '../../../src/domain/sale.ts';
import { LIMITS } from '../../../src/limits.ts';
import { HOST, outcome, pluck, refused, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('create:');
const { store, hold, newShow, newSale, saleSpec, published } = fixture;
const create = (show: string, spec: SaleSpec, key = 'c') => store.createSale(show, spec, { key, actor: HOST });

fixture.showTest('a draft, a planned and an opened sale: state, window, events, books', async (t, show) => {
  const before = store.now();
  const cases: Array<[string, Partial<SaleSpec>, string, number | null, number | null, string[]]> = [
    ['draft', { durationMs: 60_000 }, 'draft', null, null, ['sale.created']],
    ['later', { opensInMs: 30_000, durationMs: 60_000 }, 'scheduled', 30_000, 90_000, ['sale.created']],
    ['endless', { opensInMs: 30_000 }, 'scheduled', 30_000, null, ['sale.created']],
    [
      'absolute',
      { opensAt: before + 40_000, closesAt: before + 80_000 },
      'scheduled',
      40_000,
      80_000,
      ['sale.created'],
    ],
    ['now', { opensInMs: 0, durationMs: 60_000 }, 'open', 0, 60_000, ['sale.created', 'sale.opened']],
    ['begun', { opensAt: before - 5_000, durationMs: 60_000 }, 'open', -5_000, 55_000, ['sale.created', 'sale.opened']],
  ];
  for (const [id, window, state, opensIn, closesIn, events] of cases) {
    let sale: Awaited<ReturnType<typeof fixture.newSale>> | undefined;
    const commits = await published(show, async () => {
      sale = unwrap(await create(show, saleSpec({ id, ...window }), id));
    });
    t.match(
      sale,
      {
        id,
        state,
        perBuyer: 1,
        currency: 'EUR',
        skus: [{ sku: 'S', product: 'p', price: 1000, allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 }],
      },
      id,
    );
    for (const [moment, expected] of [
      [sale?.opensAt, opensIn],
      [sale?.closesAt, closesIn],
    ] as const) {
      if (expected === null) t.equal(moment, null, id);
      else
        t.ok(Math.abs((moment ?? 0) - before - expected) < 5_000, `${id}: ${moment} is about ${expected} ms from then`);
    }
    const types = commits.map((commit) => pluck(commit.events, 'type'));
    t.same(types, [events], `${id}: one commit, its events`);
    t.same(commits[0]?.sales[0]?.left, { S: 10 });
    t.same(unwrap(await store.getSale(show, id)), sale, `${id}: read as returned`);
  }
  const opened = unwrap(await store.eventsAfter(show, unwrap(await store.load(show)).snapshot.epoch, 0))?.find(
    ({ type }) => type === 'sale.opened',
  );
  // The event has the new view.
  t.match(opened?.data, { sale: { id: 'now', state: 'open', skus: [{ sku: 'S', left: 10 }] } });
  t.notOk(JSON.stringify(opened?.data).includes('sold"'), 'and only public values');
});

fixture.showTest('a sale that is already over is refused', async (t, show) => {
  const now = store.now();
  t.match(
    await create(show, saleSpec({ opensAt: now - 60_000, closesAt: now - 1_000 })),
    refused('invalid_request', { field: 'closesAt' }),
  );
  // It closes before it opens: one moment is relative, the other absolute.
  t.equal(outcome(await create(show, saleSpec({ opensInMs: 60_000, closesAt: now + 30_000 }))), 'invalid_request');
  t.same(unwrap(await store.listSales(show)), []);
});

fixture.showTest('unknown show, unknown product, an id that is taken, an ended show', async (t, show) => {
  t.equal(outcome(await create('nowhere', saleSpec())), 'show_not_found');
  t.match(
    await create(show, { ...saleSpec(), skus: [{ sku: 'S', product: 'ghost', price: 1, quantity: 1 }] }),
    refused('product_not_found', { product: 'ghost' }),
  );
  await newSale(show);
  t.equal(outcome(await create(show, saleSpec(), 'another key')), 'already_exists');
  unwrap(await store.endShow(show, HOST));
  t.equal(outcome(await create(show, saleSpec({ id: 'late' }), 'late')), 'show_ended');
});

fixture.test(
  'a repeated key returns the first result after the sale changed; another body conflicts (I4)',
  async (t) => {
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
  },
);

fixture.showTest('mistakes in a sale are refused before Redis', async (t, show) => {
  const sku = { sku: 'S', product: 'p', price: 1, quantity: 1 };
  const wrong: Array<Partial<SaleSpec>> = [
    { title: '' },
    { currency: 'XX' },
    { perBuyer: 0 },
    { holdMs: LIMITS.holdMinMs - 1 },
    { holdMs: LIMITS.holdMaxMs + 1 },
    { skus: [] },
    { skus: [sku, sku] },
    { skus: [{ ...sku, quantity: 0 }] },
    { skus: [{ ...sku, price: -1 }] },
    { skus: [{ ...sku, price: 0.5 }] },
    { skus: [{ ...sku, quantity: LIMITS.unitsPerSkuMax + 1 }] },
    { skus: times(LIMITS.skusPerSaleMax + 1, (i) => ({ ...sku, sku: `S${i}` })) },
    { durationMs: LIMITS.saleDurationMinMs - 1 },
    { id: 'a/b' },
  ];
  for (const part of wrong)
    t.equal(
      outcome(await create(show, { ...saleSpec(), ...part })),
      'invalid_request',
      JSON.stringify(part).slice(0, 60),
    );
  t.same(unwrap(await store.listSales(show)), []);
});

fixture.showTest('a window with mixed moments has a maximum length', async (t, show) => {
  const tooLong = store.now() + LIMITS.saleDurationMaxMs + 60_000;
  t.equal(outcome(await create(show, saleSpec({ opensInMs: 0, closesAt: tooLong }))), 'invalid_request');
});

fixture.showTest('the number of sales of a show is limited, and the largest sale fits', async (t, show) => {
  const units = Object.fromEntries(times(LIMITS.skusPerSaleMax, (i) => [`S${i}`, 1]));
  t.equal((await newSale(show, { id: 'large', units })).skus.length, LIMITS.skusPerSaleMax);
  const more = times(LIMITS.salesPerShowMax - 1, (i) => newSale(show, { id: `s${i}`, opensInMs: 60_000 }));
  await Promise.all(more);
  t.match(
    await create(show, saleSpec({ id: 'one-more' })),
    refused('limit_reached', { limit: LIMITS.salesPerShowMax }),
  );
});
