/**
 * What the rooms need from the place where the log lives (implemented in `src/redis/`) and from the
 * sockets (in `src/gateway/`).
 */

import type { Result } from '../protocol/codes.ts';
import type { ReservationView, SaleStateView, ShowEvent, Snapshot } from '../protocol/messages.ts';
import type { ChatAppend, ChatAppended, ChatBatch } from './chat.ts';

/** Who may not chat until when (Redis clock); 0 = may again. */
export type MuteEntry = readonly [user: string, until: number];

/**
 * A reservation that changed. Most concern nobody on this node, or somebody who has the answer
 * already: the view is made when it is asked for.
 */
export interface ReservationChange {
  readonly user: string;
  readonly id: string;
  /** Held, and not an offer of the waitlist: the answer of a reserve tells the same. */
  readonly isNewHold: boolean;
  view(): ReservationView;
}

/**
 * Holds that were asked for in one call. The room that asked tells its buyers by the answers; in a
 * rush most commits are its own, and it need not look inside.
 */
export interface NewHolds {
  /** As given to `reserve`. */
  readonly origin: string;
  changes(): readonly ReservationChange[];
}

/**
 * What a committed script announced, in the order Redis committed it. `rev` grows by one with each:
 * a hole is something missed.
 */
export interface Commit {
  readonly rev: number;
  readonly epoch: string;
  readonly at: number;
  readonly events: readonly ShowEvent[];
  /** Newest values of the sales that changed. */
  readonly sales: readonly SaleStateView[];
  /** Reservations that changed, but for those in `holds`. */
  readonly reservations: readonly ReservationChange[];
  readonly holds: NewHolds | null;
  /** When the next thing falls due in this show (Redis clock), null = nothing planned. */
  readonly nextDueAt: number | null;
  readonly mutes?: readonly MuteEntry[];
}

export interface Counts {
  readonly viewers: number;
  readonly peak: number;
  readonly hearts: number;
  /** Different people with a token so far, estimated. */
  readonly unique: number;
}

/** The answer to a node's report: the sums, and where the show stood when Redis gave it. */
export interface CountsResult {
  readonly counts: Counts;
  readonly epoch: string;
  readonly rev: number;
}

export type RelayMessage =
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'chat'; readonly batch: ChatBatch }
  | { readonly kind: 'counts'; readonly counts: Counts };

export interface RoomSnapshot {
  readonly snapshot: Snapshot;
  readonly rev: number;
  readonly nextDueAt: number | null;
  /** Without messages that were taken off. */
  readonly chat: readonly ChatBatch[];
  /** The last id of chat that is taken, shown or not. */
  readonly lastChat: number;
  readonly mutes: readonly MuteEntry[];
}

export interface RelayListener {
  /** In publish order. */
  onMessage(message: RelayMessage): void;
  /** The line to Redis was lost and is back: messages may have been missed, load again. */
  onResync(): void;
}

/**
 * Refusals of one kind that a node gave from its view within a second, and the view they rested on.
 */
export interface RefusalReport {
  readonly sale: string;
  readonly code: string;
  readonly count: number;
  readonly offset: number;
  readonly rev: number;
}

/** The log and the relay of shows. */
export interface ShowLog {
  /**
   * Listen first, load after: then nothing falls between. Resolves when Redis has confirmed the
   * subscription.
   */
  subscribe(showId: string, listener: RelayListener): Promise<Result<{ unsubscribe(): Promise<void> }>>;
  load(showId: string): Promise<Result<RoomSnapshot>>;
  /**
   * Events with `offset > after`, complete up to now, or `null` when the log no longer reaches back
   * that far or the epoch differs.
   */
  eventsAfter(showId: string, epoch: string, after: number): Promise<Result<ShowEvent[] | null>>;
  /**
   * Appends and publishes one batch in one script; answers the id of its first message. `items` as
   * in ChatBatch.
   */
  appendChat(showId: string, batch: ChatAppend, authors: readonly string[]): Promise<Result<ChatAppended>>;
  /**
   * Reports this node's viewers, and the hearts and the people new to it since the last call (at
   * most `uniquesPerReportMax`); sums over nodes and publishes when something changed.
   */
  reportCounts(
    showId: string,
    node: string,
    viewers: number,
    heartsDelta: number,
    newcomers?: readonly string[],
  ): Promise<Result<CountsResult>>;
  /** Puts a node's local refusals of the last second into the ledger, `at` Redis time. */
  reportRefusals(showId: string, node: string, at: number, reports: readonly RefusalReport[]): Promise<Result<null>>;
}
