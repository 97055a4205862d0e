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
  const results = [
    await store.createShow(
      { id: show, title: 'Bench', guests: true, brands: [{ id: 'brand', name: 'Brand' }] },
      'bench',
    ),
    await store.putProduct(
      show,
      { id: 'product', brand: 'brand', title: 'Product', skus: [{ sku: HOT_SKU }] },
      'bench',
    ),
    await store.startShow(show, 'bench'),
    await store.createSale(
      show,
      {
        id: HOT_SALE,
        title: 'Hot',
        currency: 'EUR',
        perBuyer,
        holdMs,
        opensInMs,
        durationMs: 3_600_000,
        skus: [{ sku: HOT_SKU, product: 'product', price: 1000, quantity: units }],
      },
      { key: 'create', actor: 'bench' },
    ),
  ];
  for (const result of results) if (!result.ok) throw new Error(`bench setup: ${result.error.message}`);
}
