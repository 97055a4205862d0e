/** Reservations and orders of an archived show, read from its files some at a time. */
import { join } from 'node:path';
import type { LedgerRow, UnreadableRow } from '../domain/archive.ts';
import type { LedgerEntry, LedgerItem } from '../domain/ledger.ts';
import type { BookedItem, BookedReservation } from '../domain/order.ts';
import type { SaleBooks, SkuBooks } from '../domain/sale.ts';
import type { Item, Product, ReservationView } from '../protocol/messages.ts';
import { linesOf, readLines } from './lines.ts';
import { FILES } from './manifest.ts';
import type { SummaryRow } from './replay.ts';

/** What the summary says of the sales and products of a show. */
interface Catalog {
  readonly sales: Map<string, SaleBooks>;
  /** By sale and SKU. */
  readonly skus: Map<string, SkuBooks>;
  readonly brands: Map<string, string>;
}

type Row = SummaryRow | { kind: 'product'; product: Product };

async function readCatalog(folder: string): Promise<Catalog> {
  const catalog: Catalog = { sales: new Map(), skus: new Map(), brands: new Map() };
  await readLines(join(folder, FILES.summary), (value) => {
    const row = value as Row;
    if (row.kind === 'product' && 'product' in row) catalog.brands.set(row.product.id, row.product.brand);
    if (row.kind !== 'sale') return;
    catalog.sales.set(row.sale.id, row.sale);
    for (const books of row.sale.skus) catalog.skus.set(`${row.sale.id}/${books.sku}`, books);
  });
  return catalog;
}

function describedItem({ skus, brands }: Catalog, sale: string, { sku, qty }: Item): BookedItem {
  const books = skus.get(`${sale}/${sku}`);
  if (books === undefined) return { sku, qty };
  const brand = brands.get(books.product);
  return { sku, qty, price: books.price, product: books.product, ...(brand === undefined ? {} : { brand }) };
}

/** Returns when orders were refunded, by their ids: the list of reservations has each one once. */
async function readRefunds(folder: string): Promise<Map<string, number>> {
  const refunds = new Map<string, number>();
  await readLines(join(folder, FILES.orders), (row) => {
    const { id, refundedAt } = row as ReservationView;
    if (refundedAt !== undefined) refunds.set(id, refundedAt);
  });
  return refunds;
}

async function* ordersIn(folder: string, catalog: Catalog): AsyncGenerator<BookedReservation[]> {
  for await (const lines of linesOf(join(folder, FILES.orders)))
    yield lines.flatMap((line): BookedReservation[] => {
      const order = JSON.parse(line) as ReservationView | UnreadableRow;
      if ('raw' in order) return [];
      return [{ ...order, lines: order.lines.map((item) => describedItem(catalog, order.sale, item)) }];
    });
}

const END_STATES = { confirm: 'confirmed', release: 'released', expire: 'expired' } as const;

/**
 * Follows the ledger, which has no field for the times of a reservation: they are those of the
 * entries. Only open holds are kept, and each one ends before the show is archived.
 */
class Holds {
  readonly #open = new Map<string, BookedReservation>();
  readonly #catalog: Catalog;
  readonly #refunds: ReadonlyMap<string, number>;

  constructor(catalog: Catalog, refunds: ReadonlyMap<string, number>) {
    this.#catalog = catalog;
    this.#refunds = refunds;
  }

  /** Returns the reservation that the entry ends, if any. */
  apply([kind, sale, id, user, actor, , reason, items, extra]: LedgerEntry, at: number): BookedReservation[] {
    if (id === false) return [];
    if (kind === 'hold') this.#open.set(id, this.#hold(sale, id, user || '', actor, items || [], at));
    const booked = this.#open.get(id);
    if (booked === undefined) return [];
    if (kind === 'prolong') booked.heldUntil = Number(extra?.heldUntil);
    const state = END_STATES[kind as keyof typeof END_STATES];
    if (state === undefined) return [];
    this.#open.delete(id);
    const ended = { ...booked, state, endedAt: at, ...(state === 'confirmed' ? { orderRef: reason } : {}) };
    const refundedAt = this.#refunds.get(id);
    return [refundedAt === undefined ? ended : { ...ended, state: 'refunded', refundedAt }];
  }

  #hold(
    saleId: string,
    id: string,
    user: string,
    actor: string,
    items: readonly LedgerItem[],
    createdAt: number,
  ): BookedReservation {
    const sale = this.#catalog.sales.get(saleId);
    const lines = items.map(([sku, qty]) => describedItem(this.#catalog, saleId, { sku, qty }));
    return {
      ...{ id, sale: saleId, user, state: 'held', lines },
      amount: lines.reduce((sum, { qty, price = 0 }) => sum + qty * price, 0),
      ...{ currency: sale?.currency ?? '', createdAt, heldUntil: createdAt + (sale?.holdMs ?? 0) },
      ...(actor === 'waitlist' ? { offer: true } : {}),
    };
  }
}

async function* reservationsIn(
  folder: string,
  catalog: Catalog,
  refunds: ReadonlyMap<string, number>,
): AsyncGenerator<BookedReservation[]> {
  const holds = new Holds(catalog, refunds);
  for await (const lines of linesOf(join(folder, FILES.ledger)))
    yield lines.flatMap((line) => {
      const row = JSON.parse(line) as LedgerRow;
      if ('raw' in row) return [];
      const at = Number.parseInt(row.at, 10);
      return row.entries.flatMap((entry) => (Array.isArray(entry) ? holds.apply(entry, at) : []));
    });
}

/** Rejects if the summary, or what was refunded, cannot be read. */
export async function readBooked(folder: string, isOrder: boolean): Promise<AsyncIterable<BookedReservation[]>> {
  const catalog = await readCatalog(folder);
  return isOrder ? ordersIn(folder, catalog) : reservationsIn(folder, catalog, await readRefunds(folder));
}
