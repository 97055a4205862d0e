/**
 * State on its way out: only the newest value of each thing waits, so a lane that is behind costs
 * no more than one frame.
 */

import type { Clock } from '../domain/clock.ts';
import type { Counts } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import type { Countdown, SaleStateView, SaleView, StateView } from '../protocol/messages.ts';
import type { BroadcastGroups } from './broadcast-groups.ts';
import { Coalescer } from './coalescer.ts';
import { type EncodeCounts, splicedFrame } from './frames.ts';

export interface StateLaneOptions {
  readonly clock: Clock;
  readonly groups: BroadcastGroups;
  /** Runs once what was published has been written. */
  readonly afterWrites: (run: () => void) => void;
  readonly encodes: EncodeCounts;
  /** Redis time. */
  readonly now: () => number;
  readonly onFlush?: (elapsedMs: number) => void;
}

/** State has no queue, only values; with this the byte rule of the coalescer never fires. */
const NEVER_FULL = Number.POSITIVE_INFINITY;
const STATE_SHARE = 0.03;

export class StateLane {
  private readonly options: StateLaneOptions;
  private readonly coalescer: Coalescer;
  private sales = new Map<string, SaleStateView>();
  private counts: Counts | null = null;
  private countdowns: Countdown[] | null = null;
  private waiting = false;

  constructor(options: StateLaneOptions) {
    this.options = options;
    this.coalescer = new Coalescer({
      clock: options.clock,
      tickMinMs: LIMITS.stateTickMs,
      tickMaxMs: LIMITS.stateTickMaxMs,
      sparseBytes: 0,
      tickSparseMaxMs: LIMITS.stateTickMaxMs,
      fullBytes: NEVER_FULL,
      // In a rush the loop belongs to those who press: in a large room the numbers on the screens
      // come less often.
      flushShare: STATE_SHARE,
      flush: () => {
        this.flush();
        return 0;
      },
      afterWrites: options.afterWrites,
      ...(options.onFlush ? { onFlush: options.onFlush } : {}),
    });
  }

  /** Values of sales that changed; later ones replace earlier ones SKU by SKU. */
  pushSales(changed: readonly SaleStateView[]): void {
    if (changed.length === 0) return;
    for (const state of changed) {
      const before = this.sales.get(state.id);
      if (before !== undefined && before.rev > state.rev) continue;
      this.sales.set(state.id, before === undefined ? state : { ...state, left: { ...before.left, ...state.left } });
    }
    this.poke();
  }

  /** An event just told everybody the whole sale: older values of it need not follow. */
  supersede(sale: SaleView): void {
    const waiting = this.sales.get(sale.id);
    if (waiting !== undefined && waiting.rev <= sale.rev) this.sales.delete(sale.id);
  }

  pushCounts(counts: Counts): void {
    this.counts = counts;
    this.poke();
  }

  pushCountdowns(countdowns: Countdown[]): void {
    this.countdowns = countdowns;
    // A countdown is about this moment: it does not wait for the tick, and takes along what waits.
    this.waiting = true;
    this.coalescer.flushNow();
  }

  /** Chat is about to be written to everybody: what waits here goes along. */
  flushAlong(): void {
    this.coalescer.flushAlong();
  }

  clear(): void {
    this.sales.clear();
    this.counts = null;
    this.countdowns = null;
    this.waiting = false;
    this.coalescer.stop();
  }

  private poke(): void {
    this.waiting = true;
    this.coalescer.poke(0);
  }

  private flush(): void {
    if (!this.waiting) return;
    const state: StateView = {};
    if (this.counts !== null) Object.assign(state, this.counts);
    if (this.sales.size > 0) state.sales = [...this.sales.values()];
    if (this.countdowns !== null) state.countdowns = this.countdowns;
    this.clear();
    const { groups, encodes, now } = this.options;
    if (groups.viewers === 0 || Object.keys(state).length === 0) return;
    groups.publish('main', splicedFrame({ at: now(), state }, encodes));
  }
}
