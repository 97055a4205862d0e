/** The people of a room on this node: who they are, which sockets are theirs, and what they hold. Never listed to anybody. */
import type { ReservationView, Variant, WaitView, You } from '../protocol/messages.ts';
import type { ReservationStore } from '../sales/ports.ts';
import type { Standing } from '../sales/types.ts';
import type { Clock, Timer } from './clock.ts';
import { type EncodeCounts, messageFrame } from './frames.ts';
import type { TokenBucket } from './token-bucket.ts';

/** A socket, as far as a room knows it. */
export interface Listener {
  readonly variant: Variant;
  /** Personal messages; never called after the listener left. */
  send(bytes: Uint8Array): void;
}

/** One person on this node, however many sockets they have. */
export interface Member {
  readonly user: string;
  readonly listeners: Set<Listener>;
  /** By id: live holds, orders, and some that ended while this node looked on. Null until there is one. */
  reservations: Map<string, ReservationView> | null;
  /** Places in line, as they were when last asked for. Null until there is one. */
  waits: WaitView[] | null;
  /** Sales in which this person ever held or waited for something: a key repeated there may have a recorded answer. */
  sales: Set<string> | null;
  /** True once Redis has told what this person holds, and nothing can have been missed since. */
  known: boolean;
  /** Requests of this person that Redis has not answered yet. */
  reservesInFlight: number;
  /** New holds announced while an answer is on its way: perhaps they are that answer. */
  untold: ReservationView[] | null;
  /** Changes whose answer came before their announcement: who has been told by it. */
  answered: Map<string, Listener> | null;
  chatBucket: TokenBucket | null;
  lastChatMs: number;
}

export interface AudienceOptions {
  readonly showId: string;
  readonly store: Pick<ReservationStore, 'standingOf' | 'getReservation'>;
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
const NO_STANDING: Standing = { reservations: [], waits: [], sales: [] };

const isLive = ({ state }: ReservationView): boolean => state === 'held' || state === 'confirmed';

const isNewHold = ({ state, offer }: ReservationView): boolean => state === 'held' && offer !== true;

interface Lookup {
  readonly member: Member;
  readonly done: () => void;
}

export class Audience {
  private readonly options: AudienceOptions;
  private readonly members = new Map<string, Member>();
  private lookups: Lookup[] = [];
  private looking = false;
  private retryTimer: Timer | null = null;
  /** People whose lookup failed: asked for again together. */
  private readonly unlearned = new Set<Member>();

  constructor(options: AudienceOptions) {
    this.options = options;
  }

  member(user: string): Member | undefined {
    return this.members.get(user);
  }

  join(user: string, listener: Listener): Member {
    let member = this.members.get(user);
    if (member === undefined) {
      member = {
        user,
        listeners: new Set(),
        reservations: null,
        waits: null,
        untold: null,
        answered: null,
        sales: null,
        known: false,
        reservesInFlight: 0,
        chatBucket: null,
        lastChatMs: Number.NEGATIVE_INFINITY,
      };
      this.members.set(user, member);
    }
    member.listeners.add(listener);
    return member;
  }

  leave(member: Member, listener: Listener): void {
    member.listeners.delete(listener);
    if (member.listeners.size === 0) this.members.delete(member.user);
  }

  /** Resolves when Redis has said what the person holds, or could not; `member.known` says which. */
  learn(member: Member): Promise<void> {
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
  live(member: Member): ReservationView[] {
    return member.reservations === null ? [] : [...member.reservations.values()].filter(isLive);
  }

  /** True when no key of this person can have been answered before in this sale, as far as the gate is concerned. */
  isNewTo(member: Member, saleId: string): boolean {
    if (!member.known || member.reservesInFlight > 0) return false;
    return member.sales === null || !member.sales.has(saleId);
  }

  /** This person has to do with the sale from now on: their requests there go to Redis. */
  involve(member: Member, saleId: string): void {
    member.sales ??= new Set();
    member.sales.add(saleId);
  }

  hasOrder(member: Member): boolean {
    if (member.reservations === null) return false;
    for (const { state } of member.reservations.values()) if (state === 'confirmed') return true;
    return false;
  }

  /** Reservations that changed: remembered for people who are here, and told on all their sockets. */
  changed(reservations: readonly ReservationView[]): void {
    for (const reservation of reservations) {
      const member = this.members.get(reservation.user);
      if (member === undefined) continue;
      this.remember(member, reservation);
      if (isNewHold(reservation) && member.reservesInFlight > 0) {
        member.untold ??= [];
        member.untold.push(reservation);
        continue;
      }
      const asker = member.answered?.get(reservation.id);
      if (asker !== undefined) member.answered?.delete(reservation.id);
      this.tell(member, reservation, isNewHold(reservation) ? asker : undefined);
    }
  }

  /**
   * Redis has answered a reserve of this listener. Its `ok` carries the new hold, so the announcement is for the person's other sockets: in a rush that
   * is half of what would be written.
   */
  answer(member: Member, asker: Listener, hold: ReservationView | null, replayed = false): void {
    if (hold !== null) {
      const at = member.untold?.findIndex(({ id }) => id === hold.id) ?? -1;
      if (at >= 0) {
        member.untold?.splice(at, 1);
        this.tell(member, hold, asker);
      } else if (!replayed) {
        this.noteAnswered(member, asker, hold);
      }
    }
    if (member.reservesInFlight > 0 || member.untold === null) return;
    const untold = member.untold;
    member.untold = null;
    for (const reservation of untold) this.tell(member, reservation);
  }

  /**
   * A recorded answer came back for a reservation nobody here knew: perhaps a repeat of ours after a broken line, perhaps of long ago. What became of it
   * only Redis can say; what is live and new is told.
   */
  lookAgain(member: Member, saleId: string): void {
    this.involve(member, saleId);
    const before = this.live(member);
    member.known = false;
    void this.relearnOne(member, before);
  }

  /** Remembers without telling: the answer of a request, which its sender gets anyway. */
  remember(member: Member, reservation: ReservationView): void {
    this.involve(member, reservation.sale);
    // An offer is what the line was for.
    if (reservation.offer) for (const { sku } of reservation.lines) this.stepOut(member, reservation.sale, sku);
    member.reservations ??= new Map();
    const before = member.reservations.get(reservation.id);
    // An answer recorded long ago may come after news of how the reservation ended.
    if (before !== undefined && before.state !== 'held' && reservation.state === 'held') return;
    member.reservations.set(reservation.id, reservation);
    // Now and then: somebody with many live orders must not be searched through at each of them.
    const { size } = member.reservations;
    if (size > RESERVATIONS_KEPT_MAX && size % FORGET_EVERY === 0) this.forgetEnded(member.reservations);
  }

  /** A place taken in line; places move up as others leave, so it is only as new as this. */
  stepIn(member: Member, wait: WaitView): void {
    this.stepOut(member, wait.sale, wait.sku);
    member.waits = [...(member.waits ?? []), wait];
  }

  stepOut(member: Member, sale: string, sku: string): void {
    if (member.waits === null) return;
    const left = member.waits.filter((wait) => wait.sale !== sale || wait.sku !== sku);
    member.waits = left.length > 0 ? left : null;
  }

  /** After a loss of the line to Redis nothing is known for sure: everybody who may hold something is looked up again. */
  async relearn(): Promise<void> {
    const before = new Map<Member, ReservationView[]>();
    for (const member of this.members.values()) {
      if (!member.known) continue;
      member.known = false;
      before.set(member, this.live(member));
    }
    await Promise.all([...before].map(async ([member, held]) => this.relearnOne(member, held)));
  }

  stop(): void {
    if (this.retryTimer !== null) this.options.clock.clearTimer(this.retryTimer);
    this.retryTimer = null;
    for (const { done } of this.lookups.splice(0)) done();
  }

  private async relearnOne(member: Member, held: readonly ReservationView[]): Promise<void> {
    await this.learn(member);
    if (!member.known) return;
    const answered = member.answered;
    member.answered = null;
    for (const [id, asker] of answered ?? []) {
      const reservation = member.reservations?.get(id);
      if (reservation !== undefined) this.tell(member, reservation, isNewHold(reservation) ? asker : undefined);
    }
    for (const reservation of this.live(member)) {
      const old = held.find(({ id }) => id === reservation.id);
      const changed = old === undefined || old.state !== reservation.state || old.heldUntil !== reservation.heldUntil;
      if (changed && !answered?.has(reservation.id)) this.tell(member, reservation);
    }
  }

  /** An answer that came before its announcement: should that be lost, the person's other sockets are told after the resync. */
  noteAnswered(member: Member, asker: Listener, { id }: ReservationView): void {
    member.answered ??= new Map();
    member.answered.set(id, asker);
  }

  private tell(member: Member, reservation: ReservationView, except?: Listener): void {
    if (member.listeners.size === 0 || (except !== undefined && member.listeners.size === 1 && member.listeners.has(except))) return;
    const message: You = { t: 'you', at: this.options.now(), reservation };
    const frame = messageFrame(message, this.options.encodes);
    for (const listener of member.listeners) if (listener !== except) listener.send(frame.in(listener.variant));
  }

  private async lookUp(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const { showId, store } = this.options;
    while (this.lookups.length > 0) {
      const batch = this.lookups.splice(0, LOOKUP_USERS_MAX);
      const result = await store.standingOf(
        showId,
        batch.map(({ member }) => member.user),
      );
      for (let i = 0; i < batch.length; i += 1) {
        const lookup = batch[i];
        if (lookup === undefined) continue;
        if (result.ok) await this.learned(lookup.member, result.value[i] ?? NO_STANDING);
        else this.unlearned.add(lookup.member);
        lookup.done();
      }
      if (!result.ok) this.retryLater();
    }
    this.looking = false;
  }

  private async learned(member: Member, { reservations: found, waits, sales }: Standing): Promise<void> {
    const { showId, store } = this.options;
    const ids = new Set(found.map(({ id }) => id));
    // What this node thought live and Redis does not list ended unseen: how, is asked one by one, because it is rare.
    const vanished = this.live(member).filter(({ id }) => !ids.has(id));
    for (const reservation of found) this.remember(member, reservation);
    for (const sale of sales) this.involve(member, sale);
    member.waits = waits.length > 0 ? waits : null;
    member.known = true;
    for (const { id } of vanished) {
      const ended = await store.getReservation(showId, id);
      if (ended.ok) {
        this.changed([ended.value]);
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
      for (const member of members) if (!member.known && member.listeners.size > 0) void this.relearnOne(member, []);
    }, LOOKUP_RETRY_MS);
  }

  private forgetEnded(reservations: Map<string, ReservationView>): void {
    for (const [id, reservation] of reservations) {
      if (reservations.size <= RESERVATIONS_KEPT_MAX) return;
      if (!isLive(reservation)) reservations.delete(id);
    }
  }
}
