/** Options, events and results of the SDK. */
import type { Bye, Item, ReservationView, ShowEvent, StateView, Welcome } from '../protocol/messages.ts';
import type { ClientCodec } from './codec.ts';
import type { ConnectionState, SocketClass } from './connection.ts';
import type { ChatMessage, ShowModel } from './model.ts';
import type { TokenOption } from './token-source.ts';

/** Where and as whom a client connects. */
export interface ClientOptions {
  /**
   * URL of the gateway, `ws://host:port` or `wss://...`; http(s) counts as ws(s). Keep a path
   * prefix, leave out `/v1/shows/...`.
   */
  readonly url: string;
  /** The id of the show. */
  readonly show: string;
  /**
   * A viewer token, or a function that fetches one. It is called for the first connection, about a
   * minute before the token expires, and after the server refused the token: as expired, or with
   * 4202 if it was never accepted. With a fixed token the client closes then. Without a token you
   * are a guest, who may only watch if the show allows it.
   */
  readonly token?: TokenOption | undefined;
  /**
   * The encoding on the wire. Default: JSON. `msgpack` is in `@stampede/client/msgpack`, `deflate`
   * (the same, compressed) in `@stampede/client/deflate`.
   */
  readonly codec?: ClientCodec | undefined;
  /** The WebSocket class. Default: the one of the platform; Node 20 needs that of `ws`. */
  readonly WebSocket?: SocketClass | undefined;
  /** Wait this long for the reply to a request, in milliseconds. Default: 6,000. */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * Random numbers in [0, 1) for jitter, and for keys on platforms without `crypto`. Simulations
   * pass a seeded source.
   */
  readonly random?: (() => number) | undefined;
}

/** For requests that are repeated with the same key until a reply arrives. */
export interface KeyedOptions {
  /**
   * Default: a random key for each intent. The same call has it again until it has succeeded. Pass
   * a stored `newKey()` to repeat a call after a reload.
   */
  readonly key?: string | undefined;
  /**
   * Repeat for this long, at most 10 minutes. Then the outcome is `unknown_outcome`, or
   * `disconnected` if nothing was sent. Default: 30,000.
   */
  readonly deadlineMs?: number | undefined;
}

/** What to hold: all of `lines` or none. */
export interface ReserveRequest extends KeyedOptions {
  readonly sale: string;
  readonly lines: readonly Item[];
}

/** Which SKU of which sale to wait for. */
export interface WaitlistRequest extends KeyedOptions {
  readonly sale: string;
  readonly sku: string;
}

/** Which SKU to wait for, and how many units of it. Default: 1. */
export interface JoinRequest extends WaitlistRequest {
  readonly qty?: number | undefined;
}

/** The events of a client, by name, with what their listeners get. */
export interface ClientEvents {
  /** Connected, and the server has sent your identity. Emitted after each reconnect too. */
  welcome: Welcome;
  /** A numbered event, in order and without gaps. The model is already updated. */
  event: ShowEvent;
  /** Counters and sale states changed. The model is already updated. */
  state: StateView;
  /** Chat, oldest first. `history`: older messages that came with a welcome or a snapshot. */
  chat: { readonly messages: readonly ChatMessage[]; readonly history: boolean };
  /** A reservation of yours changed, on any device. */
  you: ReservationView;
  /** The server lost these reservations of yours: their units are free, an order is void. */
  lost: readonly ReservationView[];
  /** Number of chat messages that you did not get: slow connection, display cap, or removed. */
  missed: number;
  /** The whole model was replaced. */
  snapshot: ShowModel;
  /**
   * A snapshot replaced the model because the events since the last one were no longer available:
   * those after `from`, up to `to`, were not emitted. Chat may be missing too.
   */
  gap: { readonly from: number; readonly to: number };
  /** `model`, `you` or `status` changed: `client.version`. Emitted after the other events. */
  change: number;
  /** More products and sales of a large show arrived. The model is already updated. */
  page: ShowModel;
  /** The connection changed. */
  status: ConnectionState;
  /** The server closes the connection now; the client reconnects unless the code forbids it. */
  bye: Bye;
}

/** Counts of one client, for diagnosis. */
export interface ClientStats {
  /** Welcomes, the first one included. */
  readonly connects: number;
  /** Reconnects that continued at the position of the lost connection. */
  readonly resumes: number;
  /** How often a snapshot replaced the model. */
  readonly snapshots: number;
  /** Gaps in the numbered events of an open connection, each closed by a resume. */
  readonly gaps: number;
  /** Broadcast messages received. */
  readonly frames: number;
}

/** How Redis stores the result: with `everysec` a power cut can lose the last second. */
export type Durability = 'memory' | 'everysec' | 'always' | 'unknown';

/** A reservation as it is now, after `reserve` or `release`. */
export interface ReserveResult {
  readonly reservation: ReservationView;
  /** The key was used before: this is its recorded result. */
  readonly replayed: boolean;
  readonly durability: Durability;
  /** The key of the request. */
  readonly key: string;
}

/** Your position after joining or leaving. Later it is in `model.waits`. */
export interface WaitlistResult {
  /** 1 is next, 0 after leaving. */
  readonly place: number;
  /** Number of waitlist entries, with yours. */
  readonly waiting: number;
  readonly replayed: boolean;
  readonly key: string;
}

/** The time until a sale opens or closes. */
export interface CountdownReading {
  /** What happens then. */
  readonly to: 'open' | 'close';
  /** Milliseconds since the Unix epoch on the server's clock. */
  readonly at: number;
  /** Never negative. */
  readonly remainingMs: number;
  /** The true value is within ± this. */
  readonly errorMs: number;
}
