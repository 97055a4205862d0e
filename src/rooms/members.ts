/**
 * The people of a room on this node: who they are, which sockets are theirs, and what they hold.
 * Never listed to anybody.
 */

import type { Clock, Timer } from '../domain/clock.ts';
import type { BuyerHoldings, ReservationStore } from '../domain/reservation.ts';
import type { ReservationChange } from '../domain/show-log.ts';
import { type EncodeCounts, messageFrame } from '../fanout/frames.ts';
import { LIMITS } from '../limits.ts';
import type { ReservationView, Variant, WaitView, You } from '../protocol/messages.ts';

/** A socket, as far as a room knows it. */
export interface MemberConnection {
  readonly variant: Variant;
  /** Personal messages; never called after the listener left. */
  send(bytes: Uint8Array): void;
}

/** One person on this node, however many sockets they have. */
export interface Member {
  readonly user: string;
  /** Their sockets here, seldom more than one: an array is a third of a set. */
  connections: readonly MemberConnection[];
  /**
   * Live holds, orders, and some that ended while this node looked on: a few. Null until there is
   * one.
   */
  reservations: ReservationView[] | null;
  /** Places in line, as they were when last asked for. Null until there is one. */
  waits: WaitView[] | null;
  /**
   * Sales in which this person ever held or waited for something: a key repeated there may have a
   * recorded answer.
   */
  sales: string[] | null;
  /** True once Redis has told what this person holds, and nothing can have been missed since. */
  known: boolean;
  /** Requests of this person that Redis has not answered yet. */
  reservesInFlight: number;
  /** New holds announced while an answer is on its way: perhaps they are that answer. */
  pendingAnnouncements: ReservationChange[] | null;
  /** Changes whose answer came before their announcement: who has been told by it. */
  answered: Array<{ readonly id: string; readonly asker: MemberConnection }> | null;
}

export interface MembersOptions {
  readonly showId: string;
  readonly store: Pick<ReservationStore, 'holdingsOf' | 'getReservation'>;
  readonly clock: Clock;
  readonly encodes: EncodeCounts;
  /** Redis time. */
  readonly now: () => number;
}

/** People asked for in one Redis round trip. */
const LOOKUP_USERS_MAX = 200;
const LOOKUP_RETRY_MS = 1_000;
/** Reservations kept of one person; ended ones make room. */
const RESERVATIONS_KEPT_MAX = 32;
const FORGET_EVERY = 16;
const NOBODY: readonly MemberConnection[] = [];
const NO_STANDING: BuyerHoldings = { reservations: [], waits: [], sales: [] };

const isLive = ({ state }: ReservationView): boolean => state === 'held' || state === 'confirmed';

const isNewHold = ({ state, offer }: ReservationView): boolean => state === 'held' && offer !== true;

interface Lookup {
  readonly member: Member;
  readonly done: () => void;
}

export class Members {
  private readonly options: MembersOptions;
  private readonly members = new Map<string, Member>();
  /**
   * Who left a moment ago and is still kept up to date, oldest first: a storm of reconnects finds
   * everybody known, without a question to Redis.
   */
  private readonly gone = new Map<Member, number>();
  private lookups: Lookup[] = [];
  private looking = false;
  /**
   * About whom something became doubtful since the question now under way was asked: its answer may
   * be older than the doubt.
   */
  private readonly doubted = new Set<Member>();
  private retryTimer: Timer | null = null;
  /** People whose lookup failed: asked for again together. */
  private readonly unlearned = new Set<Member>();

  constructor(options: MembersOptions) {
    this.options = options;
  }

  get(user: string): Member | undefined {
    return this.members.get(user);
  }

  join(user: string, listener: MemberConnection): Member {
    let member = this.members.get(user);
    if (member === undefined) {
      member = {
        user,
        connections: NOBODY,
        reservations: null,
        waits: null,
        pendingAnnouncements: null,
        answered: null,
        sales: null,
        known: false,
        reservesInFlight: 0,
      };
      this.members.set(user, member);
    }
    this.gone.delete(member);
    member.connections = member.connections.length === 0 ? [listener] : member.connections.concat(listener);
    return member;
  }

  leave(member: Member, listener: MemberConnection): void {
    member.connections = member.connections.filter((other) => other !== listener);
    if (member.connections.length > 0) return;
    const now = this.options.clock.nowMs();
    this.gone.set(member, now);
    if (!member.known) this.forget(member);
    for (const [oldest, leftMs] of this.gone) {
      if (leftMs + LIMITS.memberLingerMs > now && this.gone.size <= LIMITS.membersLingeringMax) break;
      this.forget(oldest);
    }
  }

  /**
   * Never while a request is under way: what it brings only its answer tells this node, and a
   * person who comes back must find it.
   */
  private forget(member: Member): void {
    if (member.reservesInFlight > 0) return;
    this.gone.delete(member);
    this.members.delete(member.user);
  }

  /**
   * Resolves when Redis has said what the person holds, or could not; `member.known` says which.
   */
  lookUpHoldings(member: Member): Promise<void> {
    if (member.known) return Promise.resolve();
    if (this.retryTimer !== null) {
      this.unlearned.add(member);
      return Promise.resolve();
    }
    return new Promise((done) => {
      this.lookups.push({ member, done });
      void this.lookUp();
    });
  }

  /** What a person holds or owns, for their welcome. */
  liveReservations(member: Member): ReservationView[] {
    return member.reservations?.filter(isLive) ?? [];
  }

  /**
   * True when no key of this person can have been answered before in this sale, as far as the gate
   * is concerned.
   */
  isNewTo(member: Member, saleId: string): boolean {
    if (!member.known || member.reservesInFlight > 0) return false;
    return member.sales === null || !member.sales.includes(saleId);
  }

  /** This person has to do with the sale from now on: their requests there go to Redis. */
  addSale(member: Member, saleId: string): void {
    if (member.sales === null) member.sales = [saleId];
    else if (!member.sales.includes(saleId)) member.sales.push(saleId);
  }

  hasOrder(member: Member): boolean {
    return member.reservations?.some(({ state }) => state === 'confirmed') ?? false;
  }

  /** The reservation as this node last heard of it. */
  reservation(member: Member, id: string): ReservationView | undefined {
    return member.reservations?.find((known) => known.id === id);
  }

  /**
   * Reservations that changed: remembered for people who are here, and told on all their sockets.
   */
  applyChanges(reservations: readonly ReservationChange[]): void {
    for (const news of reservations) {
      const member = this.members.get(news.user);
      if (member === undefined) continue;
      if (news.isNewHold && member.reservesInFlight > 0) {
        member.pendingAnnouncements ??= [];
        member.pendingAnnouncements.push(news);
        continue;
      }
      const asker = this.takeAnswered(member, news.id);
      // The answer has told the only socket there is, and this node.
      if (news.isNewHold && asker !== undefined && isOnly(member, asker)) continue;
      this.spread(member, news.view(), news.isNewHold ? asker : undefined);
    }
  }

  /**
   * Redis has answered a reserve of this listener. Its `ok` carries the new hold, so only the
   * person's other sockets are told: in a rush that is half of what would be written. A recorded
   * answer may be of a hold that another node has just announced.
   */
  answer(member: Member, asker: MemberConnection, hold: ReservationView | null, replayed = false): void {
    if (hold !== null) {
      const at = member.pendingAnnouncements?.findIndex(({ id }) => id === hold.id) ?? -1;
      if (at >= 0) member.pendingAnnouncements?.splice(at, 1);
      // News of how it ended may have been quicker.
      const isNews = at >= 0 || !replayed;
      if (isNews && !isOnly(member, asker) && (this.reservation(member, hold.id)?.state ?? 'held') === 'held')
        this.tell(member, hold, asker);
    }
    if (member.reservesInFlight > 0 || member.pendingAnnouncements === null) return;
    const untold = member.pendingAnnouncements;
    member.pendingAnnouncements = null;
    for (const news of untold) this.spread(member, news.view());
  }

  /**
   * A recorded answer came back for a reservation nobody here knew: perhaps a repeat of ours after
   * a broken line, perhaps of long ago. It says how the hold was made; what became of it only Redis
   * can say, and whoever was just told that it is held must hear of another end, also where its
   * news got lost. While it is held all of the person's sockets are told so: no other news of it
   * may have come here.
   */
  refetchReplayedHold(member: Member, recorded: ReservationView): void {
    const before = this.liveReservations(member);
    this.remember(member, recorded);
    this.markStale(member, before);
  }

  /**
   * Until Redis has been asked again, this person may hold something nobody here has heard of; what
   * turns out to be new is told.
   */
  markStale(member: Member, before = this.liveReservations(member)): void {
    member.known = false;
    this.doubted.add(member);
    if (member.connections.length > 0) void this.relearnOne(member, before);
  }

  /** Remembers without telling: the answer of a request, which its sender gets anyway. */
  remember(member: Member, reservation: ReservationView): void {
    this.addSale(member, reservation.sale);
    // An offer is what the line was for.
    if (reservation.offer) for (const { sku } of reservation.lines) this.removeWait(member, reservation.sale, sku);
    const known = member.reservations;
    if (known === null) {
      member.reservations = [reservation];
      return;
    }
    const at = known.findIndex(({ id }) => id === reservation.id);
    if (at < 0) {
      known.push(reservation);
      // Now and then: somebody with many live orders must not be searched through at each of them.
      if (known.length > RESERVATIONS_KEPT_MAX && known.length % FORGET_EVERY === 0)
        member.reservations = newest(known);
    } else if (known[at]?.state === 'held' || reservation.state !== 'held') {
      // An answer recorded long ago may come after news of how the reservation ended.
      known[at] = reservation;
    }
  }

  /** A place taken in line; places move up as others leave, so it is only as new as this. */
  addWait(member: Member, wait: WaitView): void {
    this.removeWait(member, wait.sale, wait.sku);
    member.waits = [...(member.waits ?? []), wait];
  }

  removeWait(member: Member, sale: string, sku: string): void {
    if (member.waits === null) return;
    const left = member.waits.filter((wait) => wait.sale !== sale || wait.sku !== sku);
    member.waits = left.length > 0 ? left : null;
  }

  /**
   * After a loss of the line to Redis nothing is known for sure: everybody who may hold something
   * is looked up again.
   */
  async refetchAll(): Promise<void> {
    const before = new Map<Member, ReservationView[]>();
    for (const member of this.gone.keys()) this.forget(member);
    for (const member of this.members.values()) {
      this.doubted.add(member);
      if (!member.known) continue;
      member.known = false;
      before.set(member, this.liveReservations(member));
    }
    await Promise.all([...before].map(async ([member, held]) => this.relearnOne(member, held)));
  }

  stop(): void {
    if (this.retryTimer !== null) this.options.clock.clearTimer(this.retryTimer);
    this.retryTimer = null;
    for (const { done } of this.lookups.splice(0)) done();
  }

  private async relearnOne(member: Member, held: readonly ReservationView[]): Promise<void> {
    await this.lookUpHoldings(member);
    if (!member.known) return;
    const answered = member.answered;
    member.answered = null;
    for (const { id, asker } of answered ?? []) {
      const reservation = this.reservation(member, id);
      if (reservation !== undefined) this.tell(member, reservation, isNewHold(reservation) ? asker : undefined);
    }
    for (const reservation of this.liveReservations(member)) {
      const old = held.find(({ id }) => id === reservation.id);
      const changed = old === undefined || old.state !== reservation.state || old.heldUntil !== reservation.heldUntil;
      if (changed && !answered?.some(({ id }) => id === reservation.id)) this.tell(member, reservation);
    }
  }

  /**
   * An answer that came before its announcement: should that be lost, the person's other sockets
   * are told after the resync.
   */
  noteAnswered(member: Member, asker: MemberConnection, { id }: ReservationView): void {
    member.answered ??= [];
    member.answered.push({ id, asker });
  }

  private takeAnswered(member: Member, id: string): MemberConnection | undefined {
    const { answered } = member;
    const at = answered?.findIndex((one) => one.id === id) ?? -1;
    if (answered === null || at < 0) return undefined;
    if (answered.length === 1) member.answered = null;
    return answered.splice(at, 1)[0]?.asker;
  }

  /** Remembers what was announced and tells it. */
  private spread(member: Member, reservation: ReservationView, except?: MemberConnection): void {
    this.remember(member, reservation);
    this.tell(member, reservation, except);
  }

  private tell(member: Member, reservation: ReservationView, except?: MemberConnection): void {
    if (member.connections.length === 0 || (except !== undefined && isOnly(member, except))) return;
    const message: You = { t: 'you', at: this.options.now(), reservation };
    const frame = messageFrame(message, this.options.encodes);
    for (const listener of member.connections) if (listener !== except) listener.send(frame.in(listener.variant));
  }

  private async lookUp(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const { showId, store } = this.options;
    while (this.lookups.length > 0) {
      const batch = this.lookups.splice(0, LOOKUP_USERS_MAX);
      this.doubted.clear();
      const result = await store.holdingsOf(
        showId,
        batch.map(({ member }) => member.user),
      );
      for (let i = 0; i < batch.length; i += 1) {
        const lookup = batch[i];
        if (lookup === undefined) continue;
        if (result.ok && this.doubted.has(lookup.member)) {
          this.lookups.push(lookup);
          continue;
        }
        if (result.ok) await this.learned(lookup.member, result.value[i] ?? NO_STANDING);
        else this.unlearned.add(lookup.member);
        lookup.done();
      }
      if (!result.ok) this.retryLater();
    }
    this.doubted.clear();
    this.looking = false;
  }

  private async learned(member: Member, { reservations: found, waits, sales }: BuyerHoldings): Promise<void> {
    const { showId, store } = this.options;
    const ids = new Set(found.map(({ id }) => id));
    // What this node thought live and Redis does not list ended unseen: how, is asked one by one,
    // because it is rare.
    const vanished = this.liveReservations(member).filter(({ id }) => !ids.has(id));
    for (const reservation of found) this.remember(member, reservation);
    for (const sale of sales) this.addSale(member, sale);
    member.waits = waits.length > 0 ? waits : null;
    member.known = true;
    for (const { id } of vanished) {
      const ended = await store.getReservation(showId, id);
      if (ended.ok) {
        this.spread(member, ended.value);
      } else {
        // Nobody would ask again before the next gap: this person is learned anew.
        member.known = false;
        this.unlearned.add(member);
        this.retryLater();
        return;
      }
    }
  }

  private retryLater(): void {
    for (const { member, done } of this.lookups.splice(0)) {
      this.unlearned.add(member);
      done();
    }
    this.retryTimer ??= this.options.clock.setTimer(() => {
      this.retryTimer = null;
      const members = [...this.unlearned];
      this.unlearned.clear();
      // Their welcome could not say what they hold, so everything they hold is told now.
      for (const member of members)
        if (!member.known && member.connections.length > 0) void this.relearnOne(member, []);
    }, LOOKUP_RETRY_MS);
  }
}

const isOnly = ({ connections }: Member, connection: MemberConnection): boolean =>
  connections.length === 1 && connections[0] === connection;

/** Without the oldest that ended, as far as there are too many. */
function newest(reservations: readonly ReservationView[]): ReservationView[] {
  let surplus = reservations.length - RESERVATIONS_KEPT_MAX;
  return reservations.filter((reservation) => isLive(reservation) || surplus-- <= 0);
}
