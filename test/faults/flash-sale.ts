/** A live show with one flash sale of two SKUs, created over HTTP; and tokens for its viewers. */
import { createHmac } from 'node:crypto';
import { BackOffice } from '../../bench/users/back-office.ts';
import { API_KEY, AUTH_SECRET, type EngineUnderTest, SHOW } from './engine-under-test.ts';

export const SALE = 'drop';
export const SKUS = ['tee-m', 'tee-l'] as const;
export const PER_BUYER = 2;
const TIMEOUT_MS = 20_000;

export interface SalePlan {
  /** Units of each SKU. */
  readonly units: number;
  readonly show?: string;
  /** Ids of the sales; each opens `laterMs` after the one before. */
  readonly sales?: readonly string[];
  readonly laterMs?: number;
  readonly opensInMs?: number;
  readonly durationMs?: number;
  readonly holdMs?: number;
}

export type FlashSaleShow = Awaited<ReturnType<typeof createFlashSaleShow>>;

export async function createFlashSaleShow({ controlUrls }: EngineUnderTest, plan: SalePlan) {
  const { units, show = SHOW, opensInMs = 1_500, durationMs = 600_000, holdMs = 120_000 } = plan;
  const { sales: ids = [SALE], laterMs = 0 } = plan;
  // One for each control process; failed calls are not repeated.
  const offices = controlUrls.map((url) => new BackOffice(url, API_KEY, { tries: 1, timeoutMs: TIMEOUT_MS }));
  const [office] = offices;
  if (office === undefined) throw new Error('no process has the control role');
  await office.createShow({ id: show, title: 'Fault run', guests: true, brands: [{ id: 'acme', name: 'Acme' }] });
  await office.putProduct(show, { id: 'tee', brand: 'acme', title: 'Tee', skus: SKUS.map((sku) => ({ sku })) });
  await office.startShow(show);
  const skus = SKUS.map((sku) => ({ sku, product: 'tee', price: 1_500, quantity: units }));
  const rules = { title: 'Drop', currency: 'EUR', perBuyer: PER_BUYER, holdMs, durationMs, skus };
  const sales: Array<{ id: string; opensAt: number; closesAt: number }> = [];
  for (const [at, id] of ids.entries()) {
    const spec = { id, ...rules, opensInMs: opensInMs + at * laterMs };
    const { opensAt, closesAt } = await office.createSale(show, spec, `create-${id}`);
    sales.push({ id, opensAt: Number(opensAt), closesAt: Number(closesAt) });
  }
  const [{ opensAt, closesAt }] = sales as [(typeof sales)[number]];
  return { units, sales, opensAt, closesAt, offices, office };
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Returns a token as an identity provider signs it. Negative `ttlMs`: it has expired. */
export function signToken(user: string, ttlMs = 3_600_000, role = 'buyer', show = SHOW): string {
  const exp = Math.floor((Date.now() + ttlMs) / 1000);
  const claims = { sub: user, name: user, show, role, exp };
  const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
  return `${signed}.${createHmac('sha256', AUTH_SECRET).update(signed).digest('base64url')}`;
}
