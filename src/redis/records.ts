/**
 * How records look in Redis (MessagePack, written by Lua's cmsgpack and read here, and the other
 * way round) and as views.
 */
import { Packr } from 'msgpackr';
import type { LedgerEntry, LedgerLine } from '../domain/ledger.ts';
import type { SaleBooks, SkuBooks } from '../domain/sale.ts';
import type { ReservationChange } from '../domain/show-log.ts';
import type {
  Item,
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
/** MessagePack values back to back. */
export const unpackAll = (bytes: Uint8Array): unknown[] =>
  bytes.length === 0 ? [] : ((packr.unpackMultiple(bytes) as unknown[] | undefined) ?? []);

/** {allocated, available, held, sold, withdrawn, price, per buyer (0 = none), product} */
export type StockRecord = [
  allocated: number,
  available: number,
  held: number,
  sold: number,
  withdrawn: number,
  price: number,
  perBuyer: number,
  product: string,
];

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
  skus: string[];
}

/** SKU and quantity in turns, sorted by SKU. */
export type FlatLines = Array<string | number>;

/**
 * What a buyer asks for, as `reserve.lua` takes it: the fields that the record of the hold begins
 * with.
 */
export type PackedRequest = [
  user: string,
  id: string,
  state: 'held',
  offer: 0,
  sale: string,
  lines: FlatLines,
  key: string,
];

/** As `lua/lib/books.lua` names the fields: 0 and '' stand for what is not yet known. */
export type PackedReservation = [
  user: string,
  id: string,
  state: ReservationState,
  offer: 0 | 1,
  sale: string,
  lines: FlatLines,
  key: string,
  amount: number,
  currency: string,
  createdAt: number,
  heldUntil: number,
  endedAt: number,
  orderRef: string,
  firstUntil: number,
];

export interface ReservationRecord {
  id: string;
  user: string;
  state: ReservationState;
  sale: string;
  lines: Item[];
  amount: number;
  currency: string;
  createdAt: number;
  heldUntil: number;
  key: string;
  endedAt?: number;
  orderRef?: string;
  offer?: true;
  /** Set once the hold was given more time: the deadline it had first. */
  firstUntil?: number;
}

export function skuBooks(sku: string, stock: StockRecord): SkuBooks {
  const [allocated, available, held, sold, withdrawn, price, perBuyer, product] = stock;
  return { sku, product, price, ...(perBuyer > 0 ? { perBuyer } : {}), allocated, available, held, sold, withdrawn };
}

export function saleBooks(sale: SaleRecord, stock: readonly StockRecord[], rev: number): SaleBooks {
  return {
    id: sale.id,
    title: sale.title,
    state: sale.state,
    opensAt: sale.opensAt ?? null,
    closesAt: sale.closesAt ?? null,
    holdMs: sale.holdMs,
    perBuyer: sale.perBuyer,
    currency: sale.currency,
    rev,
    createdAt: sale.createdAt,
    openedAt: sale.openedAt ?? null,
    endedAt: sale.endedAt ?? null,
    skus: sale.skus.map((sku, i) => skuBooks(sku, stock[i] as StockRecord)),
  };
}

/** What the public may know of the books: only what is left. */
export function saleView(books: SaleBooks): SaleView {
  const { id, title, state, opensAt, closesAt, holdMs, perBuyer, currency, rev } = books;
  const skus = books.skus.map(({ sku, product, price, perBuyer: most, available }) => ({
    sku,
    product,
    price,
    ...(most === undefined ? {} : { perBuyer: most }),
    left: available,
  }));
  return { id, title, state, opensAt, closesAt, holdMs, perBuyer, currency, skus, rev };
}

export function reservationRecord(packed: unknown): ReservationRecord {
  const [
    user,
    id,
    state,
    offer,
    sale,
    lines,
    key,
    amount,
    currency,
    createdAt,
    heldUntil,
    endedAt,
    orderRef,
    firstUntil,
  ] = packed as PackedReservation;
  return {
    ...{ user, id, state, sale, lines: linesOf(lines), amount, currency, createdAt, heldUntil, key },
    ...(endedAt === 0 ? {} : { endedAt }),
    ...(orderRef === '' ? {} : { orderRef }),
    ...(offer === 0 ? {} : { offer: true as const }),
    ...(firstUntil === 0 ? {} : { firstUntil }),
  };
}

export function linesOf(flat: FlatLines): Item[] {
  const lines: Item[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) lines.push({ sku: flat[i] as string, qty: flat[i + 1] as number });
  return lines;
}

export const unpackReservation = (bytes: Uint8Array): ReservationRecord => reservationRecord(unpack(bytes));

/**
 * Fields one by one: with spreads (`...record`, `...(a ? { b } : {})`) V8 gives every object a
 * hidden class of its own, some 400 bytes, and gateways keep the reservations of everybody who is
 * connected.
 */
export function reservationView(record: ReservationRecord): ReservationView {
  const { id, sale, user, state, lines, amount, currency, createdAt, heldUntil, endedAt, orderRef, offer } = record;
  const view: ReservationView = { id, sale, user, state, lines, amount, currency, createdAt, heldUntil };
  if (endedAt !== undefined) view.endedAt = endedAt;
  if (orderRef !== undefined) view.orderRef = orderRef;
  if (offer !== undefined) view.offer = offer;
  return view;
}

/** The answer as it was given when the hold was made, whatever became of it since (promise I4). */
export function recordedAnswer(record: ReservationRecord): ReservationView {
  const { endedAt: _ended, orderRef: _order, ...first } = record;
  return reservationView({ ...first, state: 'held', heldUntil: record.firstUntil ?? record.heldUntil });
}

/**
 * A changed reservation as the relay carries it. Whose it is, which one and in what state stand
 * first; the rest is only read for somebody who is here and has not been told by an answer.
 */
export class PackedNews implements ReservationChange {
  readonly user: string;
  readonly id: string;
  readonly isNewHold: boolean;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    const idAt = textEnd(bytes, FIELDS_AT);
    const stateAt = textEnd(bytes, idAt);
    const offerAt = textEnd(bytes, stateAt);
    this.user = textBefore(bytes, FIELDS_AT, idAt);
    this.id = textBefore(bytes, idAt, stateAt);
    this.isNewHold = bytes[offerAt] === 0 && textBefore(bytes, stateAt, offerAt) === 'held';
  }

  view(): ReservationView {
    return reservationView(unpackReservation(this.bytes));
  }
}

/** Behind the one byte that says "an array of 14". */
const FIELDS_AT = 1;
const textHead = (first: number): number => (first < 0xc0 ? 1 : first === 0xd9 ? 2 : 3);

/** Where a MessagePack string (fixstr, str 8 or str 16) ends. */
function textEnd(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  return (
    at +
    textHead(first) +
    (first < 0xc0 ? first & 0x1f : first === 0xd9 ? (bytes[at + 1] as number) : bytes.readUInt16BE(at + 1))
  );
}

const textBefore = (bytes: Buffer, at: number, end: number): string =>
  bytes.toString('utf8', at + textHead(bytes[at] as number), end);

type HoldEntry = [kind: 'hold', lines: LedgerLine[], ...records: PackedReservation[]];

/**
 * The ledger entries of one script, as `enter()` and `end_run()` in `lua/lib/books.lua` write them:
 * holds alike that were made one after the other are one.
 */
export const unpackLedger = (bytes: Uint8Array): LedgerEntry[] =>
  (unpackAll(bytes) as Array<LedgerEntry | HoldEntry>).flatMap((entry) =>
    entry[0] === 'hold' ? holdEntries(entry as HoldEntry) : [entry as LedgerEntry],
  );

function holdEntries([kind, lines, ...records]: HoldEntry): LedgerEntry[] {
  return records.map(([user, id, , offer, sale, , key], i) => {
    const isLast = i === records.length - 1;
    const moved = lines.map(([sku, qty, available = 0, held = 0, sold = 0, withdrawn = 0, ...after]): LedgerLine => {
      const [before, then] = [i * qty, (i + 1) * qty];
      // The last is taken at its word, so that a run that does not add up is found.
      return [
        sku,
        qty,
        available - before,
        held + before,
        sold,
        withdrawn,
        ...(isLast ? after : [available - then, held + then, sold, withdrawn]),
      ];
    });
    return [kind, sale, id, user, offer === 1 ? 'waitlist' : 'user', key, offer === 1 ? 'offer' : '', moved];
  });
}

/** Lua knows no null: a moment that is not planned is missing there and null here. */
export function eventOf(offset: unknown, at: unknown, type: unknown, data: unknown): ShowEvent {
  const body = data as Record<string, unknown>;
  if (body.sale && typeof body.sale === 'object') body.sale = { opensAt: null, closesAt: null, ...body.sale };
  return { offset: offset as number, at: at as number, type: type as ShowEvent['type'], data: body };
}

export type SalePatch = [
  id: string,
  state: SaleState,
  opensAt: number,
  closesAt: number,
  left: Record<string, number> | [],
];

export const saleStateOf = ([id, state, opensAt, closesAt, left]: SalePatch, rev: number): SaleStateView => ({
  id,
  rev,
  state,
  opensAt: opensAt || null,
  closesAt: closesAt || null,
  left: Array.isArray(left) ? {} : left,
});

/** The show record's packed part; `state` and `createdAt` live beside it. */
export type ShowRecord = Omit<ShowView, 'state' | 'createdAt'>;

export const showView = (record: ShowRecord, state: ShowState, createdAt: number): ShowView => ({
  ...withDefaults(record),
  state,
  createdAt,
});

/** A show made by an earlier release knows no display cap. */
const withDefaults = (record: ShowRecord): ShowRecord => ({
  ...record,
  chatShownPerSecond: record.chatShownPerSecond ?? 0,
});
