/**
 * Reports a node's local refusals to the ledger: how many, why, and by which revision. At most once
 * per second, so that a rush of refusals costs Redis almost nothing.
 */
import { Alarm, type Clock } from '../domain/clock.ts';
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
  private readonly alarm: Alarm;
  private running: Promise<void> | null = null;

  constructor(options: RefusalReporterOptions) {
    this.options = options;
    this.alarm = new Alarm(options.clock, () => void this.report());
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
    if (!this.alarm.isSet) this.alarm.set(LIMITS.countsTickMs);
  }

  /** Reports what is left. */
  async close(): Promise<void> {
    this.alarm.clear();
    await this.running;
    await this.report();
  }

  /** Failed reports are dropped: they are statistics, and no stock depends on them. */
  private report(): Promise<void> {
    if (this.waiting.size === 0) return Promise.resolve();
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
