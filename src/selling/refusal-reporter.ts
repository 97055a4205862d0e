/**
 * Reports a node's local refusals to the ledger: how many, why, and by which revision. At most once
 * per second, so that a rush of refusals costs Redis almost nothing.
 */

import type { Clock, Timer } from '../domain/clock.ts';
import type { RefusalReport, ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import type { ErrorCode } from '../protocol/codes.ts';

export interface RefusalReporterOptions {
  readonly showId: string;
  readonly node: string;
  readonly log: Pick<ShowLog, 'reportRefusals'>;
  readonly clock: Clock;
  /** Redis time. */
  readonly now: () => number;
}

export class RefusalReporter {
  private readonly options: RefusalReporterOptions;
  private waiting = new Map<string, RefusalReport & { count: number }>();
  private timer: Timer | null = null;
  private running: Promise<void> | null = null;

  constructor(options: RefusalReporterOptions) {
    this.options = options;
  }

  /** Counts a refusal by sale, code and revision. A sale that does not exist has no ledger. */
  add(sale: string, code: ErrorCode, { offset, rev }: { readonly offset: number; readonly rev: number }): void {
    if (code === 'sale_not_found') return;
    const key = `${sale}/${code}/${rev}`;
    const before = this.waiting.get(key);
    if (before !== undefined) {
      before.count += 1;
      return;
    }
    if (this.waiting.size >= LIMITS.refusalReportsMax) void this.report();
    this.waiting.set(key, { sale, code, offset, rev, count: 1 });
    this.timer ??= this.options.clock.setTimer(() => {
      this.timer = null;
      if (this.waiting.size > 0) void this.report();
    }, LIMITS.countsTickMs);
  }

  /** Reports what is left. */
  async close(): Promise<void> {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
    await this.running;
    if (this.waiting.size > 0) await this.report();
  }

  /** Failed reports are dropped: they are statistics, and no stock depends on them. */
  private report(): Promise<void> {
    const { log, showId, node, now } = this.options;
    const reports = [...this.waiting.values()];
    this.waiting = new Map();
    const running = log
      .reportRefusals(showId, node, now(), reports)
      .catch(() => null)
      .then(() => {
        if (this.running === running) this.running = null;
      });
    this.running = running;
    return running;
  }
}
