/** Requests of hosts and back offices during a show: mostly reads, some orders, few plans. */
import type { SaleSpec } from '../../src/domain/sale.ts';
import { LIMITS } from '../../src/limits.ts';
import type { HttpRequest, Route } from './http-load.ts';

export interface RoutesOptions {
  readonly show: string;
  readonly sale: string;
  /** Existing orders, the n-th made with the n-th API key. They are read and confirmed again. */
  readonly orders: ReadonlyArray<{ readonly reservation: string; readonly amount: number }>;
  /** Shows in which new sales are planned. */
  readonly drafts: readonly string[];
}

export const orderRefOf = (reservation: string): string => `BENCH-${reservation}`;
export const confirmKey = (reservation: string): string => `pay-${reservation}`;

export function routesOf({ show, sale, orders, drafts }: RoutesOptions): Route[] {
  const get = (path: string): HttpRequest => ({ method: 'GET', path: `/v1/shows/${path}` });
  const post = (path: string, body: unknown): HttpRequest => ({ method: 'POST', path: `/v1/shows/${path}`, body });
  const order = (n: number) => orders[n % orders.length] ?? { reservation: 'none', amount: 0 };
  const confirm = (n: number): HttpRequest => {
    const { reservation, amount } = order(n);
    const request = post(`${show}/reservations/${reservation}/confirm`, { orderRef: orderRefOf(reservation), amount });
    return { ...request, as: n % orders.length, key: confirmKey(reservation) };
  };
  const token = (n: number) => post(`${show}/tokens`, { user: `api-${n}`, name: 'Ada', role: 'buyer' });
  const selling: Route[] = [
    { name: 'GET reservation', weight: 25, request: (n) => get(`${show}/reservations/${order(n).reservation}`) },
    { name: 'POST confirm, repeated key', weight: 10, request: confirm },
  ];
  return [
    { name: 'GET show', weight: 25, request: () => get(show) },
    { name: 'GET sale', weight: 20, request: () => get(`${show}/sales/${sale}`) },
    { name: 'GET sales', weight: 5, request: () => get(`${show}/sales`) },
    { name: 'POST sale, new key', weight: 8, request: (n) => creation(drafts, n) },
    { name: 'POST token', weight: 5, request: token },
    { name: 'POST pin', weight: 2, request: (n) => post(`${show}/pin`, { product: n % 2 === 0 ? 'tee' : null }) },
    ...(orders.length > 0 ? selling : []),
  ];
}

/** When all draft shows are full, keys repeat and get their recorded responses. */
function creation(drafts: readonly string[], n: number): HttpRequest {
  const at = n % (drafts.length * LIMITS.salesPerShowMax);
  const skus = [{ sku: 'M', product: 'tee', price: 2_500, quantity: 10 }];
  const body: SaleSpec = { id: `s${at}`, title: 'Planned', currency: 'EUR', skus };
  return { method: 'POST', as: at, path: `/v1/shows/${drafts[at % drafts.length]}/sales`, key: `plan-${at}`, body };
}
