/** What the demo sells: three brands, six products, fifteen SKUs with sizes. All invented. */
import type { SaleSkuSpec, SaleSpec } from '../../src/domain/sale.ts';
import type { Brand, Product } from '../../src/protocol/messages.ts';
import { DEMO_HOLD_MS } from './options.ts';

export const BRANDS: readonly Brand[] = [
  { id: 'nordlys', name: 'Nordlys' },
  { id: 'atelie-sol', name: 'Ateliê Sol' },
  { id: 'kumo', name: 'Kumo 雲' },
];

type CatalogueItem = readonly [
  id: string,
  brand: string,
  title: string,
  code: string,
  sizes: readonly string[],
  /** Minor units. */
  price: number,
  /** Share of the sale's units, relative to the other products. */
  weight: number,
];

const ITEMS: readonly CatalogueItem[] = [
  ['fjell-parka', 'nordlys', 'Fjell Parka', 'FJELL', ['S', 'M', 'L'], 189_00, 3],
  ['vidda-fleece', 'nordlys', 'Vidda Fleece', 'VIDDA', ['M', 'L'], 79_00, 2],
  ['praia-shirt', 'atelie-sol', 'Praia Linen Shirt', 'PRAIA', ['S', 'M', 'L'], 64_00, 3],
  ['duna-sandal', 'atelie-sol', 'Duna Sandal', 'DUNA', ['38', '40', '42'], 52_00, 2],
  ['kumo-runner', 'kumo', 'Cloud Runner', 'RUNNER', ['39', '41'], 119_00, 4],
  ['kumo-hoodie', 'kumo', 'Kumo Hoodie', 'HOODIE', ['M', 'L'], 88_00, 3],
];

export const PRODUCTS: readonly Product[] = ITEMS.map(([id, brand, title, code, sizes, price]) => ({
  id,
  brand,
  title,
  price,
  currency: 'EUR',
  skus: sizes.map((size) => ({ sku: `${code}-${size}`, title: size })),
}));

/** Fewer units than viewers, so that not all of them can buy. */
const UNITS_PER_VIEWER = 0.5;
const PER_BUYER = 2;
const SKUS_MIN = 3;
const TITLES: readonly string[] = ['Midnight drop', 'Second wave', 'Last sizes', 'Encore', 'Blue hour'];

export function flashSale({
  number,
  viewers,
  ...times
}: {
  number: number;
  viewers: number;
  opensInMs: number;
  durationMs: number;
}): SaleSpec {
  const all = ITEMS.flatMap(([product, , , code, sizes, price, weight]) =>
    sizes.map((size) => ({ sku: `${code}-${size}`, product, price, weight: weight / sizes.length })),
  );
  const units = viewers * UNITS_PER_VIEWER;
  // For few viewers not every SKU gets a unit: then some SKUs of all brands are on sale.
  const entries = spread(all, Math.min(all.length, Math.max(SKUS_MIN, Math.floor(units))));
  const weights = entries.reduce((sum, { weight }) => sum + weight, 0);
  const skus = entries.map<SaleSkuSpec>(({ sku, product, price, weight }) => ({
    sku,
    product,
    price: Math.round((price * 0.6) / 100) * 100,
    quantity: Math.max(1, Math.round((units * weight) / weights)),
  }));
  const title = `${TITLES[(number - 1) % TITLES.length] ?? 'Flash sale'} −40%`;
  return { id: `flash-${number}`, title, currency: 'EUR', perBuyer: PER_BUYER, holdMs: DEMO_HOLD_MS, ...times, skus };
}

/** `count` of the items, evenly distributed over the list. */
const spread = <T>(items: readonly T[], count: number): T[] =>
  items.filter(
    (_, index) => Math.floor(((index + 1) * count) / items.length) > Math.floor((index * count) / items.length),
  );
