/**
 * JSON Schemas of what the server sends. The compiler compares their fields with the types of
 * `messages.ts`, and a test compares them with what a gateway sends.
 */
import { CLOSE } from './close-codes.ts';
import { ERRORS } from './codes.ts';
import {
  type Announcement,
  type Brand,
  type Bye,
  type ClientMessageType,
  type Countdown,
  type ErrorMessage,
  type EventType,
  type Frame,
  type Holdings,
  type Item,
  type Mute,
  type Ok,
  type Page,
  PROTOCOL_VERSION,
  type Product,
  type ReservationView,
  ROLES,
  type SaleSku,
  type SaleStateView,
  type SaleView,
  type ServerMessage,
  type ShowEvent,
  type ShowView,
  type Sku,
  type Snapshot,
  type StateView,
  type Waits,
  type WaitView,
  type Welcome,
  type You,
} from './messages.ts';
import type { Schema } from './schemas.ts';

interface Optional {
  readonly optional: Schema;
}
type Properties<T> = {
  readonly [Name in keyof T]-?: Record<never, never> extends Pick<T, Name> ? Optional : Schema;
};

const string: Schema = { type: 'string' };
const boolean: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const time: Schema = { type: 'integer', description: "Milliseconds since the Unix epoch on the server's clock" };
/** The server may compute it, so it may have a fraction. */
const moment: Schema = { ...time, type: 'number' };
const money: Schema = { type: 'integer', description: 'Minor units of the currency' };
const requestId: Schema = { type: ['string', 'integer'] };
const enumOf = (...values: readonly (string | number)[]): Schema => ({ enum: values });
const listOf = (items: Schema): Schema => ({ type: 'array', items });
const orNull = (schema: Schema): Schema => ({ oneOf: [schema, { type: 'null' }] });
const optional = (schema: Schema): Optional => ({ optional: schema });
const isOptional = (value: Schema | Optional): value is Optional => 'optional' in value;

/** A schema with a `title` is one of the components of the document. */
function object<T>(title: string | null, properties: Properties<T>, description?: string): Schema {
  const all = Object.entries<Schema | Optional>(properties);
  return {
    ...(title === null ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    type: 'object',
    properties: Object.fromEntries(all.map(([name, each]) => [name, isOptional(each) ? each.optional : each])),
    required: all.flatMap(([name, each]) => (isOptional(each) ? [] : [name])),
  };
}

const item = object<Item>('Item', { sku: string, qty: count });
const brand = object<Brand>('Brand', { id: string, name: string });
const sku = object<Sku>('Sku', { sku: string, title: optional(string) });
const product = object<Product>('Product', {
  ...{ id: string, brand: string, title: string },
  description: optional(string),
  price: optional({ ...count, description: 'The usual price; what buyers pay is that of a sale' }),
  compareAtPrice: optional({ ...count, description: 'The price before' }),
  currency: optional({ ...string, description: 'Of both prices' }),
  imageUrl: optional(string),
  images: optional(listOf(string)),
  link: optional({ ...string, description: 'Its page in the shop' }),
  skus: listOf(sku),
});
const show = object<ShowView>('Show', {
  ...{ id: string, title: string, state: enumOf('planned', 'live', 'ended') },
  startsAt: orNull(time),
  guests: { ...boolean, description: 'May viewers without a token watch?' },
  slowModeMs: { ...count, description: 'Shortest time between two chat messages of one user; 0 = none' },
  chatShownPerSecond: { ...count, description: 'Display cap of chat; 0 = none' },
  retentionMs: optional(count),
  visibility: { ...enumOf('public', 'unlisted'), description: 'Missing from nodes of release 0.1.0' },
  videoUrl: optional({ ...string, description: 'An MP4 file or an HLS playlist' }),
  posterUrl: optional(string),
  checkoutUrl: optional({ ...string, description: 'Template of the checkout link of a hold (W-8.2)' }),
  brands: listOf(brand),
  pinned: orNull(string),
  createdAt: time,
});
const saleState = enumOf('draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled');
const saleSku = object<SaleSku>('SaleSku', {
  ...{ sku: string, product: string, price: money, perBuyer: optional(count) },
  left: { ...count, description: 'Free units' },
});
const sale = object<SaleView>('Sale', {
  ...{ id: string, title: string, state: saleState },
  ...{ opensAt: orNull(time), closesAt: orNull(time), holdMs: count, perBuyer: count, currency: string },
  skus: listOf(saleSku),
  rev: { ...count, description: 'A higher one is newer (S-2.2)' },
});
const reservation = object<ReservationView>('Reservation', {
  ...{ id: string, sale: string, user: string },
  state: enumOf('held', 'confirmed', 'released', 'expired', 'refunded'),
  ...{ lines: listOf(item), amount: money, currency: string, createdAt: time, heldUntil: time },
  ...{ endedAt: optional(time), orderRef: optional(string), refundedAt: optional(time) },
  offer: optional({ const: true, description: 'Offered from the waitlist, and not refunded' }),
});
const place: Schema = { ...count, description: 'Position in the waitlist; 1 is next' };
const wait = object<WaitView>('Wait', { sale: string, sku: string, qty: count, place, joinedAt: moment });
const announcement = object<Announcement>('Announcement', { text: string, at: time, until: optional(moment) });

const free: Schema = { type: 'object' };
const ofShow = { show };
const ofSale = { sale };
const ofSaleId = { id: string };
/** `data` of each type of event. */
const EVENTS: Readonly<Record<EventType, Readonly<Record<string, Schema | Optional>> | null>> = {
  ...{ 'show.created': ofShow, 'show.updated': ofShow, 'show.started': ofShow, 'show.ended': ofShow },
  'show.recovered': null,
  ...{ 'product.saved': { product }, 'product.removed': { product: string } },
  'product.pinned': { product: orNull(string) },
  ...{ 'sale.created': ofSale, 'sale.scheduled': ofSale, 'sale.opened': ofSale, 'sale.paused': ofSale },
  ...{ 'sale.resumed': ofSale, 'sale.extended': ofSale, 'sale.ended': ofSale, 'sale.cancelled': ofSale },
  ...{ 'sale.stocked': ofSaleId, 'sale.sold_out': ofSaleId },
  announcement: { text: string, until: optional(moment) },
  'chat.removed': { ids: listOf(count) },
};
const events = Object.entries(EVENTS).map(([type, data]) =>
  object<ShowEvent>(null, {
    ...{ offset: count, at: time, type: { const: type } },
    data: data === null ? free : object<Record<string, unknown>>(null, data as Properties<Record<string, unknown>>),
  }),
);
const event: Schema = { title: 'Event', description: 'Numbered without a gap (E-1)', oneOf: events };

const saleStateView = object<SaleStateView>('SaleState', {
  ...{ id: string, rev: count, state: saleState, opensAt: orNull(time), closesAt: orNull(time) },
  left: { type: 'object', additionalProperties: count, description: 'Free units of the SKUs that changed' },
});
const countdown = object<Countdown>('Countdown', {
  ...{ sale: string, to: enumOf('open', 'close'), at: time, remainingMs: { type: 'number', minimum: 0 } },
});
const state = object<StateView>(
  'State',
  {
    ...{ viewers: optional(count), peak: optional(count), hearts: optional(count), unique: optional(count) },
    ...{ sales: optional(listOf(saleStateView)), countdowns: optional(listOf(countdown)) },
  },
  'The newest values; an absent one did not change (S-1)',
);
/** Arrays with a fixed order of values; drafts of JSON Schema write them in different ways. */
const chat: Schema = {
  title: 'Chat',
  description:
    'Groups [id, time, messages]; a message is [i, dt, name, text, mark?]: its id is id + i, its time is time + ' +
    'dt x 100 ms, its mark is 1 (buyer with an order), 2 (moderator) or 3 (host). See C-2.',
  ...listOf({
    type: 'array',
    minItems: 3,
    maxItems: 3,
    items: { oneOf: [{ type: 'number' }, listOf({ type: 'array', minItems: 4, maxItems: 5 })] },
  }),
};
const page = { products: listOf(product), sales: listOf(sale), more: optional(string) };
const snapshot = object<Snapshot>('Snapshot', {
  ...{ epoch: string, offset: count, show, state, announcement: optional(announcement), ...page },
});

const base = <T extends ServerMessage['t']>(t: T) => ({ t: { const: t } as Schema, at: moment });
const you = object<Welcome['you']>(null, {
  ...{ user: orNull(string), name: orNull(string), role: enumOf(...ROLES), expiresAt: orNull(time) },
  mutedUntil: optional(time),
  ...{ reservations: listOf(reservation), waits: listOf(wait) },
});
const limits = object<Welcome['limits']>(null, {
  ...{ frameBytes: count, chatChars: count, chatPerSecond: { type: 'number' }, requestsPerSecond: { type: 'number' } },
  ...{ heartbeatMs: count, idleMs: count },
});

/** The schema of each server message. */
export const SERVER_SCHEMAS: Readonly<Record<ServerMessage['t'], Schema>> = {
  welcome: object<Welcome>(null, {
    ...{ ...base('welcome'), v: { const: PROTOCOL_VERSION }, node: string, epoch: string, offset: count, you, limits },
    ...{ snapshot: optional(snapshot), resumed: optional({ const: true }), chat },
  }),
  frame: object<Frame>(null, {
    ...{ ...base('frame'), epoch: optional(string), events: optional(listOf(event)), state: optional(state) },
    ...{ chat: optional(chat), snapshot: optional(snapshot), missed: optional(count) },
  }),
  ok: object<Ok>(null, { ...base('ok'), id: requestId, data: optional(free) }),
  error: object<ErrorMessage>(null, {
    ...{ ...base('error'), id: optional(requestId), code: enumOf(...Object.keys(ERRORS)), message: string },
    ...{ retryAfterMs: optional({ type: 'number', minimum: 0 }), details: optional(free) },
  }),
  you: object<You>(null, { ...base('you'), reservation }),
  holdings: object<Holdings>(null, { ...base('holdings'), reservations: listOf(reservation), waits: listOf(wait) }),
  mute: object<Mute>(null, { ...base('mute'), until: optional(time) }),
  waits: object<Waits>(null, { ...base('waits'), waits: listOf(wait) }),
  bye: object<Bye>(null, {
    ...{ ...base('bye'), code: enumOf(...Object.values(CLOSE)), reason: string, message: optional(string) },
    ...{ reconnectAfterMs: optional(count), url: optional(string), pass: optional(string) },
  }),
};

const keyed = {
  ...{ reservation, replayed: optional({ const: true }), epoch: string },
  durability: enumOf('memory', 'everysec', 'always', 'unknown'),
};
type Data = Record<string, unknown>;
const data = (properties: Readonly<Record<string, Schema | Optional>>): Schema =>
  object<Data>(null, properties as Properties<Data>);
/** `data` of the `ok` to each request; null: none. */
export const REPLY_DATA: Readonly<Record<ClientMessageType, Schema | null>> = {
  chat: data({ chat: count, leftOut: optional({ const: true }) }),
  react: null,
  ...{ reserve: data(keyed), release: data(keyed) },
  waitlist: data({ place: count, waiting: count, replayed: optional({ const: true }) }),
  resume: data({ resumed: boolean }),
  page: object<Page>(null, page),
  refresh: data({ name: string, role: enumOf(...ROLES), expiresAt: time }),
  sync: data({ received: moment, sent: moment }),
};
