/**
 * What a node reports about one room: its viewers, and the hearts and the people new to it since
 * the last report. Nobody lists members.
 */

import type { Clock, Timer } from '../domain/clock.ts';
import type { CountsResult, ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';

export interface CountsReporterOptions {
  readonly showId: string;
  readonly node: string;
  readonly log: Pick<ShowLog, 'reportCounts'>;
  readonly clock: Clock;
  readonly onResult: (answer: CountsResult) => void;
  /** There is no such show any more. */
  readonly onGone: () => void;
}

/**
 * A node's number lapses after `nodeCountsTtlMs`; saying it again well before keeps it alive when
 * nothing changes.
 */
const REPEAT_MS = LIMITS.nodeCountsTtlMs / 3;

export class CountsReporter {
  private readonly options: CountsReporterOptions;
  private viewers = 0;
  private hearts = 0;
  /** Not reported yet. */
  private readonly newcomers = new Set<string>();
  private reported: number | null = null;
  private lastReportMs = Number.NEGATIVE_INFINITY;
  private timer: Timer | null = null;
  private dueMs = 0;
  private running: Promise<void> | null = null;
  private closed = false;

  constructor(options: CountsReporterOptions) {
    this.options = options;
  }

  setViewers(viewers: number): void {
    this.viewers = viewers;
    this.arm();
  }

  /** Somebody this node did not know. Should more wait than may, some are not counted. */
  addNewcomer(user: string): void {
    if (this.newcomers.size < LIMITS.uniquesWaitingMax) this.newcomers.add(user);
    this.arm();
  }

  addHearts(count: number): void {
    this.hearts += count;
    this.arm();
  }

  /** Says "nobody here" once, so that the sum is right at once and not after the time to live. */
  async close(): Promise<void> {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
    this.closed = true;
    this.viewers = 0;
    await this.running;
    if ((this.reported ?? 0) !== 0 || this.newcomers.size > 0) await this.report();
  }

  private get changed(): boolean {
    return this.hearts > 0 || this.newcomers.size > 0 || this.viewers !== (this.reported ?? 0);
  }

  private arm(): void {
    if (this.closed || this.running !== null || (!this.changed && this.viewers === 0)) return;
    const { clock } = this.options;
    const dueMs = this.lastReportMs + (this.changed ? LIMITS.countsTickMs : REPEAT_MS);
    if (this.timer !== null) {
      if (this.dueMs <= dueMs) return;
      clock.clearTimer(this.timer);
    }
    this.dueMs = dueMs;
    this.timer = clock.setTimer(
      () => {
        this.timer = null;
        void this.report();
      },
      Math.max(0, dueMs - clock.nowMs()),
    );
  }

  private report(): Promise<void> {
    const { log, showId, node, clock, onResult, onGone } = this.options;
    const { viewers, hearts } = this;
    const newcomers = [...take(this.newcomers, LIMITS.uniquesPerReportMax)];
    this.lastReportMs = clock.nowMs();
    this.hearts = 0;
    this.running = log
      .reportCounts(showId, node, viewers, hearts, newcomers)
      .catch(() => null)
      .then((result) => {
        this.running = null;
        if (result?.ok) {
          this.reported = viewers;
          for (const user of newcomers) this.newcomers.delete(user);
          onResult(result.value);
        } else {
          // Hearts of a report whose answer was lost may be counted twice; of one that failed none
          // is lost.
          this.hearts += hearts;
          if (result?.error.code === 'show_not_found') onGone();
        }
        this.arm();
      });
    return this.running;
  }
}

function* take<T>(values: Iterable<T>, most: number): Generator<T> {
  let left = most;
  for (const value of values) {
    if (left-- <= 0) return;
    yield value;
  }
}
