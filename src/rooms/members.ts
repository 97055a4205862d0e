/**
 * The members of a room on this node: connected ones, and recently disconnected ones, who stay
 * cached so that a reconnect storm needs no Redis read. Sends changed reservations to all
 * connections of their buyer, and changed waitlist positions. See "Members of a room" in
 * src/README.md.
 */
import type { Clock } from '../domain/clock.ts';
import type { Decision, ReservationStore } from '../domain/reservation.ts';
import type { ReservationChange } from '../domain/show-log.ts';
import type { WaitlistRequest, WaitlistResult } from '../domain/waitlist.ts';
import { type EncodeCounts, messageFrame } from '../fanout/frames.ts';
import { LIMITS } from '../limits.ts';
import type { Result } from '../protocol/codes.ts';
import type { Holdings, Mute, ReservationView, Waits, You } from '../protocol/messages.ts';
import { HoldingsLookup, type HoldingsLookupOptions } from './holdings-lookup.ts';
import { Member, type MemberConnection } from './member.ts';
import { Positions } from './positions.ts';

export interface MembersOptions {
  readonly showId: string;
  readonly store: Pick<ReservationStore, 'holdingsOf' | 'getReservation'>;
  readonly clock: Clock;
  readonly encodes: EncodeCounts;
  /** Redis time. */
  readonly now: () => number;
  /** A member waits: `positions.report` must be called each second. */
  readonly onWaiting: () => void;
  readonly onUnexpected: (error: unknown) => void;
}

export class Members {
  private readonly options: MembersOptions;
  private readonly members = new Map<string, Member>();
  /** Members without a connection, and when the last one left; oldest first. */
  private readonly lingering = new Map<Member, number>();
  private readonly lookups: HoldingsLookup;
  /** Lookups of positions, so that no welcome waits behind them. */
  private readonly refreshes: HoldingsLookup;
  readonly positions: Positions;

  constructor(options: MembersOptions) {
    this.options = options;
    const { showId, store, clock, onWaiting, onUnexpected } = options;
    const forLookups: Omit<HoldingsLookupOptions, 'usersPerCallMax'> = {
      showId,
      store,
      clock,
      onUnexpected,
      members: () => this.members.values(),
      onEnded: (member, reservation) => this.update(member, reservation),
      onReplaced: (member) => this.sendHoldings(member),
      onRefetched: (member, baseline) => this.sendDifferences(member, baseline),
      onKnown: (member) => this.positions.isLookedUp(member),
    };
    this.lookups = new HoldingsLookup({ ...forLookups, usersPerCallMax: LIMITS.holdingsUsersPerCallMax });
    this.refreshes = new HoldingsLookup({ ...forLookups, usersPerCallMax: LIMITS.positionsUsersPerCallMax });
    this.positions = new Positions({
      lookUp: (member) => {
        this.refreshes.invalidate(member);
        // What it finds beside positions is sent, too: its announcement may be lost.
        void this.refreshes.request(member, member.listedReservations());
      },
      send: (member) => this.sendWaits(member),
      onWaiting,
    });
  }

  get(user: string): Member | undefined {
    return this.members.get(user);
  }

  join(user: string, connection: MemberConnection): Member {
    let member = this.members.get(user);
    if (member === undefined) {
      member = new Member(user);
      this.members.set(user, member);
    }
    this.lingering.delete(member);
    member.connections = member.isConnected ? member.connections.concat(connection) : [connection];
    // Positions in a waitlist move: the welcome needs the current ones.
    if (member.isKnown && member.waits !== null) member.holdings = 'unknown';
    return member;
  }

  leave(member: Member, connection: MemberConnection): void {
    member.connections = member.connections.filter((other) => other !== connection);
    if (member.isConnected) return;
    this.positions.forget(member);
    const nowMs = this.options.clock.nowMs();
    this.lingering.set(member, nowMs);
    if (!member.isKnown) this.forget(member);
    for (const [oldest, leftMs] of this.lingering) {
      if (leftMs + LIMITS.memberLingerMs > nowMs && this.lingering.size <= LIMITS.membersLingeringMax) break;
      this.forget(oldest);
    }
  }

  /** Resolves when Redis has returned what the member holds, or could not; see `isKnown`. */
  lookUpHoldings(member: Member): Promise<void> {
    return this.lookups.request(member);
  }

  /** Applies announced changes to the members of this node and sends them to their connections. */
  applyChanges(changes: readonly ReservationChange[]): void {
    for (const change of changes) {
      const member = this.members.get(change.user);
      if (member === undefined) continue;
      if (change.isNewHold && member.reservesInFlight > 0) {
        member.hasChanged();
        member.pendingAnnouncements ??= [];
        member.pendingAnnouncements.push(change);
        continue;
      }
      const isReleased = member.pendingReleases?.includes(change.id) ?? false;
      // The hold is announced after its release: that announcement will follow.
      if (isReleased && change.isNewHold) continue;
      if (isReleased) member.pendingReleases = without(member.pendingReleases, change.id);
      this.update(member, change.view());
    }
  }

  /** Notifies a user of the end of their mute on the Redis clock; 0 = it was lifted. */
  sendMute(user: string, until: number): void {
    const connections = this.members.get(user)?.connections ?? [];
    if (connections.length === 0) return;
    const message: Mute = { t: 'mute', at: this.options.now(), ...(until > 0 && { until: Math.ceil(until) }) };
    this.sendTo(connections, message);
  }

  beginReserve(member: Member): void {
    member.reservesInFlight += 1;
  }

  /**
   * Applies the result of a reserve. Its `ok` carries the new hold, so only the other connections
   * of the member are notified. A recorded result may be of a hold that another node just
   * announced.
   */
  endReserve(member: Member, connection: MemberConnection, result: Result<Decision>): void {
    member.reservesInFlight -= 1;
    this.applyDecision(member, result);
    if (result.ok) {
      const { reservation, replayed } = result.value;
      const wasAnnounced = member.pendingAnnouncements?.some(({ id }) => id === reservation.id) ?? false;
      if (wasAnnounced)
        member.pendingAnnouncements = member.pendingAnnouncements?.filter(({ id }) => id !== reservation.id) ?? null;
      // The announcement of its end may have been faster.
      const isStillHeld = (member.reservation(reservation.id) ?? reservation).state === 'held';
      if ((wasAnnounced || !replayed) && isStillHeld) this.send(member, reservation, connection);
    }
    if (member.reservesInFlight > 0 || member.pendingAnnouncements === null) return;
    const changes = member.pendingAnnouncements;
    member.pendingAnnouncements = null;
    for (const change of changes) this.update(member, change.view());
  }

  /** Applies the result of a release. Its announcement reaches the other connections. */
  endRelease(member: Member, result: Result<Decision>): void {
    if (!result.ok) return this.applyDecision(member, result);
    const { id, state } = result.value.reservation;
    const wasAnnounced = member.reservation(id)?.state === state;
    this.applyDecision(member, result);
    if (!wasAnnounced) member.pendingReleases = [...(member.pendingReleases ?? []), id];
  }

  /** Applies the result of a waitlist request. */
  endWaitlist(
    member: Member,
    { op, sale, sku, qty = 1 }: Omit<WaitlistRequest, 'user'>,
    { place }: WaitlistResult,
  ): void {
    if (op === 'join') member.addWait({ sale, sku, qty, place, joinedAt: this.options.now() });
    else member.removeWait(sale, sku);
    this.positions.hasRequested(member);
  }

  /**
   * After a lost connection to Redis announcements may be missing: refetches all holdings. Under a
   * new epoch Redis may have lost some of them.
   */
  refetchAll(isNewEpoch: boolean): void {
    for (const member of this.lingering.keys()) this.forget(member);
    for (const member of this.members.values()) {
      member.isSuperseded ||= isNewEpoch;
      if (member.isKnown) this.markStale(member);
      else this.lookups.invalidate(member);
    }
  }

  stop(): void {
    this.lookups.stop();
    this.refreshes.stop();
  }

  /** Never during a reserve: a member who reconnects must find what its result brings. */
  private forget(member: Member): void {
    if (member.reservesInFlight > 0) return;
    this.lingering.delete(member);
    this.members.delete(member.user);
  }

  private applyDecision(member: Member, result: Result<Decision>): void {
    if (result.ok) {
      const { reservation, replayed } = result.value;
      if (replayed && member.reservation(reservation.id) === undefined) this.refetchReplayedHold(member, reservation);
      else member.remember(reservation);
    } else if (result.error.code === 'redis_unavailable' || result.error.code === 'internal') {
      // The request may have been decided.
      this.markStale(member);
    }
  }

  /**
   * The result is recorded, and this node does not know the reservation: it may have ended since,
   * and its announcements may be lost. While it is held, all connections are notified of it.
   */
  private refetchReplayedHold(member: Member, recorded: ReservationView): void {
    const baseline = member.listedReservations();
    member.remember(recorded);
    this.markStale(member, baseline);
  }

  /** The member may hold something unknown here: refetches, and sends differences to `baseline`. */
  private markStale(member: Member, baseline = member.listedReservations()): void {
    this.lookups.invalidate(member);
    if (member.isConnected) void this.lookups.request(member, baseline);
  }

  private sendDifferences(member: Member, baseline: readonly ReservationView[]): void {
    const released = member.pendingReleases ?? [];
    member.pendingReleases = null;
    for (const id of released) {
      const reservation = member.reservation(id);
      if (reservation !== undefined) this.send(member, reservation);
    }
    for (const reservation of member.listedReservations()) {
      const before = baseline.find(({ id }) => id === reservation.id);
      const hasChanged = before?.state !== reservation.state || before.heldUntil !== reservation.heldUntil;
      if (hasChanged && !released.includes(reservation.id)) this.send(member, reservation);
    }
  }

  private update(member: Member, reservation: ReservationView): void {
    // A lookup that is on its way may still list the waitlist entry that the offer ended.
    if (reservation.offer && reservation.state === 'held') member.outdateLookup();
    member.remember(reservation);
    this.send(member, reservation);
  }

  private send(member: Member, reservation: ReservationView, except?: MemberConnection): void {
    const { connections, holdings } = member;
    if (typeof holdings === 'object' && holdings.baseline !== null)
      holdings.baseline = [...holdings.baseline.filter(({ id }) => id !== reservation.id), reservation];
    if (connections.length === 0 || (connections.length === 1 && connections[0] === except)) return;
    this.sendTo(connections, { t: 'you', at: this.options.now(), reservation }, except);
  }

  private sendHoldings(member: Member): void {
    const [reservations, waits] = [member.listedReservations(), member.waits ?? []];
    this.positions.areSent(member);
    this.sendTo(member.connections, { t: 'holdings', at: this.options.now(), reservations, waits });
  }

  private sendWaits({ connections, waits }: Member): void {
    this.sendTo(connections, { t: 'waits', at: this.options.now(), waits: waits ?? [] });
  }

  private sendTo(
    connections: readonly MemberConnection[],
    message: You | Holdings | Mute | Waits,
    except?: MemberConnection,
  ): void {
    const frame = messageFrame(message, this.options.encodes);
    for (const connection of connections) if (connection !== except) connection.send(frame.in(connection.variant));
  }
}

function without(ids: readonly string[] | null, id: string): string[] | null {
  const left = ids?.filter((other) => other !== id) ?? [];
  return left.length > 0 ? left : null;
}
