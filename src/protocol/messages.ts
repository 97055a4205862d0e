/**
 * The messages of protocol v1, one union per direction. `SPEC.md` is the authority on behaviour;
 * this file on shapes. Times are milliseconds since the Unix epoch on the Redis clock (`at`); money
 * is integer minor units of an ISO 4217 currency.
 */
import type { ErrorCode } from './codes.ts';

export const PROTOCOL_VERSION = 1;

/**
 * Subprotocols a client may offer, best first. The suffix names the encoding ("wire variant") of
 * every message.
 */
export const VARIANTS = ['json', 'msgpack', 'msgpack.deflate'] as const;
export type Variant = (typeof VARIANTS)[number];
export const subprotocolOf = (variant: Variant): string => `stampede.v${PROTOCOL_VERSION}.${variant}`;
/**
 * A token may travel as a second offered subprotocol, because browsers cannot set headers on a
 * WebSocket.
 */
export const TOKEN_PROTOCOL_PREFIX = 'token.';

export const ROLES = ['guest', 'viewer', 'buyer', 'moderator', 'host'] as const;
/**
 * `guest`: read only. `viewer`: may chat. `buyer`: may also reserve. `moderator`, `host`: buyers
 * whose chat is marked.
 */
export type Role = (typeof ROLES)[number];

// ----------------------------------------------------------------------------------------------------------------
// views

export interface Brand {
  id: string;
  name: string;
}

export interface Sku {
  sku: string;
  title?: string;
}

export interface Product {
  id: string;
  brand: string;
  title: string;
  imageUrl?: string;
  skus: Sku[];
}

export type ShowState = 'planned' | 'live' | 'ended';

export interface ShowView {
  id: string;
  title: string;
  state: ShowState;
  startsAt: number | null;
  /** May people without a token watch (read only)? */
  guests: boolean;
  /** Least time between two chat messages of one user, in milliseconds; 0 = off. */
  slowModeMs: number;
  /** Most chat messages shown to everybody in a second; 0 = the engine's own limit. */
  chatShownPerSecond: number;
  brands: Brand[];
  /** Product shown on stage right now. */
  pinned: string | null;
  createdAt: number;
}

export type SaleState = 'draft' | 'scheduled' | 'open' | 'paused' | 'ended' | 'cancelled';

export interface SaleSku {
  sku: string;
  product: string;
  /** Price of one unit, integer minor units of the sale's currency. */
  price: number;
  /**
   * Most units of this SKU one buyer may hold and own; absent = only the sale's own limit counts.
   */
  perBuyer?: number;
  /** Units free to reserve right now. */
  left: number;
}

export interface SaleView {
  id: string;
  title: string;
  state: SaleState;
  /** Absolute moments on the Redis clock; null = not planned. A client counts down to these. */
  opensAt: number | null;
  closesAt: number | null;
  holdMs: number;
  perBuyer: number;
  currency: string;
  skus: SaleSku[];
  /** Show-wide revision of the last change of this sale; the higher one is newer. */
  rev: number;
}

export interface Item {
  sku: string;
  qty: number;
}

export type ReservationState = 'held' | 'confirmed' | 'released' | 'expired';

export interface ReservationView {
  id: string;
  sale: string;
  user: string;
  state: ReservationState;
  lines: Item[];
  /** Sum of price x quantity when it was held, minor units. */
  amount: number;
  currency: string;
  createdAt: number;
  /** The hold lapses at this moment (Redis clock). */
  heldUntil: number;
  endedAt?: number;
  orderRef?: string;
  /** Set on a hold that was offered from the waitlist. */
  offer?: true;
}

/** A place in the line for a sold-out SKU. */
export interface WaitView {
  sale: string;
  sku: string;
  qty: number;
  /** 1 = next. */
  place: number;
  joinedAt: number;
}

// ---------------------------------------------------------------------------------------------------------------
// events

export type EventType =
  | 'show.created'
  | 'show.updated'
  | 'show.started'
  | 'show.ended'
  | 'show.recovered'
  | 'product.saved'
  | 'product.removed'
  | 'product.pinned'
  | 'sale.created'
  | 'sale.scheduled'
  | 'sale.opened'
  | 'sale.paused'
  | 'sale.resumed'
  | 'sale.extended'
  | 'sale.stocked'
  | 'sale.sold_out'
  | 'sale.ended'
  | 'sale.cancelled'
  | 'announcement'
  | 'chat.removed';

/**
 * One numbered event of a show's log. `offset` counts 1, 2, 3 ... within an `epoch`; there is never
 * a hole.
 */
export interface ShowEvent {
  offset: number;
  at: number;
  type: EventType;
  /**
   * The new view of what changed: `{show}`, `{product}`, `{sale}`, `{text}` ... as SPEC.md lists
   * per type.
   */
  data: Record<string, unknown>;
}

/**
 * The newest values of one sale. Every field is the latest; `left` carries only SKUs that changed.
 */
export interface SaleStateView {
  id: string;
  rev: number;
  state: SaleState;
  opensAt: number | null;
  closesAt: number | null;
  left: Record<string, number>;
}

export interface Countdown {
  sale: string;
  to: 'open' | 'close';
  /** The absolute moment on the Redis clock. */
  at: number;
  /** What is left at the frame's `at`, for clients that do not compute. */
  remainingMs: number;
}

/** Newest value wins; only what changed is present. */
export interface StateView {
  viewers?: number;
  peak?: number;
  hearts?: number;
  /** Different people with a token so far, estimated (HyperLogLog, standard error 0.81 %). */
  unique?: number;
  sales?: SaleStateView[];
  countdowns?: Countdown[];
}

/**
 * Chat travels compactly: groups of `[firstId, at, items]`, each item `[i, dt, name, text]` or `[i,
 * dt, name, text, mark]`. The message's id is `firstId + i`, its time `at + dt` tenths of a second
 * (nobody reads a chat to the millisecond, and a byte or two a message are saved); mark: 1 buyer
 * with an order, 2 moderator, 3 host. Ids below a group's `firstId` are dealt with: a group without
 * items says only that.
 */
/** The unit of `dt`. */
export const CHAT_TIME_STEP_MS = 100;
export type ChatItem = [i: number, dt: number, name: string, text: string, mark?: number];
export type ChatGroup = [firstId: number, at: number, items: ChatItem[]];

export interface Snapshot {
  epoch: string;
  /** The log position the snapshot stands at: events after it have higher offsets. */
  offset: number;
  show: ShowView;
  products: Product[];
  sales: SaleView[];
  state: StateView;
}

// ------------------------------------------------------------------------------------------------------
// client -> server

export type ClientMessage =
  | { t: 'chat'; id: string | number; text: string }
  | { t: 'react'; id?: string | number; n?: number }
  | { t: 'reserve'; id: string | number; key: string; sale: string; lines: Item[] }
  | { t: 'release'; id: string | number; key: string; reservation: string }
  | { t: 'waitlist'; id: string | number; key: string; op: 'join' | 'leave'; sale: string; sku: string; qty?: number }
  | { t: 'resume'; id: string | number; epoch: string; offset: number; chat?: number }
  | { t: 'sync'; id: string | number; at: number };
export type ClientMessageType = ClientMessage['t'];

// ------------------------------------------------------------------------------------------------------
// server -> client

export interface Welcome {
  t: 'welcome';
  v: typeof PROTOCOL_VERSION;
  at: number;
  node: string;
  epoch: string;
  offset: number;
  you: {
    user: string | null;
    name: string | null;
    role: Role;
    expiresAt: number | null;
    reservations: ReservationView[];
    waits: WaitView[];
  };
  limits: {
    frameBytes: number;
    chatChars: number;
    chatPerSecond: number;
    requestsPerSecond: number;
    heartbeatMs: number;
    idleMs: number;
  };
  /**
   * What the show looks like now. Absent when a `resume` position in the URL could be served from
   * the log.
   */
  snapshot?: Snapshot;
  /** True when the events after the client's position follow instead of a snapshot. */
  resumed?: boolean;
  chat: ChatGroup[];
}

export interface Frame {
  t: 'frame';
  at: number;
  /** Present with events and snapshots: the log's epoch. */
  epoch?: string;
  events?: ShowEvent[];
  state?: StateView;
  chat?: ChatGroup[];
  /** Sent instead of events that can no longer be had: replace everything you know. */
  snapshot?: Snapshot;
  /**
   * Chat messages this viewer was not sent: its line was too slow, the room's display cap left them
   * out, or they were taken off before.
   */
  missed?: number;
}

export interface Ok {
  t: 'ok';
  id: string | number;
  at: number;
  /**
   * chat: `{chat: messageId, leftOut?}`; reserve, release: `{reservation, replayed?, durability}`;
   * sync: `{received, sent}`; resume: `{resumed}`.
   */
  data?: Record<string, unknown>;
}

export interface ErrorMessage {
  t: 'error';
  /** The request's id; absent when the frame could not be understood. */
  id?: string | number;
  at: number;
  code: ErrorCode;
  message: string;
  retryAfterMs?: number;
  details?: Record<string, unknown>;
}

/** Personal lane: own reservation changed (on any device, by anyone). */
export interface You {
  t: 'you';
  at: number;
  reservation: ReservationView;
}

export interface Bye {
  t: 'bye';
  at: number;
  code: number;
  reason: string;
  /** For a person, where the reason alone does not say enough. */
  message?: string;
  /** Connect again after this long; absent = the close code's policy alone says what to do. */
  reconnectAfterMs?: number;
  /** Connect there instead of where this connection went. */
  url?: string;
  /** Stands for your token on the next connection, for a minute. */
  pass?: string;
}

export type ServerMessage = Welcome | Frame | Ok | ErrorMessage | You | Bye;
