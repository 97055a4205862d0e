/**
 * Keeps the waitlist positions of members current. A report of counts returns how many entries of
 * the show have ended. If that number has changed, the members who wait are looked up again, and
 * their connections get what changed. See "Positions in a waitlist" in src/README.md.
 */
import { LIMITS } from '../limits.ts';
import type { WaitView } from '../protocol/messages.ts';
import type { Member } from './member.ts';

export interface PositionsOptions {
  readonly lookUp: (member: Member) => void;
  /** Sends the waitlist entries of a member to all of its connections. */
  readonly send: (member: Member) => void;
  /** Someone waits: `report` must be called each second. */
  readonly onWaiting: () => void;
}

export class Positions {
  private readonly options: PositionsOptions;
  /** Members who wait, and the entries that their connections know. */
  private readonly sent = new Map<Member, string>();
  /** Members to look up, the longest waiting first. */
  private readonly stale = new Set<Member>();
  private ended = 0;

  constructor(options: PositionsOptions) {
    this.options = options;
  }

  /** Whether any member waits. */
  get areNeeded(): boolean {
    return this.sent.size > 0;
  }

  /**
   * A member joined or left a waitlist. The reply is for one connection, and may be a recorded one:
   * the entries are looked up with the next report.
   */
  hasRequested(member: Member): void {
    if (!member.isConnected) return;
    if (member.connections.length === 1) this.sent.set(member, textOf(member.waits));
    else if (!this.sent.has(member)) this.sent.set(member, '');
    this.stale.add(member);
    this.options.onWaiting();
  }

  /** All connections of the member get its entries in another message. */
  areSent(member: Member): void {
    if (member.waits !== null || this.sent.has(member)) this.sent.set(member, textOf(member.waits));
  }

  /** Sends the entries of a member who was looked up, if its connections know other ones. */
  isLookedUp(member: Member): void {
    const sent = this.sent.get(member);
    if ((member.waits === null && sent === undefined) || !member.isConnected) return;
    const text = textOf(member.waits);
    if (text !== (sent ?? '')) this.options.send(member);
    if (text === '') return this.forget(member);
    this.sent.set(member, text);
    if (sent === undefined) this.options.onWaiting();
  }

  /** Looks up members whose positions may have changed; the others follow at the next reports. */
  report(ended: number): void {
    if (ended !== this.ended) for (const member of this.sent.keys()) this.stale.add(member);
    this.ended = ended;
    let entries = 0;
    for (const member of this.stale) {
      if (entries >= LIMITS.positionsPerReportMax) return;
      // A lookup that is under way may be older than the report; one that failed is repeated.
      if (!member.isKnown) continue;
      this.stale.delete(member);
      entries += member.waits?.length ?? 1;
      this.options.lookUp(member);
    }
  }

  /** The member has no connection, or does not wait any more. */
  forget(member: Member): void {
    this.sent.delete(member);
    this.stale.delete(member);
  }
}

const textOf = (waits: readonly WaitView[] | null): string =>
  (waits ?? [])
    .map(({ sale, sku, qty, place }) => `${sale}/${sku} ${qty} ${place}`)
    .sort()
    .join();
