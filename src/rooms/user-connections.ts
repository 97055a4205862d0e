/**
 * The limit of connections per user to one show, over all nodes. A node reports the users who have
 * many connections here, about once a second and with the counts; ordinary viewers cost nothing.
 */
import { LIMITS } from '../limits.ts';

interface Report {
  readonly connections: number;
  readonly untilMs: number;
}

export class UserConnections {
  private readonly max: number;
  /** By user and node; ordered by the last report of a user. */
  private readonly elsewhere = new Map<string, Map<string, Report>>();

  constructor(max: number) {
    this.max = max;
  }

  /** Returns true if other nodes must know how many connections the user has here. */
  isShared(user: string, here: number): boolean {
    return (here > 1 && here * LIMITS.sharedConnectionsPart >= this.max) || this.elsewhere.has(user);
  }

  /** Another node has this many connections of the user. */
  learn(user: string, node: string, connections: number, nowMs: number): void {
    const reports = this.elsewhere.get(user) ?? new Map<string, Report>();
    this.elsewhere.delete(user);
    reports.delete(node);
    if (connections > 0) reports.set(node, { connections, untilMs: nowMs + LIMITS.nodeCountsTtlMs });
    if (reports.size > 0) this.elsewhere.set(user, reports);
    for (const oldest of this.elsewhere.keys()) {
      if (this.countElsewhere(oldest, nowMs) > 0) return;
      this.elsewhere.delete(oldest);
    }
  }

  /** Returns true if one more connection closes another one. */
  isFull(user: string, here: number, nowMs: number): boolean {
    return here + this.countElsewhere(user, nowMs) >= this.max;
  }

  /**
   * Returns how many connections of the user this node closes: of those above the limit, its share,
   * because the other nodes close theirs. One always stays, so that the newest one wins.
   */
  surplus(user: string, here: number, nowMs: number): number {
    const all = here + this.countElsewhere(user, nowMs);
    if (here === 0 || all <= this.max) return 0;
    return Math.min(here - 1, Math.round(((all - this.max) * here) / all));
  }

  private countElsewhere(user: string, nowMs: number): number {
    let sum = 0;
    for (const { connections, untilMs } of this.elsewhere.get(user)?.values() ?? [])
      if (untilMs > nowMs) sum += connections;
    return sum;
  }
}
