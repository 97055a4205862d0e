/**
 * Looks up in Redis what members hold, many per round trip, one call at a time, and few calls
 * per second in a storm. Results that may be outdated are fetched again; failed lookups are retried
 * together.
 */
import { Alarm, type Clock, pause } from '../domain/clock.ts';
import { type BuyerHoldings, NO_HOLDINGS, type ReservationStore } from '../domain/reservation.ts';
import { LIMITS } from '../limits.ts';
import type { ReservationView } from '../protocol/messages.ts';
import type { Lookup, Member } from './member.ts';

export interface HoldingsLookupOptions {
  readonly showId: string;
  readonly store: Pick<ReservationStore, 'holdingsOf' | 'getReservation'>;
  readonly clock: Clock;
  readonly usersPerCallMax: number;
  /** All members of the room, for the retry. */
  readonly members: () => Iterable<Member>;
  /** A reservation that was live here has ended without an announcement. */
  readonly onEnded: (member: Member, reservation: ReservationView) => void;
  /** A new epoch replaced what the member holds. */
  readonly onReplaced: (member: Member) => void;
  /** A lookup with a baseline is done. */
  readonly onRefetched: (member: Member, baseline: readonly ReservationView[]) => void;
  /** A lookup is done. */
  readonly onKnown: (member: Member) => void;
  readonly onUnexpected: (error: unknown) => void;
}

const RETRY_MS = 1_000;
const DONE = Promise.resolve();

function newLookup(baseline: Lookup['baseline']): Lookup {
  let finish = (): void => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { phase: 'queued', baseline, done, finish };
}

export class HoldingsLookup {
  private readonly options: HoldingsLookupOptions;
  private queue: Member[] = [];
  private isRunning = false;
  private readonly retry: Alarm;

  constructor(options: HoldingsLookupOptions) {
    this.options = options;
    this.retry = new Alarm(options.clock, () => this.retryFailed());
  }

  /** Resolves when `isKnown` is current. With a baseline, differences to it are sent. */
  request(member: Member, baseline: Lookup['baseline'] = null): Promise<void> {
    const { holdings } = member;
    if (holdings === 'known') return DONE;
    if (typeof holdings === 'object') {
      holdings.baseline ??= baseline;
      return holdings.done;
    }
    if (this.retry.isSet) {
      member.holdings = 'failed';
      return DONE;
    }
    const lookup = newLookup(baseline);
    member.holdings = lookup;
    this.queue.push(member);
    void this.run();
    return lookup.done;
  }

  /** Something about this member may have been missed: what is known or on its way is stale. */
  invalidate(member: Member): void {
    const { holdings } = member;
    if (holdings === 'known') member.holdings = 'unknown';
    else if (typeof holdings === 'object' && holdings.phase === 'sent') holdings.phase = 'outdated';
  }

  stop(): void {
    this.retry.clear();
    for (const member of this.queue.splice(0)) this.finish(member, 'failed');
  }

  private async run(): Promise<void> {
    if (this.isRunning) return;
    this.isRunning = true;
    const { store, showId, clock, usersPerCallMax, onUnexpected } = this.options;
    let usersMax = usersPerCallMax;
    while (this.queue.length > 0) {
      const batch = this.queue.splice(0, usersMax);
      for (const { holdings } of batch) if (typeof holdings === 'object') holdings.phase = 'sent';
      const users = batch.map(({ user }) => user);
      try {
        const result = await store.holdingsOf(showId, users);
        const isUnreadable = !result.ok && result.error.details?.['unreadable'] === true;
        usersMax = isUnreadable ? Math.max(1, batch.length >> 1) : Math.min(usersPerCallMax, 2 * usersMax);
        if (isUnreadable && batch.length > 1) {
          // The records of one member cannot be read: smaller calls find them.
          this.queue.unshift(...batch);
          continue;
        }
        const count = result.ok ? Math.max(1, result.value.length) : batch.length;
        for (const [i, member] of batch.slice(0, count).entries())
          await this.complete(member, result.ok ? (result.value[i] ?? NO_HOLDINGS) : null);
        for (const member of batch.slice(count).reverse()) this.requeue(member);
        if (count < batch.length) usersMax = 2 * count;
        // A record that cannot be read stays so: the others must not wait for it.
        if (!result.ok && !isUnreadable) this.retryLater();
        // Where many hold something, slices follow each other.
        else if (count === batch.length && count >= LIMITS.lookupStormMembers)
          await pause(clock, LIMITS.lookupStormPauseMs);
      } catch (error) {
        for (const member of batch) if (typeof member.holdings === 'object') this.finish(member, 'failed');
        this.retryLater();
        onUnexpected(error);
      }
    }
    this.isRunning = false;
  }

  /** Many others in the same call hold something. */
  private requeue(member: Member): void {
    if (typeof member.holdings === 'object') member.holdings.phase = 'queued';
    this.queue.unshift(member);
  }

  private async complete(member: Member, found: BuyerHoldings | null): Promise<void> {
    const lookup = member.holdings;
    if (typeof lookup !== 'object') return;
    if (found === null) return this.finish(member, 'failed');
    if (lookup.phase === 'sent' && !(await this.adopt(member, found))) {
      this.finish(member, 'failed');
      return this.retryLater();
    }
    // Calls may have been outdated while `adopt` waited.
    if (lookup.phase === 'sent') return this.finish(member, 'known');
    lookup.phase = 'queued';
    this.queue.push(member);
  }

  /** Returns false if Redis did not say how a vanished reservation ended. */
  private async adopt(member: Member, found: BuyerHoldings): Promise<boolean> {
    const { store, showId, onEnded, onReplaced } = this.options;
    if (member.isSuperseded) {
      if (typeof member.holdings === 'object') member.holdings.baseline = null;
      if (member.replaceHoldings(found)) onReplaced(member);
      return true;
    }
    for (const { id } of member.adopt(found)) {
      const ended = await store.getReservation(showId, id);
      if (!ended.ok) return false;
      onEnded(member, ended.value);
    }
    return true;
  }

  private finish(member: Member, state: 'known' | 'failed'): void {
    const lookup = member.holdings;
    member.holdings = state;
    if (typeof lookup !== 'object') return;
    if (state === 'known' && lookup.baseline !== null) this.options.onRefetched(member, lookup.baseline);
    if (state === 'known') this.options.onKnown(member);
    lookup.finish();
  }

  private retryLater(): void {
    for (const member of this.queue.splice(0)) this.finish(member, 'failed');
    if (!this.retry.isSet) this.retry.set(RETRY_MS);
  }

  /** The welcome could not say what these members hold, so all of it is sent now. */
  private retryFailed(): void {
    for (const member of this.options.members())
      if (member.holdings === 'failed' && member.isConnected) void this.request(member, []);
  }
}
