import t from 'tap';
import type { Mistake } from '../../src/domain/mistakes.ts';
import { checkProduct } from '../../src/domain/product.ts';
import { checkSaleMove, checkSaleSpec, isCurrency, type SaleMove, type SaleSpec } from '../../src/domain/sale.ts';
import { checkShowPatch, checkShowSpec, type ShowSpec } from '../../src/domain/show.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Failure, Product } from '../../src/protocol/index.ts';

const now = 1_800_000_000_000;
const hour = 3_600_000;
const sku = { sku: 'TEE-M', product: 'tee', price: 1999, quantity: 100 };
const withoutWindow: SaleSpec = { title: 'Tees', currency: 'EUR', skus: [sku] };
const sale: SaleSpec = { ...withoutWindow, opensInMs: 20_000, durationMs: 60_000 };
const manySkus = (count: number, price: number) =>
  Array.from({ length: count }, (_, i) => ({ ...sku, sku: `S${i}`, price }));

const paths = (failure: Failure | null): string[] =>
  ((failure?.details?.errors ?? []) as Mistake[]).map(({ path }) => path);
const describe = (value: unknown): string => JSON.stringify(value).slice(0, 80);

type Change = Partial<SaleSpec>;
const accepts = (name: string, base: SaleSpec, changes: readonly Change[]): void =>
  void t.test(name, async (t) => {
    for (const change of changes) t.equal(checkSaleSpec({ ...base, ...change }, now), null, describe(change));
  });
const rejects = (name: string, base: SaleSpec, changes: ReadonlyArray<readonly [Change, ...paths: string[]]>): void =>
  void t.test(name, async (t) => {
    for (const [change, ...expected] of changes) {
      const failure = checkSaleSpec({ ...base, ...change }, now);
      t.equal(failure?.code, 'invalid_request', describe(change));
      t.strictSame(paths(failure), expected, describe(change));
    }
  });

accepts('correct sales are accepted', sale, [
  {},
  { id: 'drop_1', perBuyer: 2, holdMs: LIMITS.holdMinMs },
  { skus: [{ ...sku, price: 0, quantity: 1, perBuyer: 2 }], perBuyer: 2 },
  { skus: [sku, { ...sku, sku: 'TEE-L' }, { ...sku, sku: 'T-Shirt Gr\u00f6\u00dfe M/L' }] },
]);

accepts('the window may be absolute, relative, open-ended or absent', withoutWindow, [
  {},
  { opensAt: now + hour, closesAt: now + 2 * hour },
  { opensAt: now + hour, durationMs: hour },
  { closesAt: now + hour },
]);

rejects('each end of the window is given in one way only', sale, [
  [{ opensAt: now + hour }, '/opensInMs'],
  [{ closesAt: now + hour }, '/durationMs'],
]);

rejects('the window has an order, a length and a scale', withoutWindow, [
  [{ opensAt: now + hour, closesAt: now + hour }, '/closesAt'],
  [{ opensAt: now + hour, closesAt: now }, '/closesAt'],
  [{ opensAt: now, closesAt: now + LIMITS.saleDurationMaxMs + 1 }, '/closesAt'],
  [{ opensAt: Math.floor(now / 1000) }, '/opensAt'],
  [{ opensAt: now + LIMITS.saleLeadTimeMaxMs + 1 }, '/opensAt'],
  [{ opensAt: now + 0.5 }, '/opensAt'],
  [{ opensInMs: -1 }, '/opensInMs'],
  [{ durationMs: LIMITS.saleDurationMinMs - 1 }, '/durationMs'],
]);

t.test('rules about time become more lenient, so that a repeat reaches its recorded result', async (t) => {
  const spec = { ...withoutWindow, opensAt: now, closesAt: now + hour };
  for (const later of [0, hour, 2 * hour, LIMITS.idempotencyTtlMs]) t.equal(checkSaleSpec(spec, now + later), null);
});

rejects('numbers and texts of a sale are checked', sale, [
  [{ title: '  ' }, '/title'],
  [{ title: '\u3164' }, '/title'],
  [{ title: 'Tees \u202e99.9' }, '/title'],
  [{ title: 'x'.repeat(LIMITS.titleCharsMax + 1) }, '/title'],
  [{ title: 'a\u0000b' }, '/title'],
  [{ id: '{x}' }, '/id'],
  [{ id: 'x'.repeat(65) }, '/id'],
  [{ currency: 'eur' }, '/currency'],
  [{ currency: 'ZZZ' }, '/currency'],
  [{ perBuyer: 0 }, '/perBuyer'],
  [{ holdMs: LIMITS.holdMinMs - 1 }, '/holdMs'],
  [{ holdMs: LIMITS.holdMaxMs + 1 }, '/holdMs'],
  [{ skus: [] }, '/skus'],
  [{ skus: [{ ...sku, price: -1 }] }, '/skus/0/price'],
  [{ skus: [{ ...sku, price: 19.99 }] }, '/skus/0/price'],
  [{ skus: [{ ...sku, quantity: 0 }] }, '/skus/0/quantity'],
  [{ skus: [{ ...sku, quantity: Number.NaN }] }, '/skus/0/quantity'],
  [{ skus: [{ ...sku, quantity: LIMITS.unitsPerSkuMax + 1 }] }, '/skus/0/quantity'],
  [{ skus: [{ ...sku, sku: ' a' }] }, '/skus/0/sku'],
  [{ skus: [{ ...sku, sku: 'Gro\u0308\u00dfe' }] }, '/skus/0/sku'],
  [{ skus: [{ ...sku, sku: 'x'.repeat(LIMITS.idCharsMax + 1) }] }, '/skus/0/sku'],
  [{ perBuyer: 2, skus: [{ ...sku, perBuyer: 3 }] }, '/skus/0/perBuyer'],
  [{ skus: [sku, { ...sku, price: 5 }] }, '/skus/1'],
  [{ skus: manySkus(LIMITS.skusPerSaleMax + 1, 1) }, '/skus'],
  [{ skus: [{ ...sku, price: LIMITS.priceMinorUnitsMax, quantity: LIMITS.unitsPerSkuMax }] }, '/skus'],
]);

const wrong = { title: '', currency: 'X', perBuyer: -1 };
rejects('all mistakes are listed', sale, [[wrong, '/title', '/currency', '/perBuyer']]);

t.test('the list of mistakes is bounded', async (t) => {
  t.equal(paths(checkSaleSpec({ ...sale, skus: manySkus(100, -1) }, now)).length, LIMITS.mistakesListedMax);
});

t.test('moves of a sale are checked', async (t) => {
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
  for (const [move, path] of bad) t.strictSame(paths(checkSaleMove(move, now)), [path], describe(move));
});

t.test('shows are checked', async (t) => {
  const show: ShowSpec = { title: 'Gala', startsAt: now + hour, brands: [{ id: 'acme', name: 'Acme' }] };
  const twoBrands = [...(show.brands ?? []), { id: 'acme', name: 'Other' }];
  t.strictSame([checkShowSpec(show, now), checkShowSpec({ title: 'Gala', startsAt: null }, now)], [null, null]);
  t.strictSame(paths(checkShowSpec({ ...show, brands: twoBrands }, now)), ['/brands/1']);
  t.strictSame(paths(checkShowSpec({ ...show, slowModeMs: -1, title: '' }, now)), ['/title', '/slowModeMs']);
  t.strictSame(paths(checkShowPatch({}, now)), ['']);
  t.equal(checkShowPatch({ guests: true }, now), null);
});

t.test('products are checked', async (t) => {
  const product: Product = { id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE-M', title: 'M' }] };
  t.equal(checkProduct(product), null);
  t.equal(checkProduct({ ...product, imageUrl: 'https://cdn.example/tee.png' }), null);
  t.strictSame(paths(checkProduct({ ...product, imageUrl: 'javascript:alert(1)' })), ['/imageUrl']);
  const priced = { price: 1999, compareAtPrice: 2999, currency: 'EUR' };
  const described = {
    ...priced,
    description: 'One\ntwo',
    images: ['https://cdn.example/2.png'],
    link: 'https://x.example/',
  };
  t.equal(checkProduct({ ...product, ...described }), null);
  for (const [path, change] of Object.entries({
    '/price': { price: 0.5 },
    '/compareAtPrice': { compareAtPrice: -1 },
    '/currency': { currency: 'XX' },
    '/description': { description: '\u202e' },
    '/images': { images: Array(LIMITS.imagesPerProductMax + 1).fill('https://x.example/') },
    '/images/0': { images: ['http://cdn.example/2.png'] },
    '/link': { link: 'javascript:alert(1)' },
  }))
    t.strictSame(paths(checkProduct({ ...product, ...described, ...change })), [path]);
  t.strictSame(paths(checkProduct({ ...product, price: 1 })), ['/currency']);
  t.strictSame(paths(checkProduct({ ...product, compareAtPrice: 1, currency: 'EUR' })), ['/price']);
  t.strictSame(paths(checkProduct({ ...product, skus: [] })), ['/skus']);
  t.strictSame(paths(checkProduct({ ...product, skus: [{ sku: 'A' }, { sku: 'A' }] })), ['/skus/1']);
});

t.test('currencies are ISO 4217 codes', async (t) => {
  for (const code of ['EUR', 'USD', 'JPY', 'CNY']) t.ok(isCurrency(code));
  for (const code of ['', 'eur', 'EURO', 'constructor']) t.notOk(isCurrency(code));
});
