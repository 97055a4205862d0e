/** The log and the relay of shows, as rooms use them; implemented in `src/redis/`. */
import type { Result } from '../protocol/codes.ts';
import type { Announcement, ReservationView, SaleStateView, ShowEvent, Snapshot } from '../protocol/messages.ts';
import type { ChatAppend, ChatAppended, ChatBatch } from './chat.ts';

/**
 * A user (or their `muteHash`) and the Redis time until which they may not chat; 0 = unmuted, -1 =
 * the user is erased.
 */
export type MuteEntry = readonly [user: string, until: number];

/** A changed reservation. Most buyers are on other nodes, so it is only decoded by `view()`. */
export interface ReservationChange {
  readonly user: string;
  readonly id: string;
  /** Held, and not an offer of the waitlist: the result of a reserve carries the same. */
  readonly isNewHold: boolean;
  view(): ReservationView;
}

/** New holds of one reserve call. The room that made the call skips them: it has the results. */
export interface NewHolds {
  /** As given to `reserve`. */
  readonly origin: string;
  changes(): readonly ReservationChange[];
}

/** Reads the data of an event `announcement`. Returns null if it ended the announcement. */
export function announcementIn({ text, until }: ShowEvent['data'], at: number): Announcement | null {
  if (typeof text !== 'string' || text === '') return null;
  return { text, at, ...(typeof until === 'number' ? { until } : {}) };
}

/** What one script committed. `rev` grows by one per commit of a show: a hole is a lost one. */
export interface Commit {
  readonly rev: number;
  readonly epoch: string;
  readonly at: number;
  readonly events: readonly ShowEvent[];
  /** Newest values of the sales that changed. */
  readonly sales: readonly SaleStateView[];
  /** Changed reservations without those in `holds`. */
  readonly reservations: readonly ReservationChange[];
  readonly holds: NewHolds | null;
  /** Time of the next due thing on the Redis clock; null = nothing planned. */
  readonly nextDueAt: number | null;
  readonly mutes?: readonly MuteEntry[];
}

export interface Counts {
  readonly viewers: number;
  readonly peak: number;
  readonly hearts: number;
  /** Distinct users with a token so far: standard error 0.81 % (HyperLogLog). */
  readonly unique: number;
}

/** The result of a node's report: the sums over all nodes, and the position of the show. */
export interface CountsResult {
  readonly counts: Counts;
  readonly epoch: string;
  readonly rev: number;
  /** Waitlist entries that ended so far, over all SKUs: only their ends move positions. */
  readonly endedWaits: number;
}

/**
 * What a node accepted of busy users since its last report, and how many connections a user has
 * there, if that has changed or other nodes would forget it.
 */
export interface BusyUsers {
  readonly node: string;
  readonly requests: ReadonlyArray<readonly [user: string, requests: number, connections?: number]>;
}

export type RelayMessage =
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'chat'; readonly batch: ChatBatch }
  | { readonly kind: 'counts'; readonly counts: Counts; readonly busy?: BusyUsers };

export interface RoomSnapshot {
  readonly snapshot: Snapshot;
  readonly rev: number;
  readonly nextDueAt: number | null;
  /** Without removed messages. */
  readonly chat: readonly ChatBatch[];
  /** The newest chat id, shown or not. */
  readonly lastChat: number;
  readonly mutes: readonly MuteEntry[];
}

export interface RelayListener {
  /** In publish order. */
  onMessage(message: RelayMessage): void;
  /** The connection to Redis was lost and is back: messages may be missing, load again. */
  onResync(): void;
}

/** Local refusals of one kind by one node within a second, and the position of its replica. */
export interface RefusalReport {
  readonly sale: string;
  readonly code: string;
  readonly count: number;
  readonly offset: number;
  readonly rev: number;
}

export interface ShowLog {
  /** Fails with the reason if the show is unknown, archived, or of a newer release. */
  isOpen(showId: string): Promise<Result<null>>;
  /** Resolves when Redis has confirmed. Subscribe before `load`, so that nothing is missed. */
  subscribe(showId: string, listener: RelayListener): Promise<Result<{ unsubscribe(): Promise<void> }>>;
  load(showId: string): Promise<Result<RoomSnapshot>>;
  /** Returns all events above `after`, or null if the log does not have them or this epoch. */
  eventsAfter(showId: string, epoch: string, after: number): Promise<Result<ShowEvent[] | null>>;
  /** Appends and publishes one batch in one script. Returns the id of its first message. */
  appendChat(showId: string, batch: ChatAppend, authors: readonly string[]): Promise<Result<ChatAppended>>;
  /**
   * Reports a node's viewers, and its hearts, new users (at most `uniquesPerReportMax`) and
   * requests of busy users since the last call. Publishes the sums over all nodes if they changed,
   * and the busy users if there are other nodes.
   */
  reportCounts(
    showId: string,
    node: string,
    viewers: number,
    heartsDelta: number,
    newcomers?: readonly string[],
    busy?: BusyUsers['requests'],
  ): Promise<Result<CountsResult>>;
  /** Adds a node's local refusals to the ledger, `at` a Redis time. */
  reportRefusals(showId: string, node: string, at: number, reports: readonly RefusalReport[]): Promise<Result<null>>;
}
