/** What the engine writes in the records of a show (lua/lib/fields.lua, domain/). */
import type { ArchiveSummary, RefundTotals } from '../domain/archive.ts';
import { ID_PATTERN, SKU_PATTERN } from '../domain/mistakes.ts';
import type { OrderNotes } from '../domain/order.ts';
import { isWebAddress } from '../domain/product.ts';
import { checkoutMistake, webAddressMistake } from '../domain/web-address.ts';
import { LIMITS } from '../limits.ts';
import type { EventType, Product, SaleSku, SaleView, ShowView } from '../protocol/messages.ts';
import type { ShowKey } from './keys.ts';
import type { SaleRecord, ShowRecord } from './records.ts';
import {
  anything,
  COUNT_MAX,
  either,
  int,
  list,
  mapOf,
  match,
  object,
  one,
  pairs,
  type Shape,
  text,
  tuple,
} from './shapes.ts';

const L = LIMITS;
const MOMENT_MAX_MS = 8.64e15;

export const id = match(new RegExp(ID_PATTERN), 'an id');
export const sku = match(new RegExp(SKU_PATTERN, 'u'), 'a SKU');
export const user = text(L.userIdCharsMax, 1);
export const reservationId = match(/^[rw][\w-]{20}$/, 'the id of a reservation');
const key = text(L.keyCharsMax);
const moment = int(MOMENT_MAX_MS);
const title = text(L.titleCharsMax, 1);
const currency = match(/^[A-Z]{3}$/, 'a currency');
const units = int(COUNT_MAX, -COUNT_MAX);
const qty = int(L.perBuyerUnitsMax, 1);
const price = int(L.priceMinorUnitsMax);
const perBuyer = int(L.perBuyerUnitsMax);
const flag = one(true, false);
const idOrNull = either(one(null), id);

const address =
  (isRight: (text: string) => boolean): Shape =>
  (value) =>
    typeof value === 'string' && isRight(value) ? null : ' is not a web address';
/** What pages load or link to. */
const webAddress = address((text) => webAddressMistake(text) === null);

/** Returns a function that makes the shape of `T`: the compiler finds a field without one. */
const shapeOf =
  <T>() =>
  <F extends Partial<Record<keyof T, Shape>>>(fields: F, optional: Record<Exclude<keyof T, keyof F>, Shape>): Shape =>
    object(fields as Record<string, Shape>, optional);

const brands = list(object({ id, name: text(L.nameCharsMax, 1) }), L.brandsPerShowMax);
const showFields = {
  ...{ id, title, brands },
  ...{ guests: flag, slowModeMs: int(L.slowModeMaxMs), pinned: idOrNull },
};
const showOptional = {
  startsAt: moment,
  // Missing in shows of release 0.1.0.
  chatShownPerSecond: int(L.chatShownPerSecondMax),
  retentionMs: int(L.retentionMaxMs),
  visibility: one('public', 'unlisted'),
  ...{ videoUrl: webAddress, posterUrl: webAddress, checkoutUrl: address((text) => checkoutMistake(text) === null) },
};
export const SHOW = shapeOf<ShowRecord>()(showFields, showOptional);
const SHOW_VIEW = shapeOf<ShowView>()(
  { ...showFields, state: one('planned', 'live', 'ended'), createdAt: moment },
  showOptional,
);

export const PRODUCT = shapeOf<Product>()(
  { id, brand: id, title, skus: list(object({ sku }, { title }), L.skusPerProductMax, 1) },
  {
    imageUrl: address(isWebAddress),
    description: text(L.descriptionCharsMax, 1),
    ...{ price: int(L.priceMinorUnitsMax), compareAtPrice: int(L.priceMinorUnitsMax), currency },
    ...{ images: list(webAddress, L.imagesPerProductMax), link: webAddress },
  },
);

const saleState = one('draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled');
const saleFields = { id, title, state: saleState, holdMs: int(L.holdMaxMs), perBuyer, currency };
const saleWindow = { opensAt: moment, closesAt: moment };
export const SALE = shapeOf<SaleRecord & { recovering: true }>()(
  { ...saleFields, createdAt: moment, skus: list(sku, L.skusPerSaleMax, 1) },
  {
    ...saleWindow,
    ...{ durationMs: int(), openedAt: moment, endedAt: moment, soldOut: flag, soldOutAt: moment },
    deleted: flag,
    recovering: flag,
  },
);
const saleSku = shapeOf<SaleSku>()({ sku, product: id, price, left: units }, { perBuyer });
const SALE_VIEW = shapeOf<SaleView>()(
  { ...saleFields, rev: int(), skus: list(saleSku, L.skusPerSaleMax, 1) },
  saleWindow,
);

export const STOCK = tuple([units, units, units, units, units, price, perBuyer, id]);

export const orderRef = text(L.orderRefCharsMax, 1);
/** What finish.lua and refund.lua note of an order. In Lua one without fields would be a list. */
const more = shapeOf<OrderNotes>()(
  {},
  {
    ...{ note: text(L.noteCharsMax, 1), tracking: text(L.trackingCharsMax, 1), fulfillment: one('fulfilled') },
    ...{ refundedAt: moment, restocked: flag, refundReason: text(L.refundReasonCharsMax, 1) },
  },
);
const flatItems = pairs(sku, qty, L.linesPerReservationMax);
export const RESERVATION = tuple(
  [
    ...[user, reservationId, one('held', 'confirmed', 'released', 'expired', 'refunded'), one(0, 1)],
    ...[id, flatItems, key, int(), currency, moment, moment, moment, text(L.orderRefCharsMax), moment, more],
  ],
  14,
);

/** `sale/sku/order of joining/user`; after an erasure without the user. */
export const waitMember = match(/^[\w-]{1,64}\/[^/]{1,64}\/\d{16}\/.{0,512}$/su, 'an entry of a waitlist');
const wait = tuple([waitMember, qty, reservationId, moment, key]);
const reservationIds = match(/^( [rw][\w-]{20})*$/, 'ids of reservations');
export const BUYER = mapOf(id, tuple([units, mapOf(sku, units), mapOf(sku, wait), reservationIds]));

/** A recorded command: the body, or its hash, and the packed result (lua/lib/idempotency.lua). */
export const COMMAND = tuple([text(1024), either(text(L.importValueBytesMax), int())]);

const name = text(L.idCharsMax);
const actor = text(256);
const textOrFalse = either(one(false), text(L.userIdCharsMax));
const ledgerItem = (value: unknown): string | null =>
  Array.isArray(value) && (value.length === 2 || value.length === 10)
    ? tuple([name, ...Array(value.length - 1).fill(units)])(value)
    : ' is not a list of 2 or 10';
const items = list(ledgerItem, L.skusPerSaleMax);
const ledgerKind = one(
  ...['alloc', 'withdraw', 'adjust', 'hold', 'confirm', 'release', 'expire', 'refund'],
  ...['prolong', 'refuse', 'sale', 'join', 'leave', 'gate'],
);
const LEDGER_ENTRY = tuple(
  [
    ...[ledgerKind, name, textOrFalse, textOrFalse, actor, text(256), text(256)],
    ...[either(one(false, null), items), either(one(null), mapOf(text(64), anything))],
  ],
  7,
);
/** A run of holds: {'hold', items, record, record, ...} (lua/lib/ledger.lua). */
export function LEDGER(value: unknown): string | null {
  if (!Array.isArray(value) || value[0] !== 'hold' || !Array.isArray(value[1])) return LEDGER_ENTRY(value);
  return items(value[1]) ?? list(RESERVATION, L.reserveBatchMax * 4, 1)(value.slice(2));
}

/** Nodes compute the time of a batch, so it may have a fraction. */
const time: Shape = (value) =>
  Number.isFinite(value) && (value as number) >= 0 && (value as number) <= MOMENT_MAX_MS ? null : ' is not a time';
const ofShow = object({ show: SHOW_VIEW });
const ofSale = object({ sale: SALE_VIEW });
/** Release 0.1.0 wrote the view. */
const ofStock = object({}, { id, sale: SALE_VIEW });
/** An empty one ends the one before. */
export const ANNOUNCEMENT = object({ text: text(L.announcementCharsMax) }, { until: time });
const EVENT_DATA: Readonly<Record<EventType, Shape>> = {
  'show.created': ofShow,
  'show.updated': ofShow,
  'show.started': ofShow,
  'show.ended': ofShow,
  'show.recovered': object(
    { epoch: text(64), repaired: list(text(256), COUNT_MAX), violations: int() },
    { untrusted: list(id, L.salesPerShowMax) },
  ),
  'product.saved': object({ product: PRODUCT }),
  'product.removed': object({ product: id }),
  'product.pinned': object({}, { product: id }),
  'sale.created': ofSale,
  'sale.scheduled': ofSale,
  'sale.opened': ofSale,
  'sale.paused': ofSale,
  'sale.resumed': ofSale,
  'sale.extended': ofSale,
  'sale.stocked': ofStock,
  'sale.sold_out': ofStock,
  'sale.ended': ofSale,
  'sale.cancelled': ofSale,
  announcement: ANNOUNCEMENT,
  'chat.removed': object({ ids: list(int(COUNT_MAX, 1), L.chatRemovedPerCallMax, 1) }),
};
/** The four values of an event. */
export function EVENT(value: unknown): string | null {
  const [offset, at, type, data] = Array.isArray(value) && value.length === 4 ? value : [];
  const wrong = int(COUNT_MAX, 1)(offset) ?? moment(at);
  if (wrong !== null) return wrong;
  if (typeof type !== 'string' || !Object.hasOwn(EVENT_DATA, type)) return ' has an unknown type';
  const ofData = EVENT_DATA[type as EventType](data);
  return ofData === null ? null : ` (${type})${ofData}`;
}

export const CHAT_HEAD = tuple([
  ...[text(128, 1), time, int(COUNT_MAX, 1), int(L.chatBatchMessagesMax, 1), int(L.chatBatchMessagesMax, 1)],
  ...[int(L.chatBatchMessagesMax), int(L.importValueBytesMax)],
]);
export const CHAT_ITEM = tuple(
  [int(L.chatBatchMessagesMax), int(), text(L.nameCharsMax), text(L.chatTextCharsMax), int(3)],
  4,
);
export const CHAT_AUTHORS = list(text(L.userIdCharsMax), L.chatBatchMessagesMax);

const amounts = mapOf(currency, int(Number.MAX_SAFE_INTEGER));
const totals = object(
  {
    ...Object.fromEntries(
      [
        ...['entries', 'events', 'reservations', 'orders', 'buyers', 'unitsSold', 'refusals', 'localRefusals'],
        ...['chatMessages', 'peakViewers', 'uniqueViewers', 'hearts'],
      ].map((name) => [name, int()]),
    ),
    revenue: amounts,
  },
  { refunds: shapeOf<RefundTotals>()({ orders: int(), units: int(), amount: amounts }, {}) },
);
export const SUMMARY = shapeOf<ArchiveSummary>()(
  {
    ...{ show: id, title, createdAt: moment, endedAt: moment, archivedAt: moment },
    ...{ sha256: match(/^[\da-f]{64}$/, 'a SHA-256'), violations: int(), totals },
  },
  {},
);

/** Redis trims streams at whole nodes, so they may be longer than their limit. */
const trimmed = (max: number): number => 2 * max + 200;
/** Keys that have a bound on their records. */
export const RECORDS_MAX: Readonly<Partial<Record<ShowKey, number>>> = {
  products: L.productsPerShowMax,
  sales: L.salesPerShowMax,
  stock: L.salesPerShowMax * L.skusPerSaleMax,
  log: trimmed(L.eventLogEntriesMax),
  chat: trimmed(L.chatRingBatches),
  removed: trimmed(L.chatRemovedKeptMax),
  mutes: trimmed(L.mutesPerShowMax),
};
