/** What the buyers of a room do: reserve, release, waitlist; and the timers of its sales. */
import { randomBytes } from 'node:crypto';
import type { Decision } from '../domain/reservation.ts';
import type { WaitlistRequest, WaitlistResult } from '../domain/waitlist.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { Countdown, Item } from '../protocol/messages.ts';
import { type QueuedReserve, ReserveBatcher } from '../selling/batcher.ts';
import { CountdownTicker } from '../selling/countdown.ts';
import { DueTimer, delayOfNode } from '../selling/due-timer.ts';
import { KeyedCalls } from '../selling/keyed-calls.ts';
import { refuseLocally } from '../selling/local-refusals.ts';
import { RefusalReporter } from '../selling/refusal-reporter.ts';
import type { Member, MemberConnection } from './member.ts';
import type { Members } from './members.ts';
import type { RoomParts } from './room-deps.ts';

/** A reserve on its way. Its `onDecided` calls `endReserve` of the room, then sends the reply. */
export interface RoomReserve extends QueuedReserve {
  readonly member: Member;
}

export interface RoomSalesOptions extends RoomParts {
  readonly members: Members;
  /** True while the replica equals what Redis committed. */
  readonly isSynced: () => boolean;
  readonly hasViewers: () => boolean;
  readonly onCountdown: (countdowns: Countdown[]) => void;
}

export class RoomSales {
  /** Names this room in commits. Names of nodes are given by people, and two may be equal. */
  readonly origin = randomBytes(9).toString('base64url');
  private readonly options: RoomSalesOptions;
  private readonly batcher: ReserveBatcher;
  private readonly refusals: RefusalReporter;
  private readonly calls: KeyedCalls;
  private readonly dueTimer: DueTimer;
  private readonly countdown: CountdownTicker;

  constructor(options: RoomSalesOptions) {
    this.options = options;
    const { showId, store, clock, now, node, replica, hasViewers, onCallbackError, onReserveBatch } = options;
    this.batcher = new ReserveBatcher({
      showId,
      origin: this.origin,
      store,
      clock,
      onCallbackError,
      ...(onReserveBatch ? { onBatch: onReserveBatch } : {}),
    });
    this.calls = new KeyedCalls(clock);
    this.refusals = new RefusalReporter(options);
    this.dueTimer = new DueTimer({
      showId,
      store,
      clock,
      delayMs: delayOfNode(node),
      rev: () => replica.rev,
      onNextDue: (at) => replica.setNextDueAt(at),
    });
    this.countdown = new CountdownTicker({
      clock,
      now,
      sales: () => replica.sales.values(),
      hasViewers,
      onTick: options.onCountdown,
    });
  }

  /** Returns why the request is refused without asking Redis, or null. Reports it to the ledger. */
  refuseLocally(member: Member, saleId: string, lines: readonly Item[]): Failure | null {
    const { store, replica, isSynced, onLocalRefusal } = this.options;
    const refusal = refuseLocally({
      isSynced: isSynced() && store.trouble() === null,
      sale: replica.sales.get(saleId),
      saleId,
      lines,
      nowMs: store.now(),
      errorMs: store.nowErrorMs(),
      nextDueAt: replica.nextDueAt,
      isBuyerNew: member.isNewTo(saleId),
    });
    if (refusal === null) return null;
    this.refusals.add(saleId, refusal.code, replica);
    onLocalRefusal?.(refusal.code);
    return refusal;
  }

  /** Redis decides. Call `refuseLocally` first for what the replica can refuse. */
  reserve(request: RoomReserve): void {
    this.options.members.beginReserve(request.member);
    this.batcher.reserve(request);
  }

  endReserve(member: Member, connection: MemberConnection, result: Result<Decision>): void {
    this.options.members.endReserve(member, connection, result);
  }

  async release(member: Member, { key, reservation }: { key: string; reservation: string }): Promise<Result<Decision>> {
    const { store, showId, members } = this.options;
    const { user } = member;
    const result = await this.calls.run(() => store.release(showId, reservation, { key, actor: `user:${user}`, user }));
    members.endRelease(member, result);
    return result;
  }

  async waitlist(member: Member, request: Omit<WaitlistRequest, 'user'>): Promise<Result<WaitlistResult>> {
    const { store, showId, members } = this.options;
    member.addSale(request.sale);
    const result = await this.calls.run(() => store.waitlist(showId, { ...request, user: member.user }));
    if (result.ok) members.endWaitlist(member, request, result.value);
    return result;
  }

  /** Schedules the next due moment. Without viewers other nodes and the jobs do what is due. */
  scheduleDue(): void {
    this.dueTimer.set(this.options.hasViewers() ? this.options.replica.nextDueAt : null);
  }

  /** Starts the countdown if a sale has one and it is not running. */
  startCountdown(): void {
    this.countdown.start();
  }

  /** The last viewer left. */
  pause(): void {
    this.countdown.stop();
    this.dueTimer.set(null);
  }

  /** Resolves when all requests have their result. */
  async whenIdle(): Promise<void> {
    await Promise.all([this.batcher.whenIdle(), this.calls.whenIdle()]);
  }

  async close(): Promise<void> {
    this.countdown.stop();
    this.dueTimer.stop();
    await this.refusals.close();
  }
}
