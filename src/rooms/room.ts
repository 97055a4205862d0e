/**
 * One show on this node, for as long as somebody here watches it: the view, the lanes out, the
 * intakes in, and the timers.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { ChatBatch, ChatEntry } from '../domain/chat.ts';
import type { Clock } from '../domain/clock.ts';
import type { Health } from '../domain/health.ts';
import type { Decision, ReservationStore, ReserveRequest } from '../domain/reservation.ts';
import type { Scheduler } from '../domain/schedule.ts';
import type { Commit, ShowLog } from '../domain/show-log.ts';
import type { Rates } from '../domain/token-bucket.ts';
import type { WaitlistRequest, WaitlistResult } from '../domain/waitlist.ts';
import { BroadcastGroups } from '../fanout/broadcast-groups.ts';
import type { Broadcaster } from '../fanout/broadcaster.ts';
import { type ChatCallback, ChatIntake } from '../fanout/chat-intake.ts';
import { ChatLane } from '../fanout/chat-lane.ts';
import { ChatPace } from '../fanout/chat-pace.ts';
import { type EncodeCounts, messageFrame, splicedFrame } from '../fanout/frames.ts';
import { EventRing } from '../fanout/rings.ts';
import { StateLane } from '../fanout/state-lane.ts';
import type { ErrorCode, Failure, Result } from '../protocol/codes.ts';
import type { Item, ReservationView, SaleView, ShowEvent, WaitView } from '../protocol/messages.ts';
import { type QueuedReserve, ReserveBatcher } from '../selling/batcher.ts';
import { CountdownTicker } from '../selling/countdown.ts';
import { DueTimer, delayOfNode } from '../selling/due-timer.ts';
import { KeyedCalls } from '../selling/keyed-calls.ts';
import { refuseLocally } from '../selling/local-refusals.ts';
import { RefusalReporter } from '../selling/refusal-reporter.ts';
import { CountsReporter } from './counts.ts';
import { type ChatHistory, ShowFollower } from './follower.ts';
import { type Member, type MemberConnection, Members } from './members.ts';
import type { ShowReplica } from './replica.ts';
import { Resumer } from './resume.ts';
import { WelcomeWriter } from './welcome.ts';

export type RoomStore = ReservationStore & Scheduler & Health;

/** Who is told what became of a reserve. */
export interface DecisionReceiver {
  decided(result: Result<Decision>): void;
}

class PendingReserve implements QueuedReserve {
  readonly member: Member;
  readonly asker: MemberConnection;
  readonly key: string;
  readonly sale: string;
  readonly lines: readonly Item[];
  readonly receiver: DecisionReceiver;
  enqueuedMs = 0;

  constructor(
    member: Member,
    asker: MemberConnection,
    { key, sale, lines }: Omit<ReserveRequest, 'user'>,
    receiver: DecisionReceiver,
  ) {
    this.member = member;
    this.asker = asker;
    this.key = key;
    this.sale = sale;
    this.lines = lines;
    this.receiver = receiver;
  }

  get user(): string {
    return this.member.user;
  }
}

export interface RoomDeps {
  readonly node: string;
  readonly store: RoomStore;
  readonly log: ShowLog;
  /** One for all rooms of a node. */
  readonly broadcaster: Broadcaster;
  readonly rates: Rates;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly encodes: EncodeCounts;
  readonly onReserveBatch?: (size: number) => void;
  readonly onLocalRefusal?: (code: ErrorCode) => void;
  /** A lane sent what waited in it: how long until its writes were out. */
  readonly onFlush?: (lane: 'chat' | 'state', elapsedMs: number) => void;
  readonly onHearts?: (count: number) => void;
  /** The show was there and is no longer. */
  readonly onGone: (room: Room) => void;
}

export class Room {
  readonly showId: string;
  readonly members: Members;
  readonly chatLane: ChatLane;
  /** How fast people write, over all nodes. */
  readonly pace: ChatPace;
  readonly rates: Rates;
  readonly resumer: Resumer;
  readonly welcomes: WelcomeWriter;
  private readonly deps: RoomDeps;
  /**
   * This room and no other there ever was: names of nodes are given by people, and two may have the
   * same.
   */
  private readonly origin = randomBytes(9).toString('base64url');
  readonly groups: BroadcastGroups;
  private readonly follower: ShowFollower;
  private readonly eventRing = new EventRing();
  private readonly stateLane: StateLane;
  private readonly intake: ChatIntake;
  private readonly counts: CountsReporter;
  private readonly batcher: ReserveBatcher<PendingReserve>;
  private readonly refusals: RefusalReporter;
  private readonly calls: KeyedCalls;
  private readonly dueTimer: DueTimer;
  private readonly countdown: CountdownTicker;
  private closed = false;

  constructor(showId: string, deps: RoomDeps) {
    this.showId = showId;
    this.deps = deps;
    const { clock, store, log, broadcaster, node, encodes } = deps;
    this.rates = deps.rates;
    this.pace = new ChatPace(deps.rates.chat);
    const now = (): number => store.now();
    this.groups = new BroadcastGroups(showId, broadcaster);
    const lane = {
      clock,
      groups: this.groups,
      afterWrites: (run: () => void) => broadcaster.afterWrites(run),
      encodes,
      now,
    };
    this.chatLane = new ChatLane({
      ...lane,
      onFlush: (elapsedMs) => deps.onFlush?.('chat', elapsedMs),
      beforeFlush: () => this.stateLane.flushAlong(),
    });
    this.stateLane = new StateLane({ ...lane, onFlush: (elapsedMs) => deps.onFlush?.('state', elapsedMs) });
    this.follower = new ShowFollower({
      showId,
      log,
      clock,
      handlers: {
        onCommit: (commit) => this.onCommit(commit),
        onChat: (batch) => this.onChat(batch),
        onCounts: (counts) => this.stateLane.pushCounts(counts),
        onCaughtUp: (events, loaded, anew) => this.onCaughtUp(events, loaded, anew),
        onGone: () => deps.onGone(this),
      },
    });
    const { replica } = this.follower;
    this.members = new Members({ showId, store, clock, encodes, now });
    this.resumer = new Resumer({ showId, view: replica, ring: this.eventRing, chat: this.chatLane, log, encodes, now });
    this.welcomes = new WelcomeWriter(replica, this.chatLane.ring, encodes);
    const onCallbackError = (error: unknown): void =>
      deps.logger.error({ err: error, show: showId }, 'an answer could not be taken');
    const shownPerSecond = (): number => replica.show.chatShownPerSecond;
    this.intake = new ChatIntake({
      showId,
      node,
      log,
      clock,
      shownPerSecond,
      isBehind: () => this.chatLane.isBehind,
      onCallbackError,
    });
    this.batcher = new ReserveBatcher<PendingReserve>({
      showId,
      origin: this.origin,
      store,
      clock,
      onCallbackError,
      onDecided: (pending, result) => this.decided(pending, result),
      ...(deps.onReserveBatch ? { onBatch: deps.onReserveBatch } : {}),
    });
    this.calls = new KeyedCalls(clock);
    this.refusals = new RefusalReporter({ showId, node, log, clock, now });
    this.counts = new CountsReporter({
      showId,
      node,
      log,
      clock,
      onResult: ({ counts, ...stands }) => {
        if (this.closed) return;
        if (replica.applyCounts(counts)) this.stateLane.pushCounts(counts);
        this.follower.checkPosition(stands);
      },
      onGone: () => this.follower.reload(),
    });
    this.dueTimer = new DueTimer({
      showId,
      store,
      clock,
      delayMs: delayOfNode(node),
      rev: () => replica.rev,
      onNextDue: (at) => replica.dueAt(at),
    });
    this.countdown = new CountdownTicker({
      clock,
      now,
      sales: () => replica.sales.values(),
      listening: () => this.groups.viewers > 0,
      onTick: (countdowns) => this.stateLane.pushCountdowns(countdowns),
    });
  }

  get replica(): ShowReplica {
    return this.follower.replica;
  }

  get viewers(): number {
    return this.groups.viewers;
  }

  get reservesWaiting(): number {
    return this.batcher.waiting;
  }

  /** Subscribes, then loads. A failure leaves nothing behind: the room is to be thrown away. */
  async open(): Promise<Result<null>> {
    const opened = await this.follower.open();
    if (!opened.ok) return opened;
    this.eventRing.reset(this.replica.offset);
    this.chatLane.reset(opened.value.chat, opened.value.lastChat);
    return { ok: true, value: null };
  }

  /**
   * From now on the listener gets what is published; its personal news come through `member`. Null
   * for guests.
   */
  enter(listener: MemberConnection, user: string | null): Member | null {
    const first = this.groups.viewers === 0;
    this.groups.countViewer(listener.variant, 1);
    this.counts.setViewers(this.groups.viewers);
    if (first) {
      this.dueTimer.set(this.replica.nextDueAt);
      this.countdown.refresh();
    }
    if (user === null) return null;
    if (this.members.get(user) === undefined) this.counts.addNewcomer(user);
    return this.members.join(user, listener);
  }

  leave(listener: MemberConnection, member: Member | null): void {
    this.groups.countViewer(listener.variant, -1);
    if (member !== null) this.members.leave(member, listener);
    this.counts.setViewers(this.groups.viewers);
    if (this.groups.viewers === 0) {
      this.countdown.stop();
      this.dueTimer.set(null);
    }
  }

  chat(entry: ChatEntry, answer: ChatCallback): void {
    this.intake.accept(entry, answer);
  }

  /** Redis time until which this person may not chat, null = they may. */
  mutedUntil(user: string): number | null {
    const until = this.replica.mutes.get(user) ?? 0;
    return until > this.deps.store.now() ? until : null;
  }

  addHearts(count: number): void {
    this.counts.addHearts(count);
    this.deps.onHearts?.(count);
  }

  /**
   * Decided by Redis. What the view can refuse for certain is refused before, by `refuse`. The
   * receiver is told exactly once.
   */
  reserve(
    member: Member,
    asker: MemberConnection,
    request: Omit<ReserveRequest, 'user'>,
    receiver: DecisionReceiver,
  ): void {
    member.reservesInFlight += 1;
    this.batcher.reserve(new PendingReserve(member, asker, request, receiver));
  }

  private decided({ member, asker, receiver }: PendingReserve, result: Result<Decision>): void {
    member.reservesInFlight -= 1;
    this.noteDecision(member, result);
    this.members.answer(member, asker, result.ok ? result.value.reservation : null, result.ok && result.value.replayed);
    receiver.decided(result);
  }

  async release(
    member: Member,
    asker: MemberConnection,
    request: { key: string; reservation: string },
  ): Promise<Result<Decision>> {
    const { user } = member;
    const { key, reservation } = request;
    const result = await this.calls.run(() =>
      this.deps.store.release(this.showId, reservation, { key, actor: `user:${user}`, user }),
    );
    const announced =
      result.ok && this.members.reservation(member, reservation)?.state === result.value.reservation.state;
    this.noteDecision(member, result);
    if (result.ok && !announced) this.members.noteAnswered(member, asker, result.value.reservation);
    return result;
  }

  async waitlist(member: Member, request: Omit<WaitlistRequest, 'user'>): Promise<Result<WaitlistResult>> {
    this.members.addSale(member, request.sale);
    const result = await this.calls.run(() => this.deps.store.waitlist(this.showId, { ...request, user: member.user }));
    const { op, sale, sku, qty = 1 } = request;
    if (result.ok && op === 'join')
      this.members.addWait(member, { sale, sku, qty, place: result.value.place, joinedAt: this.deps.store.now() });
    else if (result.ok) this.members.removeWait(member, sale, sku);
    return result;
  }

  /** Answers what is in flight, sends what waits; for a drain. */
  async whenIdle(): Promise<void> {
    await Promise.all([this.intake.whenIdle(), this.batcher.whenIdle(), this.calls.whenIdle()]);
    this.chatLane.flushNow();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.countdown.stop();
    this.dueTimer.stop();
    this.chatLane.stop();
    this.stateLane.clear();
    this.members.stop();
    await Promise.all([this.follower.stop(), this.counts.close(), this.refusals.close()]);
  }

  /** Why the view refuses, or null: ask Redis. Counted, and told to the ledger. */
  refuseLocally(member: Member, saleId: string, lines: readonly Item[]): Failure | null {
    const { store, onLocalRefusal } = this.deps;
    const refusal = refuseLocally({
      synced: this.follower.isSynced && store.trouble() === null,
      sale: this.replica.sales.get(saleId),
      saleId,
      lines,
      nowMs: store.now(),
      errorMs: store.nowErrorMs(),
      nextDueAt: this.replica.nextDueAt,
      buyerIsNew: this.members.isNewTo(member, saleId),
    });
    if (refusal === null) return null;
    this.refusals.note(saleId, refusal.code, this.replica);
    onLocalRefusal?.(refusal.code);
    return refusal;
  }

  private noteDecision(member: Member, result: Result<Decision>): void {
    if (result.ok) {
      const { reservation, replayed } = result.value;
      if (replayed && this.members.reservation(member, reservation.id) === undefined)
        this.members.refetchReplayedHold(member, reservation);
      else this.members.remember(member, reservation);
    } else if (result.error.code === 'redis_unavailable' || result.error.code === 'internal') {
      // The outcome is not known.
      this.members.markStale(member);
    }
  }

  private onChat(batch: ChatBatch): void {
    this.chatLane.push(batch);
    const { node, clock } = this.deps;
    if (batch.node !== node && batch.authors !== undefined)
      this.pace.charge(batch.authors, clock.nowMs(), this.replica.show.slowModeMs);
  }

  private onCommit(commit: Commit): void {
    if (commit.events.length > 0) this.publishEvents(commit.events, commit.at);
    this.stateLane.pushSales(commit.sales);
    for (const { type, data } of commit.events) {
      if (type.startsWith('sale.') && data['sale'] !== undefined) this.stateLane.supersede(data['sale'] as SaleView);
    }
    this.members.applyChanges(commit.reservations);
    if (commit.holds !== null && commit.holds.origin !== this.origin) this.members.applyChanges(commit.holds.changes());
    this.dueTimer.set(this.groups.viewers > 0 ? commit.nextDueAt : null);
    if (commit.events.length > 0) this.countdown.refresh();
  }

  /** Events leave at once, whatever the chat tick says. */
  private publishEvents(events: readonly ShowEvent[], at: number): void {
    const removed = events.flatMap(({ type, data }) => (type === 'chat.removed' ? (data['ids'] as number[]) : []));
    if (removed.length > 0) this.chatLane.remove(new Set(removed));
    const entries = events.map((event) => this.eventRing.push(event));
    if (this.groups.viewers === 0) return;
    const frame = splicedFrame(
      { at: Math.max(at, this.deps.store.now()), epoch: this.replica.epoch, events: entries },
      this.deps.encodes,
    );
    this.groups.publish('main', frame);
  }

  private onCaughtUp(events: readonly ShowEvent[] | null, { chat, lastChat }: ChatHistory, anew: boolean): void {
    const { store, encodes, logger } = this.deps;
    this.stateLane.clear();
    // Under a new epoch nobody has any chat: the snapshot brings what there is.
    if (anew) this.chatLane.reset(chat, lastChat);
    if (events === null) {
      logger.warn(
        { show: this.showId, epoch: this.replica.epoch },
        'events could not be filled in: everybody gets a snapshot',
      );
      this.eventRing.reset(this.replica.offset);
      this.groups.publish('main', this.welcomes.snapshotFrame(store.now()));
    } else {
      if (events.length > 0) this.publishEvents(events, store.now());
      this.groups.publish(
        'main',
        messageFrame({ t: 'frame', at: store.now(), state: this.replica.fullState() }, encodes),
      );
    }
    if (!anew) this.chatLane.catchUp(chat, lastChat);
    this.dueTimer.set(this.groups.viewers > 0 ? this.replica.nextDueAt : null);
    this.countdown.refresh();
    void this.members.refetchAll();
  }

  /** Live holds and orders of a person, and their places in line, for the welcome. */
  holdings(member: Member | null): { reservations: ReservationView[]; waits: WaitView[] } {
    return member === null
      ? { reservations: [], waits: [] }
      : { reservations: this.members.liveReservations(member), waits: member.waits ?? [] };
  }
}
