/** Creates a show with one sale of one SKU through the store. */
import type { ConnectedStore } from '../../src/redis/index.ts';

export const HOT_SALE = 'hot';
export const HOT_SKU = 'S';

export interface HotSale {
  readonly show: string;
  readonly units: number;
  readonly perBuyer?: number;
  readonly holdMs?: number;
  readonly opensInMs?: number;
}

export async function createHotSale(
  store: ConnectedStore,
  { show, units, perBuyer = 1, holdMs = 900_000, opensInMs = 0 }: HotSale,
): Promise<void> {
  const spec = { id: show, title: 'Bench', guests: true, brands: [{ id: 'brand', name: 'Brand' }] };
  const product = { id: 'product', brand: 'brand', title: 'Product', skus: [{ sku: HOT_SKU }] };
  const skus = [{ sku: HOT_SKU, product: 'product', price: 1000, quantity: units }];
  const durationMs = 3_600_000;
  const sale = { id: HOT_SALE, title: 'Hot', currency: 'EUR', perBuyer, holdMs, opensInMs, durationMs, skus };
  const results = [
    await store.createShow(spec, 'bench'),
    await store.putProduct(show, product, 'bench'),
    await store.startShow(show, 'bench'),
    await store.createSale(show, sale, { key: 'create', actor: 'bench' }),
  ];
  for (const result of results) if (!result.ok) throw new Error(`bench setup: ${result.error.message}`);
}
