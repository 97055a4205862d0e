/**
 * What the demo's show sells: three brands, six products, fifteen SKUs with sizes. All invented.
 */

import type { SaleSkuSpec, SaleSpec } from '../../src/domain/sale.ts';
import type { Brand, Product } from '../../src/protocol/messages.ts';
import { DEMO_HOLD_MS } from './options.ts';

export const BRANDS: readonly Brand[] = [
  { id: 'nordlys', name: 'Nordlys' },
  { id: 'atelie-sol', name: 'Ateliê Sol' },
  { id: 'kumo', name: 'Kumo 雲' },
];

interface Item {
  readonly id: string;
  readonly brand: string;
  readonly title: string;
  readonly code: string;
  readonly sizes: readonly string[];
  /** Minor units. */
  readonly price: number;
  /** Share of the sale's units, relative to the other products. */
  readonly weight: number;
}

const ITEMS: readonly Item[] = [
  {
    id: 'fjell-parka',
    brand: 'nordlys',
    title: 'Fjell Parka',
    code: 'FJELL',
    sizes: ['S', 'M', 'L'],
    price: 189_00,
    weight: 3,
  },
  {
    id: 'vidda-fleece',
    brand: 'nordlys',
    title: 'Vidda Fleece',
    code: 'VIDDA',
    sizes: ['M', 'L'],
    price: 79_00,
    weight: 2,
  },
  {
    id: 'praia-shirt',
    brand: 'atelie-sol',
    title: 'Praia Linen Shirt',
    code: 'PRAIA',
    sizes: ['S', 'M', 'L'],
    price: 64_00,
    weight: 3,
  },
  {
    id: 'duna-sandal',
    brand: 'atelie-sol',
    title: 'Duna Sandal',
    code: 'DUNA',
    sizes: ['38', '40', '42'],
    price: 52_00,
    weight: 2,
  },
  {
    id: 'kumo-runner',
    brand: 'kumo',
    title: 'Cloud Runner',
    code: 'RUNNER',
    sizes: ['39', '41'],
    price: 119_00,
    weight: 4,
  },
  {
    id: 'kumo-hoodie',
    brand: 'kumo',
    title: 'Kumo Hoodie',
    code: 'HOODIE',
    sizes: ['M', 'L'],
    price: 88_00,
    weight: 3,
  },
];

const skuCode = (item: Item, size: string): string => `${item.code}-${size}`;

export const PRODUCTS: readonly Product[] = ITEMS.map((item) => ({
  id: item.id,
  brand: item.brand,
  title: item.title,
  skus: item.sizes.map((size) => ({ sku: skuCode(item, size), title: size })),
}));

/** About half as many units as viewers, so that more people want one than can have one. */
const UNITS_PER_VIEWER = 0.5;
const PER_BUYER = 2;
const SKUS_MIN = 3;
const TITLES: readonly string[] = ['Midnight drop', 'Second wave', 'Last sizes', 'Encore', 'Blue hour'];

export function flashSale(options: {
  number: number;
  viewers: number;
  opensInMs: number;
  durationMs: number;
}): SaleSpec {
  const all = ITEMS.flatMap((item) =>
    item.sizes.map((size) => ({ item, size, weight: item.weight / item.sizes.length })),
  );
  const units = options.viewers * UNITS_PER_VIEWER;
  // A unit of every SKU would be too many for a small audience: then only some of them, from all
  // brands, are on sale.
  const entries = spread(all, Math.min(all.length, Math.max(SKUS_MIN, Math.floor(units))));
  const weights = entries.reduce((sum, { weight }) => sum + weight, 0);
  const skus = entries.map<SaleSkuSpec>(({ item, size, weight }) => ({
    sku: skuCode(item, size),
    product: item.id,
    price: Math.round((item.price * 0.6) / 100) * 100,
    quantity: Math.max(1, Math.round((units * weight) / weights)),
  }));
  const title = TITLES[(options.number - 1) % TITLES.length] ?? 'Flash sale';
  return {
    id: `flash-${options.number}`,
    title: `${title} −40%`,
    currency: 'EUR',
    perBuyer: PER_BUYER,
    holdMs: DEMO_HOLD_MS,
    opensInMs: options.opensInMs,
    durationMs: options.durationMs,
    skus,
  };
}

/** `count` of the items, evenly from the whole list. */
function spread<T>(items: readonly T[], count: number): T[] {
  return items.filter(
    (_, index) => Math.floor(((index + 1) * count) / items.length) > Math.floor((index * count) / items.length),
  );
}
