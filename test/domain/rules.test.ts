import t, { type Test } from 'tap';
import type { Mistake } from '../../src/domain/mistakes.ts';
import { checkProduct } from '../../src/domain/product.ts';
import type { SaleMove, SaleSpec } from '../../src/domain/sale.ts';
import { checkSaleMove, checkSaleSpec, isCurrency } from '../../src/domain/sale.ts';
import type { ShowSpec } from '../../src/domain/show.ts';
import { checkShowPatch, checkShowSpec } from '../../src/domain/show.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Failure } from '../../src/protocol/codes.ts';
import type { Product } from '../../src/protocol/messages.ts';

const now = 1_800_000_000_000;
const hour = 3_600_000;
const sku = { sku: 'TEE-M', product: 'tee', price: 1999, quantity: 100 };
const sale: SaleSpec = { title: 'Tees', currency: 'EUR', opensInMs: 20_000, durationMs: 60_000, skus: [sku] };
const paths = (failure: Failure | null): string[] =>
  ((failure?.details?.errors ?? []) as Mistake[]).map((mistake) => mistake.path);

function wrong(t: Test, change: Partial<SaleSpec>, ...expected: string[]): void {
  const failure = checkSaleSpec({ ...sale, ...change }, now);
  t.equal(failure?.code, 'invalid_request', JSON.stringify(change).slice(0, 80));
  t.strictSame(paths(failure), expected);
}

t.test('good sales pass', async (t) => {
  const good: Array<Partial<SaleSpec>> = [
    {},
    { id: 'drop_1', perBuyer: 2, holdMs: LIMITS.holdMinMs },
    { skus: [{ ...sku, price: 0, quantity: 1, perBuyer: 2 }], perBuyer: 2 },
    { skus: [sku, { ...sku, sku: 'TEE-L' }] },
  ];
  for (const change of good) t.equal(checkSaleSpec({ ...sale, ...change }, now), null);
  const { opensInMs: _in, durationMs: _for, ...bare } = sale;
  t.equal(checkSaleSpec(bare, now), null, 'no window: a draft, opened by hand');
  t.equal(checkSaleSpec({ ...bare, opensAt: now + hour, closesAt: now + 2 * hour }, now), null);
  t.equal(checkSaleSpec({ ...bare, opensAt: now + hour, durationMs: hour }, now), null);
  t.equal(checkSaleSpec({ ...bare, closesAt: now + hour }, now), null);
});

t.test('each end of the window is given one way only', async (t) => {
  wrong(t, { opensAt: now + hour }, '/opensInMs');
  wrong(t, { closesAt: now + hour }, '/durationMs');
});

t.test('the window has a sane order, length and scale', async (t) => {
  const { opensInMs: _in, durationMs: _for, ...bare } = sale;
  const windowPaths = (window: Partial<SaleSpec>): string[] => paths(checkSaleSpec({ ...bare, ...window }, now));
  t.strictSame(windowPaths({ opensAt: now + hour, closesAt: now + hour }), ['/closesAt']);
  t.strictSame(windowPaths({ opensAt: now + hour, closesAt: now }), ['/closesAt']);
  t.strictSame(windowPaths({ opensAt: now, closesAt: now + LIMITS.saleDurationMaxMs + 1 }), ['/closesAt']);
  t.strictSame(windowPaths({ opensAt: Math.floor(now / 1000) }), ['/opensAt'], 'seconds given for milliseconds');
  t.strictSame(windowPaths({ opensAt: now + LIMITS.saleLeadTimeMaxMs + 1 }), ['/opensAt']);
  t.strictSame(windowPaths({ opensAt: now + 0.5 }), ['/opensAt']);
  t.strictSame(windowPaths({ opensInMs: -1 }), ['/opensInMs']);
  t.strictSame(windowPaths({ durationMs: LIMITS.saleDurationMinMs - 1 }), ['/durationMs']);
});

t.test('a rule about time gets milder as time passes, so a repeat reaches its recorded answer', async (t) => {
  const { opensInMs: _in, durationMs: _for, ...bare } = sale;
  const spec = { ...bare, opensAt: now, closesAt: now + hour };
  for (const later of [0, hour, 2 * hour, LIMITS.idempotencyTtlMs]) t.equal(checkSaleSpec(spec, now + later), null);
});

t.test('numbers and texts of a sale', async (t) => {
  wrong(t, { title: '  ' }, '/title');
  wrong(t, { title: 'x'.repeat(LIMITS.titleCharsMax + 1) }, '/title');
  wrong(t, { title: 'a\u0000b' }, '/title');
  wrong(t, { id: '{x}' }, '/id');
  wrong(t, { id: 'x'.repeat(65) }, '/id');
  wrong(t, { currency: 'eur' }, '/currency');
  wrong(t, { currency: 'ZZZ' }, '/currency');
  wrong(t, { perBuyer: 0 }, '/perBuyer');
  wrong(t, { holdMs: LIMITS.holdMinMs - 1 }, '/holdMs');
  wrong(t, { holdMs: LIMITS.holdMaxMs + 1 }, '/holdMs');
  wrong(t, { skus: [] }, '/skus');
  wrong(t, { skus: [{ ...sku, price: -1 }] }, '/skus/0/price');
  wrong(t, { skus: [{ ...sku, price: 19.99 }] }, '/skus/0/price');
  wrong(t, { skus: [{ ...sku, quantity: 0 }] }, '/skus/0/quantity');
  wrong(t, { skus: [{ ...sku, quantity: Number.NaN }] }, '/skus/0/quantity');
  wrong(t, { skus: [{ ...sku, quantity: LIMITS.unitsPerSkuMax + 1 }] }, '/skus/0/quantity');
  wrong(t, { skus: [{ ...sku, sku: 'a/b' }] }, '/skus/0/sku');
  wrong(t, { perBuyer: 2, skus: [{ ...sku, perBuyer: 3 }] }, '/skus/0/perBuyer');
  wrong(t, { skus: [sku, { ...sku, price: 5 }] }, '/skus/1');
  wrong(
    t,
    { skus: Array.from({ length: LIMITS.skusPerSaleMax + 1 }, (_, index) => ({ ...sku, sku: `S${index}` })) },
    '/skus',
  );
});

t.test('sums that would lose exactness are refused', async (t) => {
  wrong(t, { skus: [{ ...sku, price: LIMITS.priceMinorUnitsMax, quantity: LIMITS.unitsPerSkuMax }] }, '/skus');
});

t.test('every mistake is listed, up to a bound', async (t) => {
  wrong(t, { title: '', currency: 'X', perBuyer: -1 }, '/title', '/currency', '/perBuyer');
  const many = Array.from({ length: 100 }, (_, index) => ({ ...sku, sku: `S${index}`, price: -1 }));
  t.equal(paths(checkSaleSpec({ ...sale, skus: many }, now)).length, LIMITS.mistakesListedMax);
});

t.test('moves', async (t) => {
  const good: SaleMove[] = [
    { op: 'schedule', opensInMs: 0 },
    { op: 'schedule', opensAt: now + 1, closesAt: now + hour },
    { op: 'open' },
    { op: 'open', durationMs: 60_000 },
    { op: 'pause' },
    { op: 'resume' },
    { op: 'extend', byMs: 1 },
    { op: 'end' },
    { op: 'cancel' },
    { op: 'units', sku: 'TEE-M', delta: -5 },
  ];
  for (const move of good) t.equal(checkSaleMove(move, now), null, move.op);
  const bad: Array<[SaleMove, string]> = [
    [{ op: 'schedule' }, ''],
    [{ op: 'schedule', opensAt: now, opensInMs: 5 }, '/opensInMs'],
    [{ op: 'open', durationMs: 1 }, '/durationMs'],
    [{ op: 'extend', byMs: 0 }, '/byMs'],
    [{ op: 'extend', byMs: -1000 }, '/byMs'],
    [{ op: 'units', sku: 'TEE-M', delta: 0 }, '/delta'],
    [{ op: 'units', sku: '', delta: 1 }, '/sku'],
    [{ op: 'units', sku: 'TEE-M', delta: 1e9 }, '/delta'],
    [{ op: 'explode' } as unknown as SaleMove, '/op'],
  ];
  for (const [move, path] of bad) t.strictSame(paths(checkSaleMove(move, now)), [path], JSON.stringify(move));
});

t.test('shows', async (t) => {
  const show: ShowSpec = { title: 'Gala', startsAt: now + hour, brands: [{ id: 'acme', name: 'Acme' }] };
  t.equal(checkShowSpec(show, now), null);
  t.equal(checkShowSpec({ title: 'Gala', startsAt: null }, now), null);
  t.strictSame(
    paths(checkShowSpec({ ...show, brands: [...(show.brands ?? []), { id: 'acme', name: 'Other' }] }, now)),
    ['/brands/1'],
  );
  t.strictSame(paths(checkShowSpec({ ...show, slowModeMs: -1, title: '' }, now)), ['/title', '/slowModeMs']);
  t.strictSame(paths(checkShowPatch({}, now)), ['']);
  t.equal(checkShowPatch({ guests: true }, now), null);
});

t.test('products', async (t) => {
  const product: Product = { id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE-M', title: 'M' }] };
  t.equal(checkProduct(product), null);
  t.equal(checkProduct({ ...product, imageUrl: 'https://cdn.example/tee.png' }), null);
  t.strictSame(paths(checkProduct({ ...product, imageUrl: 'javascript:alert(1)' })), ['/imageUrl']);
  t.strictSame(paths(checkProduct({ ...product, skus: [] })), ['/skus']);
  t.strictSame(paths(checkProduct({ ...product, skus: [{ sku: 'A' }, { sku: 'A' }] })), ['/skus/1']);
});

t.test('currencies', async (t) => {
  for (const code of ['EUR', 'USD', 'JPY', 'CNY']) t.ok(isCurrency(code));
  for (const code of ['', 'eur', 'EURO', 'constructor']) t.notOk(isCurrency(code));
});
