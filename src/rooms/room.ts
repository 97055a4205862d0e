/** One show on this node, while it has viewers here. It connects its parts and holds no logic. */
import type { ChatBatch, ChatEntry } from '../domain/chat.ts';
import { guardedClock } from '../domain/clock.ts';
import { muteHash } from '../domain/moderation.ts';
import type { BusyUsers, Commit, Counts, CountsResult } from '../domain/show-log.ts';
import type { Rates } from '../domain/token-bucket.ts';
import type { BroadcastGroups } from '../fanout/broadcast-groups.ts';
import { type ChatCallback, ChatIntake } from '../fanout/chat-intake.ts';
import type { ChatLane } from '../fanout/chat-lane.ts';
import { RequestPace } from '../fanout/request-pace.ts';
import { UserPace } from '../fanout/user-pace.ts';
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { SaleView, ShowEvent, Welcome } from '../protocol/messages.ts';
import { CountsReporter } from './counts.ts';
import { type ChatHistory, type FollowerHandlers, ShowFollower } from './follower.ts';
import { Lanes } from './lanes.ts';
import type { Member, MemberConnection } from './member.ts';
import { Members } from './members.ts';
import type { ShowReplica } from './replica.ts';
import { Resumer } from './resume.ts';
import type { NodeDeps, RoomParts } from './room-deps.ts';
import { RoomSales } from './room-sales.ts';
import { UserConnections } from './user-connections.ts';
import type { WelcomeWriter } from './welcome.ts';

export interface RoomDeps extends NodeDeps {
  /** This node can no longer serve the show. */
  readonly onGone: (room: Room, error: Failure) => void;
  readonly onErased?: (room: Room, user: string) => void;
}

export class Room implements FollowerHandlers {
  readonly showId: string;
  readonly replica: ShowReplica;
  readonly members: Members;
  readonly groups: BroadcastGroups;
  readonly chatLane: ChatLane;
  /** How fast each user writes, over all nodes. */
  readonly chatPace: UserPace;
  /** How often each user reserves, releases, waits and resumes, over all nodes. */
  readonly requestPace: RequestPace;
  readonly rates: Rates;
  readonly resumer: Resumer;
  readonly welcomes: WelcomeWriter;
  readonly sales: RoomSales;
  private readonly connections: UserConnections;
  private readonly joinPace: UserPace;
  private readonly deps: RoomDeps;
  private readonly follower: ShowFollower;
  private readonly lanes: Lanes;
  private readonly intake: ChatIntake;
  private readonly counts: CountsReporter;
  private isClosed = false;

  constructor(showId: string, deps: RoomDeps) {
    this.showId = showId;
    this.deps = deps;
    this.rates = deps.rates;
    this.chatPace = new UserPace(deps.rates.chat);
    this.connections = new UserConnections(deps.connectionsPerUserMax);
    this.joinPace = new UserPace({ perSecond: LIMITS.delayedJoinsPerSecond, burst: deps.connectionsPerUserMax });
    this.requestPace = new RequestPace(deps.rates.requests, (user, count) => this.counts.addRequests(user, count));
    const onUnexpected = (error: unknown): void => this.onUnexpected(error);
    const clock = guardedClock(deps.clock, onUnexpected);
    this.follower = new ShowFollower({ showId, log: deps.log, clock, handlers: this });
    this.replica = this.follower.replica;

    const { replica } = this;
    const onCallbackError = (error: unknown): void =>
      deps.logger.error({ err: error, show: showId }, 'a callback for a result failed');
    const now = (): number => deps.store.now();
    const parts: RoomParts = { ...deps, clock, showId, replica, now, onCallbackError, onUnexpected };
    this.lanes = new Lanes(parts);
    this.groups = this.lanes.groups;
    this.chatLane = this.lanes.chat;
    this.welcomes = this.lanes.welcomes;
    this.resumer = new Resumer({ ...parts, ring: this.lanes.events, chat: this.chatLane });
    this.members = new Members({ ...parts, onWaiting: () => this.counts.schedule() });
    this.sales = new RoomSales({
      ...parts,
      members: this.members,
      isSynced: () => this.follower.isSynced,
      hasViewers: () => this.viewers > 0,
      onCountdown: (countdowns) => this.lanes.state.pushCountdowns(countdowns),
    });
    this.intake = new ChatIntake({
      ...parts,
      shownPerSecond: () => replica.show.chatShownPerSecond,
      isBehind: () => this.chatLane.isBehind,
    });
    this.counts = new CountsReporter({
      ...parts,
      onResult: (result) => this.onCountsResult(result),
      areResultsNeeded: () => this.members.positions.areNeeded,
      onGone: () => this.follower.reload(),
    });
  }

  get viewers(): number {
    return this.groups.viewers;
  }

  /** Subscribes, then loads. If it fails, the room must not be used. */
  async open(): Promise<Result<null>> {
    const opened = await this.follower.open();
    if (!opened.ok) return opened;
    this.lanes.reset(opened.value);
    return { ok: true, value: null };
  }

  /** Returns the milliseconds until a user who connects too often may join, 0 = now. */
  joinWaitMs(user: string): number {
    const nowMs = this.deps.clock.nowMs();
    const here = this.members.get(user)?.connections.length ?? 0;
    if (!this.joinPace.has(user) && !this.connections.isFull(user, here, nowMs)) return 0;
    return this.joinPace.take(user, nowMs);
  }

  /** Delays the next joins of a user whose connection is closed for what it sent. */
  delayJoins(user: string): void {
    this.joinPace.charge(user, LIMITS.joinsPerExpulsion, this.deps.clock.nowMs());
  }

  /** Adds a viewer. Returns their member, which receives personal messages, or null for guests. */
  enter(connection: MemberConnection, user: string | null): Member | null {
    this.groups.viewers += 1;
    this.counts.setViewers(this.viewers);
    if (this.viewers === 1) {
      this.sales.scheduleDue();
      this.sales.startCountdown();
    }
    if (user === null) return null;
    if (this.members.get(user) === undefined) this.counts.addNewcomer(user);
    const member = this.members.join(user, connection);
    this.limitConnections(member);
    return member;
  }

  leave(connection: MemberConnection, member: Member | null): void {
    this.groups.viewers -= 1;
    if (member !== null) {
      this.members.leave(member, connection);
      this.shareConnections(member);
    }
    this.counts.setViewers(this.viewers);
    if (this.viewers === 0) this.sales.pause();
  }

  chat(entry: ChatEntry, callback: ChatCallback): void {
    this.intake.accept(entry, callback);
  }

  /** Returns the Redis time until which the user may not chat, or null. */
  mutedUntil(user: string): number | null {
    const { mutes, hasMuteHashes } = this.replica;
    const until = mutes.get(user) ?? (hasMuteHashes ? mutes.get(muteHash(this.showId, user)) : 0) ?? 0;
    return until > this.deps.store.now() ? Math.ceil(until) : null;
  }

  addHearts(count: number): void {
    this.counts.addHearts(count);
    this.deps.onHearts?.(count);
  }

  /** Returns what the welcome of a member has: live holds, orders, waitlist entries, and a mute. */
  personal(member: Member | null): Pick<Welcome['you'], 'reservations' | 'waits' | 'mutedUntil'> {
    const mutedUntil = member === null ? null : this.mutedUntil(member.user);
    return {
      ...(mutedUntil === null ? {} : { mutedUntil }),
      ...{ reservations: member?.listedReservations() ?? [], waits: member?.waits ?? [] },
    };
  }

  /** Waits for the requests in flight, then sends the queued chat; for a drain. */
  async whenIdle(): Promise<void> {
    await Promise.all([this.intake.whenIdle(), this.sales.whenIdle()]);
    this.chatLane.flushNow();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.lanes.stop();
    this.members.stop();
    await Promise.all([this.follower.stop(), this.counts.close(), this.sales.close()]);
  }

  onCommit({ events, sales, reservations, holds, at, mutes }: Commit): void {
    const { state } = this.lanes;
    if (events.length > 0) this.lanes.publishEvents(events, at);
    state.pushSales(sales);
    for (const { type, data } of events) {
      if (type.startsWith('sale.') && data['sale'] !== undefined) state.supersede(data['sale'] as SaleView);
    }
    this.members.applyChanges(reservations);
    // This room has its own new holds as results.
    if (holds !== null && holds.origin !== this.sales.origin) this.members.applyChanges(holds.changes());
    this.sales.scheduleDue();
    if (events.length > 0) this.sales.startCountdown();
    for (const [user, until] of mutes ?? []) {
      if (until < 0) this.deps.onErased?.(this, user);
      else this.members.sendMute(user, until);
    }
  }

  onChat(batch: ChatBatch): void {
    this.chatLane.push(batch);
    const { node, clock } = this.deps;
    if (batch.node !== node && batch.authors !== undefined)
      this.chatPace.chargeChat(batch.authors, clock.nowMs(), this.replica.show.slowModeMs);
  }

  onCounts(counts: Counts): void {
    this.lanes.state.pushCounts(counts);
  }

  onBusyUsers({ node, requests }: BusyUsers): void {
    if (node === this.deps.node) return;
    const nowMs = this.deps.clock.nowMs();
    for (const [user, count, connections] of requests) {
      if (count > 0) this.requestPace.charge(user, count, nowMs);
      if (connections === undefined) continue;
      this.connections.learn(user, node, connections, nowMs);
      const member = this.members.get(user);
      if (member?.isConnected) this.limitConnections(member);
    }
  }

  onCaughtUp(events: readonly ShowEvent[] | null, history: ChatHistory, isNewEpoch: boolean): void {
    const { epoch } = this.replica;
    if (events === null)
      this.deps.logger.warn({ show: this.showId, epoch }, 'missed events are not in the log: viewers get a snapshot');
    this.lanes.catchUp(events, history, isNewEpoch);
    this.sales.scheduleDue();
    this.sales.startCountdown();
    this.members.refetchAll(isNewEpoch);
    for (const [user, until] of this.replica.changedMutes) this.members.sendMute(user, until);
  }

  onGone(error: Failure): void {
    this.deps.onGone(this, error);
  }

  /** Something of this room failed, so its state may be wrong: viewers get a new snapshot. */
  onUnexpected(error: unknown): void {
    this.deps.logger.error({ err: error, show: this.showId }, 'a room failed unexpectedly and synchronizes again');
    this.follower.resync();
  }

  /** Closes the oldest connections of a user who has too many over all nodes (SPEC H-9). */
  private limitConnections(member: Member): void {
    const { connections, user } = member;
    const surplus = this.connections.surplus(user, connections.length, this.deps.clock.nowMs());
    for (const connection of connections.slice(0, surplus)) this.deps.onSurplus(connection);
    this.shareConnections(member);
  }

  private shareConnections({ user, connections }: Member): void {
    const here = connections.length;
    this.counts.setConnections(user, this.connections.isShared(user, here) ? here : 0);
  }

  private onCountsResult({ counts, endedWaits, ...position }: CountsResult): void {
    if (this.isClosed) return;
    if (this.replica.applyCounts(counts)) this.lanes.state.pushCounts(counts);
    this.members.positions.report(endedWaits);
    this.follower.checkPosition(position);
  }
}
