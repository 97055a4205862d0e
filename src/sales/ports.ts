/**
 * What the doors (gateway, control, jobs, CLI) may ask of the place where state lives. `src/redis/` implements these; nobody else
 * knows Redis. Every method answers with a coded `Result` and never throws for an operating error: Redis away, full, read-only or
 * loading come back as `redis_*` failures.
 */
import type { Result } from '../protocol/codes.ts';
import type {
  Actor,
  AudienceNumbers,
  ChatLine,
  CommandMeta,
  ConfirmRequest,
  Decision,
  Durability,
  Mute,
  Product,
  Reconciliation,
  ReservationView,
  ReserveRequest,
  SaleBooks,
  SaleMove,
  SaleSpec,
  ShowPatch,
  ShowSpec,
  ShowView,
  Standing,
  Verification,
  WaitlistAnswer,
  WaitlistRequest,
} from './types.ts';

export interface ShowStore {
  /** The same id with the same body answers again; with another body `already_exists`. */
  createShow(spec: ShowSpec, actor: Actor): Promise<Result<ShowView>>;
  getShow(showId: string): Promise<Result<ShowView>>;
  /** Newest first, at most `pageItemsMax`. */
  listShows(): Promise<Result<ShowView[]>>;
  updateShow(showId: string, patch: ShowPatch, actor: Actor): Promise<Result<ShowView>>;
  /** planned -> live -> ended; starting a live show or ending an ended one changes nothing and is no error. */
  startShow(showId: string, actor: Actor): Promise<Result<ShowView>>;
  /** Open sales end; their holds may still be confirmed until they lapse. */
  endShow(showId: string, actor: Actor): Promise<Result<ShowView>>;
  putProduct(showId: string, product: Product, actor: Actor): Promise<Result<Product>>;
  removeProduct(showId: string, productId: string, actor: Actor): Promise<Result<null>>;
  listProducts(showId: string): Promise<Result<Product[]>>;
  pinProduct(showId: string, productId: string | null, actor: Actor): Promise<Result<ShowView>>;
  /** With a key a repeat is told again where the announcement stands, and nobody hears it twice. */
  announce(showId: string, text: string, actor: Actor, repeat?: Omit<CommandMeta, 'actor'>): Promise<Result<{ offset: number }>>;
}

/** What hosts do about a show's chat, and who is there. */
export interface ModerationStore {
  /** For good: off every screen, and out of the history. Ids that never were are `not_found`, and nothing is removed. Repeating changes nothing. */
  removeChat(showId: string, ids: readonly number[]): Promise<Result<{ removed: number }>>;
  /** Known to all nodes, survives restarts; a mute of somebody muted replaces the end. */
  mute(showId: string, user: string, forMs: number): Promise<Result<Mute>>;
  /** Of somebody who may chat: no error. */
  unmute(showId: string, user: string): Promise<Result<null>>;
  mutes(showId: string): Promise<Result<Mute[]>>;
  /** What was shown and not removed, with authors, oldest first, at most `chatListedMax`. */
  recentChat(showId: string): Promise<Result<ChatLine[]>>;
  audienceOf(showId: string): Promise<Result<AudienceNumbers>>;
}

export interface SaleStore {
  createSale(showId: string, spec: SaleSpec, command: CommandMeta): Promise<Result<SaleBooks>>;
  getSale(showId: string, saleId: string): Promise<Result<SaleBooks>>;
  listSales(showId: string): Promise<Result<SaleBooks[]>>;
  moveSale(showId: string, saleId: string, move: SaleMove, command: CommandMeta): Promise<Result<SaleBooks>>;
}

export interface ReservationStore {
  /**
   * Decides requests of one show in order, in one script call: within the batch earlier requests count against later ones.
   * Answers come in the order of the requests. At most `reserveBatchMax` requests. `origin` names who asks, and nobody else: the commit carries
   * it along with the new holds, so that those who tell them by the answer need not hear of them twice.
   */
  reserve(showId: string, requests: readonly ReserveRequest[], origin?: string): Promise<Array<Result<Decision>>>;
  confirm(showId: string, request: ConfirmRequest, command: CommandMeta): Promise<Result<Decision>>;
  /** `user` given: only that buyer's own reservation may be released (`reservation_not_found` otherwise). */
  release(showId: string, reservationId: string, command: CommandMeta & { user?: string }): Promise<Result<Decision>>;
  /** More time for a hold: only on success, at most `holdMaxMs` after it was made (`limit_reached`). */
  prolong(showId: string, request: { reservation: string; byMs: number }, command: CommandMeta): Promise<Result<Decision>>;
  /** Joins or leaves the line for a sold-out SKU. Freed units become holds marked `offer` for the first in line. */
  waitlist(showId: string, request: WaitlistRequest): Promise<Result<WaitlistAnswer>>;
  getReservation(showId: string, reservationId: string): Promise<Result<ReservationView>>;
  /** Live holds, orders and places in line of several buyers, in the order asked. One Redis round trip. */
  standingOf(showId: string, users: readonly string[]): Promise<Result<Standing[]>>;
}

export interface CommandGuard {
  /**
   * Runs a command unless one with the same actor and key runs on any node (`idempotency_in_progress`). Should the node of the first die, others wait for
   * at most `commandMarkerMs`; what was decided by then is in the record of the key.
   */
  alone<T>(showId: string, command: CommandMeta, work: () => Promise<Result<T>>): Promise<Result<T>>;
  /**
   * For commands whose key no script records: runs `work` alone and keeps its answer (anything that JSON can carry) for `idempotencyTtlMs`; repeats with an
   * equal `body` get it again, others `idempotency_conflict`. `showId` '' = of no show. Failures are not kept. The answer is kept after the change, not with it: should
   * the process die or Redis fall silent between the two, nobody got an answer and the repeat carries the change out once more. So `work` must be of the
   * kind that sets something to what the request says, where twice is as good as once.
   */
  once<T>(showId: string, command: CommandMeta, body: unknown, work: () => Promise<Result<T>>): Promise<Result<T>>;
}

export interface Clockwork {
  /**
   * Does what time made due in a show, at most `sweepSliceMax` things: opens and closes sales, lapses holds.
   * `nextDueAt` is the next moment something falls due (Redis clock), null when nothing is planned. Idempotent.
   */
  tick(showId: string): Promise<Result<{ done: number; nextDueAt: number | null }>>;
  /** Shows with a sale that is not ended or with open holds. */
  liveShows(): Promise<Result<string[]>>;
}

export interface Auditor {
  /** Replays the show's ledger from nothing and holds it against the live books. */
  verify(showId: string): Promise<Result<Verification>>;
  /** Verifies, and repairs drift of the books by compensating ledger entries; pauses sales whose ledger contradicts itself. */
  reconcile(showId: string, actor: Actor): Promise<Result<Reconciliation>>;
}

export interface Health {
  /** Milliseconds since the Unix epoch on the Redis clock, from a monotonic local clock plus a measured offset. */
  now(): number;
  /** Half the round trip of the best clock sample: the true Redis time lies within now() +- this. */
  nowErrorMs(): number;
  /** null while Redis answers; otherwise why not. */
  trouble(): string | null;
  durability(): Durability;
  /** Of the one Redis server; epochs change with it. Null while it is not known, and in a cluster, where every master has its own. */
  runId(): string | null;
  ping(): Promise<Result<{ roundTripMs: number }>>;
}

/** Everything at once: what `connectStore` in `src/redis/` returns. */
export interface Store extends ShowStore, ModerationStore, SaleStore, ReservationStore, CommandGuard, Clockwork, Auditor, Health {
  close(): Promise<void>;
}
