/** Records in Redis (MessagePack, as Lua's cmsgpack writes them) and their views. */
import { Packr } from 'msgpackr';
import type { ArchiveSummary } from '../domain/archive.ts';
import type { LedgerEntry, LedgerItem } from '../domain/ledger.ts';
import type { OrderNotes } from '../domain/order.ts';
import type { SaleBooks, SkuBooks } from '../domain/sale.ts';
import type { ReservationChange } from '../domain/show-log.ts';
import type {
  Item,
  Product,
  ReservationState,
  ReservationView,
  SaleState,
  SaleStateView,
  SaleView,
  ShowEvent,
  ShowState,
  ShowView,
} from '../protocol/messages.ts';

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});

export const pack = (value: unknown): Buffer => packr.pack(value);
export const unpack = <T>(bytes: Uint8Array): T => packr.unpack(bytes) as T;
/** Unpacks values that are back to back. */
export const unpackAll = (bytes: Uint8Array): unknown[] =>
  bytes.length === 0 ? [] : ((packr.unpackMultiple(bytes) as unknown[] | undefined) ?? []);

/** Packed records, as `lua/lib/fields.lua` names their fields. */
type Units = [allocated: number, available: number, held: number, sold: number, withdrawn: number];
export type StockRecord = [...units: Units, price: number, perBuyer: number, product: string];

export interface SaleRecord {
  id: string;
  title: string;
  state: SaleState;
  opensAt?: number;
  closesAt?: number;
  durationMs?: number;
  holdMs: number;
  perBuyer: number;
  currency: string;
  createdAt: number;
  openedAt?: number;
  endedAt?: number;
  soldOut?: boolean;
  /** When that was announced. */
  soldOutAt?: number;
  /** A draft that was deleted. Its books stay, because the ledger has its units. */
  deleted?: boolean;
  skus: string[];
}

/** SKU and quantity alternating, sorted by SKU. */
export type FlatItems = Array<string | number>;

type Identity = [user: string, id: string, state: ReservationState, offer: 0 | 1];
type Wish = [sale: string, items: FlatItems, key: string];
/** What new holds of the same items share in one call. */
export type Terms = [amount: number, currency: string, createdAt: number, heldUntil: number];
/** 0 and '' mean "not yet". */
type End = [endedAt: number, orderRef: string, firstUntil: number];
export type PackedReservation = [...identity: Identity, ...wish: Wish, ...terms: Terms, ...end: End, more?: OrderNotes];
/** A reserve request is the first fields of the hold's record. */
export type PackedRequest = [user: string, id: string, state: 'held', offer: 0, ...wish: Wish];

/** Unknown, or one that a Date can have. */
const isTime = (ms: unknown): boolean =>
  ms === undefined || ms === null || (typeof ms === 'number' && Math.abs(ms) <= 8.64e15);

/**
 * Returns a reservation as its host sees it: with what was noted of its order. Throws for a damaged
 * one, which would otherwise fail a whole list.
 */
export function notedView(packed: PackedReservation): ReservationView & OrderNotes {
  const offer = packed[3] === 0 ? {} : { offer: true as const };
  const view: ReservationView & OrderNotes = { ...reservationView(packed), ...offer, ...packed[14] };
  const { createdAt, heldUntil, endedAt, refundedAt } = view;
  if (![createdAt, heldUntil, endedAt, refundedAt].every(isTime)) throw new RangeError('It has a time that is none.');
  return view;
}

export interface ReservationRecord extends ReservationView, OrderNotes {
  key: string;
  /** The first deadline of an extended hold. */
  firstUntil?: number;
}

export function skuBooks(sku: string, stock: StockRecord): SkuBooks {
  const [allocated, available, held, sold, withdrawn, price, perBuyer, product] = stock;
  return { sku, product, price, ...(perBuyer > 0 ? { perBuyer } : {}), allocated, available, held, sold, withdrawn };
}

export function saleBooks(sale: SaleRecord, stock: readonly StockRecord[], rev: number): SaleBooks {
  const { id, title, state, holdMs, perBuyer, currency, createdAt } = sale;
  return {
    ...{ id, title, state },
    opensAt: sale.opensAt ?? null,
    closesAt: sale.closesAt ?? null,
    ...{ holdMs, perBuyer, currency, rev, createdAt },
    openedAt: sale.openedAt ?? null,
    endedAt: sale.endedAt ?? null,
    skus: sale.skus.map((sku, i) => skuBooks(sku, stock[i] as StockRecord)),
  };
}

/** Returns the value. Throws if it is no such record. */
function checked<T>(value: unknown, isRecord: (value: unknown) => boolean): T {
  if (!isRecord(value)) throw new Error('it has another format');
  return value as T;
}

const RESERVATION_FIELDS = 14;
const isReservation = (value: unknown): boolean =>
  Array.isArray(value) && value.length >= RESERVATION_FIELDS && Array.isArray(value[5]);
const hasId = (value: unknown): boolean => typeof (value as { id?: unknown } | null)?.id === 'string';
const isSummary = (value: unknown): boolean => typeof (value as { sha256?: unknown } | null)?.sha256 === 'string';

/** Throws if the bytes are no reservation. */
export const readReservation = (bytes: Uint8Array): PackedReservation => checked(unpack(bytes), isReservation);
/** Throws if the bytes are no product. */
export const readProduct = (bytes: Uint8Array): Product => checked(unpack(bytes), hasId);
/** Throws if the bytes are no show. */
export const readShow = (bytes: Uint8Array): ShowRecord => checked(unpack(bytes), hasId);
/** Throws if the bytes are no summary of an archived show. */
export const readSummary = (bytes: Uint8Array): ArchiveSummary => checked(unpack(bytes), isSummary);

/** Receives what cannot be read, and the sale if it is known. */
export type OnUnreadable = (what: string, saleId?: string) => void;

const throwUnreadable: OnUnreadable = (what) => {
  throw new Error(`${what} cannot be read`);
};

/** Returns null for bytes that are no such record. */
function readable<T>(bytes: Buffer, isRecord: (value: unknown) => boolean): T | null {
  try {
    const value = unpack<unknown>(bytes);
    return isRecord(value) ? (value as T) : null;
  } catch {
    return null;
  }
}

const STOCK_FIELDS = 8;
const isStock = (value: unknown): boolean => Array.isArray(value) && value.length === STOCK_FIELDS;
/** Throws if the bytes are no stock of a SKU. */
export const readStock = (bytes: Uint8Array): StockRecord => checked(unpack(bytes), isStock);
const isSale = (value: unknown): boolean => Array.isArray((value as SaleRecord | null)?.skus);
/** Throws if the bytes are no sale. */
export const readSale = (bytes: Uint8Array): SaleRecord => checked(unpack(bytes), isSale);

/**
 * Returns books in the order of creation. `stockFlat`: field and record alternating. By default
 * throws if a record cannot be read; otherwise its sale is left out. `hidesDeleted`: so are drafts
 * that were deleted.
 */
export function booksOf(
  stockFlat: readonly Buffer[],
  saleRecords: readonly Buffer[],
  rev: number,
  onUnreadable = throwUnreadable,
  hidesDeleted = false,
): SaleBooks[] {
  const stock = new Map<string, StockRecord>();
  for (let i = 0; i + 1 < stockFlat.length; i += 2) {
    const record = readable<StockRecord>(stockFlat[i + 1] as Buffer, isStock);
    if (record !== null) stock.set(String(stockFlat[i]), record);
  }
  const sales: SaleRecord[] = [];
  for (const bytes of saleRecords) {
    const sale = readable<SaleRecord>(bytes, isSale);
    if (hidesDeleted && sale?.deleted) continue;
    const missing = sale?.skus.find((sku) => !stock.has(`${sale.id}/${sku}`));
    if (sale === null) onUnreadable('the record of a sale');
    else if (missing !== undefined) onUnreadable(`sale ${sale.id}, ${missing}: the stock record`, sale.id);
    else sales.push(sale);
  }
  const stockOf = ({ id, skus }: SaleRecord): StockRecord[] =>
    skus.map((sku) => stock.get(`${id}/${sku}`) as StockRecord);
  return sales
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
    .map((sale) => saleBooks(sale, stockOf(sale), rev));
}

/** Returns the public part of the books: only what is left. */
export function saleView(books: SaleBooks): SaleView {
  const { id, title, state, opensAt, closesAt, holdMs, perBuyer, currency, rev } = books;
  const skus = books.skus.map(({ sku, product, price, perBuyer: limit, available }) => ({
    ...{ sku, product, price },
    ...(limit === undefined ? {} : { perBuyer: limit }),
    left: available,
  }));
  return { id, title, state, opensAt, closesAt, holdMs, perBuyer, currency, skus, rev };
}

export function itemsOf(flat: FlatItems): Item[] {
  const items: Item[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) items.push({ sku: flat[i] as string, qty: flat[i + 1] as number });
  return items;
}

/**
 * Sets fields one by one: with spreads V8 gives every object a separate hidden class (400 bytes),
 * and gateways keep the reservations of all connected buyers.
 */
export function reservationView(packed: PackedReservation): ReservationView {
  const [user, id, state, offer, sale, flat, , amount, currency, createdAt, heldUntil, endedAt, orderRef] = packed;
  const lines = itemsOf(flat);
  const view: ReservationView = { id, sale, user, state, lines, amount, currency, createdAt, heldUntil };
  if (endedAt !== 0) view.endedAt = endedAt;
  if (orderRef !== '') view.orderRef = orderRef;
  // Clients end the waitlist entry of an offer. The buyer may wait again before the refund.
  if (offer !== 0 && state !== 'refunded') view.offer = true;
  const refundedAt = packed[14]?.refundedAt;
  if (refundedAt !== undefined) view.refundedAt = refundedAt;
  return view;
}

export function unpackReservation(bytes: Uint8Array): ReservationRecord {
  const packed = readReservation(bytes);
  const [key, firstUntil] = [packed[6], packed[13]];
  return { ...notedView(packed), key, ...(firstUntil === 0 ? {} : { firstUntil }) };
}

/** Returns the reservation as it was when the hold was made (I4). */
export function firstResult(packed: PackedReservation): ReservationView {
  const { endedAt: _ended, orderRef: _order, refundedAt: _refunded, ...view } = reservationView(packed);
  return { ...view, state: 'held', heldUntil: packed[13] || view.heldUntil };
}

/**
 * A changed reservation on the relay. Only user, id and state are read, unless the buyer is
 * connected here and did not get it as a result.
 */
export class PackedChange implements ReservationChange {
  readonly user: string;
  readonly id: string;
  readonly isNewHold: boolean;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    const idAt = textEnd(bytes, FIELDS_AT);
    const stateAt = textEnd(bytes, idAt);
    const offerAt = textEnd(bytes, stateAt);
    this.user = textBetween(bytes, FIELDS_AT, idAt);
    this.id = textBetween(bytes, idAt, stateAt);
    this.isNewHold = bytes[offerAt] === 0 && textBetween(bytes, stateAt, offerAt) === 'held';
  }

  view(): ReservationView {
    return reservationView(readReservation(this.bytes));
  }
}

/** After the one byte that means "an array of 14". */
const FIELDS_AT = 1;
const textHead = (first: number): number => (first < 0xc0 ? 1 : first === 0xd9 ? 2 : 3);

/** Returns the end of a MessagePack string (fixstr, str 8 or str 16). */
function textEnd(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  if (first < 0xc0) return at + 1 + (first & 0x1f);
  return at + textHead(first) + (first === 0xd9 ? (bytes[at + 1] as number) : bytes.readUInt16BE(at + 1));
}

const textBetween = (bytes: Buffer, at: number, end: number): string =>
  bytes.toString('utf8', at + textHead(bytes[at] as number), end);

type HoldEntry = [kind: 'hold', items: LedgerItem[], ...records: PackedReservation[]];

/**
 * Returns the ledger entries of one script call (lua/lib/ledger.lua), or of their values, runs of
 * holds one by one.
 */
export const unpackLedger = (call: Uint8Array | readonly unknown[]): LedgerEntry[] =>
  ((call instanceof Uint8Array ? unpackAll(call) : call) as Array<LedgerEntry | HoldEntry>).flatMap((entry) =>
    entry[0] === 'hold' ? holdEntries(entry as HoldEntry) : [entry as LedgerEntry],
  );

function holdEntries([kind, items, ...records]: HoldEntry): LedgerEntry[] {
  return records.map(([user, id, , offer, sale, , key], i) => {
    const isLast = i === records.length - 1;
    const moved = items.map(([sku, qty, available = 0, held = 0, sold = 0, withdrawn = 0, ...after]): LedgerItem => {
      const [before, then] = [i * qty, (i + 1) * qty];
      // The last hold has the recorded values, so that a run that does not add up is found.
      const afterwards = isLast ? after : [available - then, held + then, sold, withdrawn];
      return [sku, qty, available - before, held + before, sold, withdrawn, ...afterwards];
    });
    return [kind, sale, id, user, offer === 1 ? 'waitlist' : 'user', key, offer === 1 ? 'offer' : '', moved];
  });
}

/** A moment that is not planned is missing in Lua and null here. */
export function eventOf(offset: unknown, at: unknown, type: unknown, data: unknown): ShowEvent {
  const body = data as Record<string, unknown>;
  const isEvent = Number.isInteger(offset) && typeof type === 'string' && typeof body === 'object' && body !== null;
  if (!isEvent) throw new Error('it is no event');
  if (body.sale && typeof body.sale === 'object') body.sale = { opensAt: null, closesAt: null, ...body.sale };
  return { offset: offset as number, at: at as number, type: type as ShowEvent['type'], data: body };
}

type Left = Record<string, number> | [];
export type SalePatch = [id: string, state: SaleState, opensAt: number, closesAt: number, left: Left];

export const saleStateOf = ([id, state, opensAt, closesAt, left]: SalePatch, rev: number): SaleStateView => ({
  id,
  rev,
  state,
  opensAt: opensAt || null,
  closesAt: closesAt || null,
  left: Array.isArray(left) ? {} : left,
});

/** The packed part of a show's record; `state` and `createdAt` are separate fields. */
export type ShowRecord = Omit<ShowView, 'state' | 'createdAt' | 'visibility'> & Partial<Pick<ShowView, 'visibility'>>;

/** A show that an earlier release made has no display cap and no visibility. */
export const showView = (record: ShowRecord, state: ShowState, createdAt: number): ShowView => ({
  ...record,
  chatShownPerSecond: record.chatShownPerSecond ?? 0,
  visibility: record.visibility ?? 'unlisted',
  ...{ state, createdAt },
});
