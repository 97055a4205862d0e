/** Outgoing state: only the newest value of each thing is queued: a late lane costs one frame. */
import type { Counts } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import type { Countdown, SaleStateView, SaleView, StateView } from '../protocol/messages.ts';
import type { LaneOptions } from './chat-lane.ts';
import { Coalescer } from './coalescer.ts';
import { splicedFrame } from './frames.ts';

/** During a rush the event loop is needed for reserves: large rooms get state less often. */
const FLUSH_SHARE = 0.03;

export class StateLane {
  private readonly options: LaneOptions;
  private readonly coalescer: Coalescer;
  private sales = new Map<string, SaleStateView>();
  private counts: Counts | null = null;
  private countdowns: Countdown[] | null = null;

  constructor(options: LaneOptions) {
    this.options = options;
    const { clock, afterWrites, onFlush } = options;
    this.coalescer = new Coalescer({
      clock,
      tickMinMs: LIMITS.stateTickMs,
      tickMaxMs: LIMITS.stateTickMaxMs,
      sparseBytes: 0,
      tickSparseMaxMs: LIMITS.stateTickMaxMs,
      fullBytes: Number.POSITIVE_INFINITY,
      flushShare: FLUSH_SHARE,
      flush: () => this.flush(),
      afterWrites,
      ...(onFlush ? { onFlush } : {}),
    });
  }

  /** Queues values of changed sales. Later values replace earlier ones, SKU by SKU. */
  pushSales(changed: readonly SaleStateView[]): void {
    if (changed.length === 0) return;
    for (const state of changed) {
      const before = this.sales.get(state.id);
      if (before !== undefined && before.rev > state.rev) continue;
      this.sales.set(state.id, before === undefined ? state : { ...state, left: { ...before.left, ...state.left } });
    }
    this.coalescer.poke(0);
  }

  /** An event carries the whole sale: older values are dropped. */
  supersede({ id, rev }: SaleView): void {
    const queued = this.sales.get(id);
    if (queued !== undefined && queued.rev <= rev) this.sales.delete(id);
  }

  pushCounts(counts: Counts): void {
    this.counts = counts;
    this.coalescer.poke(0);
  }

  /** Sends countdowns at once, because they are about this moment, and with them what is queued. */
  pushCountdowns(countdowns: Countdown[]): void {
    this.countdowns = countdowns;
    this.coalescer.flushNow();
  }

  /** Chat is about to be written to all viewers: queued state is sent with it. */
  flushAlong(): void {
    this.coalescer.flushAlong();
  }

  clear(): void {
    this.sales.clear();
    this.counts = null;
    this.countdowns = null;
    this.coalescer.stop();
  }

  private flush(): number {
    const state: StateView = {};
    if (this.counts !== null) Object.assign(state, this.counts);
    if (this.sales.size > 0) state.sales = [...this.sales.values()];
    if (this.countdowns !== null) state.countdowns = this.countdowns;
    this.clear();
    const { groups, encodes, now } = this.options;
    if (groups.viewers > 0 && Object.keys(state).length > 0)
      groups.publish('main', splicedFrame({ at: now(), state }, encodes));
    return 0;
  }
}
