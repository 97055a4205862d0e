/**
 * The messages of protocol v1, one union per direction. SPEC.md defines their behavior and fields.
 * Times are milliseconds since the Unix epoch on the Redis clock; money is integer minor units.
 */
import type { ErrorCode } from './codes.ts';

export const PROTOCOL_VERSION = 1;

/** Wire variants: the encodings that a client may offer. */
export const VARIANTS = ['json', 'msgpack', 'msgpack.deflate'] as const;
/** How messages are encoded, and whether the server may compress them. */
export type Variant = (typeof VARIANTS)[number];
export const subprotocolOf = (variant: Variant): string => `stampede.v${PROTOCOL_VERSION}.${variant}`;
/** A token is offered as a subprotocol, because browsers cannot set headers on a WebSocket. */
export const TOKEN_PROTOCOL_PREFIX = 'token.';

export const ROLES = ['guest', 'viewer', 'buyer', 'moderator', 'host'] as const;
/** What each role may do: SPEC.md, H-5. */
export type Role = (typeof ROLES)[number];

// Views

/** A seller of products in a show. */
export interface Brand {
  id: string;
  name: string;
}

/** A variant of a product, such as a size: what is reserved. */
export interface Sku {
  sku: string;
  title?: string;
}

/** What a show presents, with its variants. What buyers pay is the price in a sale. */
export interface Product {
  id: string;
  brand: string;
  title: string;
  description?: string;
  /** The usual price, and the one before it, in minor units of `currency`. */
  price?: number;
  compareAtPrice?: number;
  currency?: string;
  imageUrl?: string;
  /** More images. */
  images?: string[];
  /** Its page in the shop. */
  link?: string;
  skus: Sku[];
}

/** `public`: anyone may list it. `unlisted`: it is opened by its id only. */
export type ShowVisibility = 'public' | 'unlisted';

/** A show is planned, then live, then ended. */
export type ShowState = 'planned' | 'live' | 'ended';

/** A show as viewers get it: its state, its rules for chat, its brands and addresses. */
export interface ShowView {
  id: string;
  title: string;
  state: ShowState;
  startsAt: number | null;
  /** Whether viewers without a token may watch. */
  guests: boolean;
  /** Shortest time between two chat messages of one user; 0 = no slow mode. */
  slowModeMs: number;
  /** Display cap: chat messages shown per second; 0 = no cap. */
  chatShownPerSecond: number;
  /** How long after its end the show is archived; absent: as the engine is configured. */
  retentionMs?: number;
  visibility: ShowVisibility;
  /** An MP4 file or an HLS playlist. */
  videoUrl?: string;
  /** The image in place of the video before it plays. */
  posterUrl?: string;
  /** Template of the checkout link of a hold: `checkout.ts`. */
  checkoutUrl?: string;
  brands: Brand[];
  /** Id of the pinned product. */
  pinned: string | null;
  createdAt: number;
}

/** A text of the host for all viewers, also for those who join later. */
export interface Announcement {
  text: string;
  at: number;
  /** It is shown until then; absent: until the next one. */
  until?: number;
}

/** `draft` and `scheduled` have not opened; `paused` refuses reservations until it is resumed. */
export type SaleState = 'draft' | 'scheduled' | 'open' | 'paused' | 'ended' | 'cancelled';

/** The price and the free units of a SKU in a sale. */
export interface SaleSku {
  sku: string;
  product: string;
  /** Price of one unit, in minor units. */
  price: number;
  /** Limit per buyer for this SKU; absent = only the limit of the sale applies. */
  perBuyer?: number;
  /** Free units. */
  left: number;
}

/** A sale: SKUs at a price, in a time window. Only the reply to `reserve` decides (S-5.1). */
export interface SaleView {
  id: string;
  title: string;
  state: SaleState;
  /** Null = not planned. */
  opensAt: number | null;
  closesAt: number | null;
  holdMs: number;
  perBuyer: number;
  currency: string;
  skus: SaleSku[];
  /** Revision of the show at the last change of this sale; a higher one is newer. */
  rev: number;
}

/** A SKU and how many units of it. */
export interface Item {
  sku: string;
  qty: number;
}

/**
 * A hold ends once: with an order (`confirmed`), on request (`released`), or at its deadline. The
 * host may refund an order, once.
 */
export type ReservationState = 'held' | 'confirmed' | 'released' | 'expired' | 'refunded';

/** A timed hold on units, or the order that it became. */
export interface ReservationView {
  id: string;
  sale: string;
  user: string;
  state: ReservationState;
  lines: Item[];
  /** Price times quantity of all items, as of the hold, in minor units. */
  amount: number;
  currency: string;
  createdAt: number;
  /** The hold expires then. */
  heldUntil: number;
  /** Of an order: when it was confirmed. */
  endedAt?: number;
  orderRef?: string;
  refundedAt?: number;
  /** Set on a hold that was offered from the waitlist, until its order is refunded. */
  offer?: true;
}

/** A waitlist entry of yours: what you wait for, and your position. */
export interface WaitView {
  sale: string;
  sku: string;
  qty: number;
  /** 1 = next. */
  place: number;
  joinedAt: number;
}

// Events

/** What may happen in a show. SPEC.md, E-3, lists the data of each. */
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

/** An event of the show's log. Offsets of an epoch are 1, 2, 3 … without a gap. */
export interface ShowEvent {
  offset: number;
  at: number;
  type: EventType;
  /** Depends on the type: SPEC.md, E-3. */
  data: Record<string, unknown>;
}

/** The newest values of one sale. `left` has only the SKUs that changed. */
export interface SaleStateView {
  id: string;
  rev: number;
  state: SaleState;
  opensAt: number | null;
  closesAt: number | null;
  left: Record<string, number>;
}

/** The time until a sale opens or closes, once per second. */
export interface Countdown {
  sale: string;
  to: 'open' | 'close';
  /** The time it counts down to. */
  at: number;
  /** The rest at the frame's `at`, for clients without a clock. */
  remainingMs: number;
}

/** The newest values; absent ones did not change. */
export interface StateView {
  viewers?: number;
  peak?: number;
  hearts?: number;
  /** Different users so far, estimated (HyperLogLog, standard error 0.81 %). */
  unique?: number;
  sales?: SaleStateView[];
  countdowns?: Countdown[];
}

/** Unit of `dt` in a chat item (C-2). Milliseconds would cost one or two bytes per message. */
export const CHAT_TIME_STEP_MS = 100;
export type ChatItem = [i: number, dt: number, name: string, text: string, mark?: number];
export type ChatGroup = [firstId: number, at: number, items: ChatItem[]];

export interface Snapshot {
  epoch: string;
  /** Offset of the last event that the snapshot contains. */
  offset: number;
  show: ShowView;
  products: Product[];
  sales: SaleView[];
  state: StateView;
  /** Absent if there is none. */
  announcement?: Announcement;
  /** Products or sales are missing: `page` returns them. */
  more?: string;
}

/** Products and sales that did not fit into a snapshot: the `data` of the reply to `page`. */
export interface Page {
  products: Product[];
  sales: SaleView[];
  /** The `after` of the next page; absent in the last one. */
  more?: string;
}

// Client to server

/** What a viewer sends. The methods of the SDK make these. */
export type ClientMessage =
  | { t: 'chat'; id: string | number; text: string }
  | { t: 'react'; id?: string | number; n?: number }
  | { t: 'reserve'; id: string | number; key: string; sale: string; lines: Item[] }
  | { t: 'release'; id: string | number; key: string; reservation: string }
  | { t: 'waitlist'; id: string | number; key: string; op: 'join' | 'leave'; sale: string; sku: string; qty?: number }
  | { t: 'resume'; id: string | number; epoch: string; offset: number; chat?: number }
  | { t: 'page'; id: string | number; after: string }
  | { t: 'refresh'; id: string | number; token: string }
  | { t: 'sync'; id: string | number; at: number };
export type ClientMessageType = ClientMessage['t'];

// Server to client

/** The first message of a connection: the identity of the viewer, and the show. */
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
    /** Your chat is refused until then; absent: you are not muted. */
    mutedUntil?: number;
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
  /** Absent if `resumed`. */
  snapshot?: Snapshot;
  /** True if the events after the client's position follow, instead of a snapshot. */
  resumed?: boolean;
  chat: ChatGroup[];
}

export interface Frame {
  t: 'frame';
  at: number;
  /** The log's epoch; present with events and snapshots. */
  epoch?: string;
  events?: ShowEvent[];
  state?: StateView;
  chat?: ChatGroup[];
  /** In place of events that are no longer available: replaces everything. */
  snapshot?: Snapshot;
  /** Chat messages this viewer was not sent: too slow, above the display cap, or removed. */
  missed?: number;
}

export interface Ok {
  t: 'ok';
  id: string | number;
  at: number;
  /** Depends on the request: SPEC.md, Q-6. */
  data?: Record<string, unknown>;
}

export interface ErrorMessage {
  t: 'error';
  /** The request's id; absent if none could be read. */
  id?: string | number;
  at: number;
  code: ErrorCode;
  message: string;
  retryAfterMs?: number;
  details?: Record<string, unknown>;
}

/** Personal lane: a reservation of this user changed. */
export interface You {
  t: 'you';
  at: number;
  reservation: ReservationView;
}

/** Replaces what the viewer knows of its reservations and waitlist entries (W-7). */
export interface Holdings {
  t: 'holdings';
  at: number;
  reservations: ReservationView[];
  waits: WaitView[];
}

/** Personal lane: a host has muted this user, or lifted the mute (L-4). */
export interface Mute {
  t: 'mute';
  at: number;
  /** Absent: not muted any more. */
  until?: number;
}

/** Personal lane: replaces waitlist entries, because a position has changed (W-9). */
export interface Waits {
  t: 'waits';
  at: number;
  waits: WaitView[];
}

/** Announces that the server closes the connection. */
export interface Bye {
  t: 'bye';
  at: number;
  code: number;
  reason: string;
  /** Describes the reason for a person. */
  message?: string;
  /** Connect again after this time; absent = the policy of the close code applies. */
  reconnectAfterMs?: number;
  /** Connect to this URL instead of the one of this connection. */
  url?: string;
  /** Replaces the token on the next connection, for a minute. */
  pass?: string;
}

/** What a server sends. A client ignores types that it does not know. */
export type ServerMessage = Welcome | Frame | Ok | ErrorMessage | You | Holdings | Mute | Waits | Bye;
