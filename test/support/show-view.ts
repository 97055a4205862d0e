/** A live show, a sale and a hold as viewers see them, for tests that need any. */
import type { ReservationView, SaleView, ShowView } from '../../src/protocol/messages.ts';

export const showView = (more: Partial<ShowView> = {}): ShowView => ({
  id: 'show',
  title: 'S',
  state: 'live',
  startsAt: null,
  guests: true,
  slowModeMs: 0,
  chatShownPerSecond: 0,
  visibility: 'unlisted',
  brands: [],
  pinned: null,
  createdAt: 0,
  ...more,
});

/** An open sale of SKU `a`, of which five units are left. */
export const saleView = (more: Partial<SaleView> = {}): SaleView => ({
  id: 's',
  title: 'S',
  state: 'open',
  opensAt: 1,
  closesAt: 9,
  holdMs: 1,
  perBuyer: 1,
  currency: 'EUR',
  rev: 1,
  skus: [{ sku: 'a', product: 'p', price: 1, left: 5 }],
  ...more,
});

export const holdView = (id: string, more: Partial<ReservationView> = {}): ReservationView => ({
  id,
  sale: 's',
  user: 'ann',
  state: 'held',
  lines: [],
  amount: 0,
  currency: 'EUR',
  createdAt: 0,
  heldUntil: 9,
  ...more,
});
