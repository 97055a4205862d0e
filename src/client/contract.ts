/** What a caller of the SDK gives and gets. */
import type { Bye, ReservationView, ShowEvent, StateView, Welcome } from '../protocol/messages.ts';
import type { LineState, SocketClass } from './line.ts';
import type { ChatMessage, ShowModel } from './model.ts';

export interface ClientOptions {
  /** The gateway, `ws://host:port` or `wss://...`; http(s) is taken for ws(s). */
  readonly url: string;
  readonly show: string;
  /** A viewer token; without one you are a guest who may only watch, if the show allows guests. */
  readonly token?: string;
  /** The encoding on the wire; `json` when not given. */
  readonly variant?: 'json' | 'msgpack';
  /**
   * The WebSocket class; the platform's own when not given (Node 20 has none: pass that of the `ws`
   * package).
   */
  readonly WebSocket?: SocketClass;
  /** How long one request may stay without an answer, in milliseconds. */
  readonly requestTimeoutMs?: number;
  /** Uniform in [0, 1), for the jitter; seeded by simulations. */
  readonly random?: () => number;
}

export interface ClientEvents {
  /** A connection stands and the server has said who you are. Comes again after each reconnect. */
  welcome: Welcome;
  /** One numbered event, in order, without a hole; the model already shows it. */
  event: ShowEvent;
  /** Counters and sale states changed; the model already shows them. */
  state: StateView;
  /** Chat, oldest first. `history`: it came with a welcome or a snapshot, so it was said before. */
  chat: { readonly messages: readonly ChatMessage[]; readonly history: boolean };
  /** An own reservation changed, on whatever device. */
  you: ReservationView;
  /**
   * How many more chat messages you were not sent: the line was too slow, the room too loud, or
   * they were taken off.
   */
  missed: number;
  /** The model was replaced as a whole. */
  snapshot: ShowModel;
  status: LineState;
  bye: Bye;
}

export interface ClientStats {
  readonly connects: number;
  /** Reconnects that went on from the position where the line was lost. */
  readonly resumes: number;
  readonly snapshots: number;
  /** Holes found in the numbered events of a standing connection (each was closed by a resume). */
  readonly gaps: number;
  readonly frames: number;
}

/** How an answer is kept: `everysec` means that a power cut can lose about a second. */
export type Durability = 'memory' | 'everysec' | 'always' | 'unknown';

export interface Reserved {
  readonly reservation: ReservationView;
  /** The key was known: this is the recorded answer of an earlier try. */
  readonly replayed: boolean;
  readonly durability: Durability;
  readonly key: string;
}

/** A place in line: 1 is next, 0 after leaving. */
export interface Waiting {
  readonly place: number;
  /** People in line, you included. */
  readonly waiting: number;
  readonly replayed: boolean;
  readonly key: string;
}

export interface CountdownReading {
  readonly to: 'open' | 'close';
  /** The absolute moment on the server's clock, milliseconds since the Unix epoch. */
  readonly at: number;
  /** Never negative. */
  readonly remainingMs: number;
  /** The reading is right within +- this. */
  readonly errorMs: number;
}
