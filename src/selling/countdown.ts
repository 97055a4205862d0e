/**
 * The tick of a countdown, each second, while a sale of the room counts down and somebody listens.
 */

import type { Clock, Timer } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { Countdown, SaleView } from '../protocol/messages.ts';

export interface CountdownTickerOptions {
  readonly clock: Clock;
  /** Redis time. */
  readonly now: () => number;
  readonly sales: () => Iterable<SaleView>;
  readonly listening: () => boolean;
  readonly onTick: (countdowns: Countdown[]) => void;
}

/** What counts down at a moment: to the opening of scheduled sales, to the closing of open ones. */
export function countdownsAt(sales: Iterable<SaleView>, nowMs: number): Countdown[] {
  const found: Countdown[] = [];
  for (const { id, state, opensAt, closesAt } of sales) {
    const to = state === 'scheduled' ? 'open' : 'close';
    const at = state === 'scheduled' ? opensAt : state === 'open' || state === 'paused' ? closesAt : null;
    if (at === null || at <= nowMs || at - nowMs > LIMITS.countdownHorizonMs) continue;
    found.push({ sale: id, to, at, remainingMs: at - nowMs });
  }
  return found;
}

export class CountdownTicker {
  private readonly options: CountdownTickerOptions;
  private timer: Timer | null = null;

  constructor(options: CountdownTickerOptions) {
    this.options = options;
  }

  /** Sales changed, or somebody came: starts the tick if there is something to count. */
  refresh(): void {
    if (this.timer !== null || !this.options.listening()) return;
    const nowMs = this.options.now();
    const nearest = countdownsAt(this.options.sales(), nowMs).reduce<number | null>(
      (least, { at }) => (least === null || at < least ? at : least),
      null,
    );
    if (nearest === null) return;
    // On whole seconds before the nearest moment, so that clients that only show the number show
    // round ones.
    const waitMs = (nearest - nowMs) % LIMITS.countdownTickMs || LIMITS.countdownTickMs;
    this.timer = this.options.clock.setTimer(() => this.tick(), waitMs);
  }

  stop(): void {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
  }

  private tick(): void {
    this.timer = null;
    const countdowns = countdownsAt(this.options.sales(), this.options.now());
    if (countdowns.length > 0 && this.options.listening()) this.options.onTick(countdowns);
    this.refresh();
  }
}
