/** A live show with one flash sale of two SKUs, made over HTTP. */
import type { House } from './engine-under-test.ts';
import { must } from './plain-http.ts';

export const SALE = 'drop';
export const SKUS = ['tee-m', 'tee-l'] as const;
export const PER_BUYER = 2;
export const PRICE = 1_500;

export interface SalePlan {
  /** Units of each SKU. */
  readonly units: number;
  readonly opensInMs: number;
  readonly durationMs?: number;
  readonly holdMs?: number;
}

export interface FlashSaleShow {
  readonly show: string;
  readonly units: number;
  readonly opensAt: number;
  readonly closesAt: number;
  readonly control: string;
}

export async function createFlashSaleShow(
  house: House,
  show: string,
  { units, opensInMs, durationMs = 600_000, holdMs = 120_000 }: SalePlan,
): Promise<FlashSaleShow> {
  const control = house.controlUrls[0] ?? '';
  await must(control, 'POST', '/v1/shows', {
    id: show,
    title: 'Fault run',
    guests: true,
    brands: [{ id: 'acme', name: 'Acme' }],
  });
  await must(control, 'PUT', `/v1/shows/${show}/products/tee`, {
    brand: 'acme',
    title: 'Tee',
    skus: SKUS.map((sku) => ({ sku })),
  });
  await must(control, 'POST', `/v1/shows/${show}/start`);
  const sale = {
    id: SALE,
    title: 'Drop',
    currency: 'EUR',
    perBuyer: PER_BUYER,
    holdMs,
    opensInMs,
    durationMs,
    skus: SKUS.map((sku) => ({ sku, product: 'tee', price: PRICE, quantity: units })),
  };
  const { opensAt, closesAt } = await must(control, 'POST', `/v1/shows/${show}/sales`, sale, 'create');
  return { show, units, opensAt: Number(opensAt), closesAt: Number(closesAt), control };
}
