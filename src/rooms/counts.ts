/**
 * Reports viewers of one room on this node, connections of users who have many, and hearts, new
 * users and requests of busy users since the last report.
 */
import { Alarm, type Clock } from '../domain/clock.ts';
import type { CountsResult, ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { isClosed } from '../protocol/codes.ts';

export interface CountsReporterOptions {
  readonly showId: string;
  readonly node: string;
  readonly log: Pick<ShowLog, 'reportCounts'>;
  readonly clock: Clock;
  readonly onResult: (result: CountsResult) => void;
  /** Whether results are needed each second, though nothing has changed here. */
  readonly areResultsNeeded: () => boolean;
  /** This node can no longer serve the show. */
  readonly onGone: () => void;
  readonly onUnexpected: (error: unknown) => void;
}

/** Counts of a node expire after `nodeCountsTtlMs`; unchanged ones are repeated before. */
const REPEAT_MS = LIMITS.nodeCountsTtlMs / 3;

export class CountsReporter {
  private readonly options: CountsReporterOptions;
  private viewers = 0;
  private hearts = 0;
  /** Users that are not reported yet. */
  private readonly newcomers = new Set<string>();
  /** Requests of busy users that are not reported yet. */
  private busy = new Map<string, number>();
  /** Connections of users who have many, and which of them are not reported yet. */
  private readonly connections = new Map<string, number>();
  private unreported = new Set<string>();
  private repeatedMs = Number.NEGATIVE_INFINITY;
  private reportedViewers = 0;
  private lastReportMs = Number.NEGATIVE_INFINITY;
  private readonly alarm: Alarm;
  private dueMs = 0;
  private running: Promise<void> | null = null;
  private isClosed = false;

  constructor(options: CountsReporterOptions) {
    this.options = options;
    this.alarm = new Alarm(options.clock, () => void this.report());
  }

  setViewers(viewers: number): void {
    this.viewers = viewers;
    this.schedule();
  }

  /** Adds a user this node did not know. Above `uniquesWaitingMax` some are not counted. */
  addNewcomer(user: string): void {
    if (this.newcomers.size < LIMITS.uniquesWaitingMax) this.newcomers.add(user);
    this.schedule();
  }

  /** Adds accepted requests of a user, for the nodes where they are connected, too. */
  addRequests(user: string, count: number): void {
    const before = this.busy.get(user) ?? 0;
    if (before === 0 && this.busy.size >= LIMITS.busyUsersWaitingMax) return;
    this.busy.set(user, before + count);
    this.schedule();
  }

  /** Reports the connections of a user here, again before other nodes forget them; 0 ends it. */
  setConnections(user: string, count: number): void {
    if (this.connections.get(user) === count || (count === 0 && !this.connections.has(user))) return;
    this.connections.set(user, count);
    this.unreported.add(user);
    this.schedule();
  }

  addHearts(count: number): void {
    this.hearts += count;
    this.schedule();
  }

  /** Reports 0 viewers, so that the sum is right at once and not only after the time to live. */
  async close(): Promise<void> {
    this.alarm.clear();
    this.isClosed = true;
    this.viewers = 0;
    await this.running;
    if (this.reportedViewers !== 0 || this.newcomers.size > 0) await this.report();
  }

  /** Schedules the next report. Call it when results are needed from now on. */
  schedule(): void {
    const isMore = this.hearts > 0 || this.newcomers.size > 0 || this.busy.size + this.unreported.size > 0;
    const hasChanged = isMore || this.viewers !== this.reportedViewers;
    if (this.isClosed || this.running !== null || (!hasChanged && this.viewers === 0)) return;
    const { clock, areResultsNeeded } = this.options;
    const pauseMs = hasChanged || areResultsNeeded() ? LIMITS.countsTickMs : REPEAT_MS;
    const dueMs = this.lastReportMs + pauseMs;
    if (this.alarm.isSet && this.dueMs <= dueMs) return;
    this.dueMs = dueMs;
    this.alarm.set(Math.max(0, dueMs - clock.nowMs()));
  }

  private report(): Promise<void> {
    const { log, showId, node, clock, onResult, onGone, onUnexpected } = this.options;
    const { viewers, hearts } = this;
    const newcomers = [...this.newcomers].slice(0, LIMITS.uniquesPerReportMax);
    this.lastReportMs = clock.nowMs();
    const busy = [...busiest(this.busy), ...this.takeConnections()];
    this.hearts = 0;
    this.busy = new Map();
    this.running = log
      .reportCounts(showId, node, viewers, hearts, newcomers, busy)
      .catch(() => null)
      .then((result) => {
        this.running = null;
        if (result?.ok) {
          this.reportedViewers = viewers;
          for (const user of newcomers) this.newcomers.delete(user);
          onResult(result.value);
        } else {
          // Rather counted twice, if the reply was lost, than not at all.
          this.hearts += hearts;
          if (result && isClosed(result.error.code)) onGone();
        }
        this.schedule();
      })
      .catch(onUnexpected);
    return this.running;
  }

  /** Returns rows of a report; what does not fit waits for the next one. */
  private takeConnections(): Array<readonly [user: string, requests: number, connections: number]> {
    if (this.lastReportMs - this.repeatedMs >= REPEAT_MS) {
      this.repeatedMs = this.lastReportMs;
      for (const user of this.connections.keys()) this.unreported.add(user);
    }
    return [...this.unreported].slice(0, LIMITS.busyUsersPerReportMax).map((user) => {
      const count = this.connections.get(user) ?? 0;
      this.unreported.delete(user);
      if (count === 0) this.connections.delete(user);
      return [user, 0, count] as const;
    });
  }
}

function busiest(users: ReadonlyMap<string, number>): Array<readonly [user: string, requests: number]> {
  const entries = [...users];
  if (entries.length > LIMITS.busyUsersPerReportMax) entries.sort(([, one], [, other]) => other - one);
  return entries.slice(0, LIMITS.busyUsersPerReportMax);
}
