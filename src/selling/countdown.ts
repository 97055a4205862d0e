/** Ticks once per second while a sale of the room counts down and the room has viewers. */

import type { Clock, Timer } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { Countdown, SaleView } from '../protocol/messages.ts';

export interface CountdownTickerOptions {
  readonly clock: Clock;
  /** Redis time. */
  readonly now: () => number;
  readonly sales: () => Iterable<SaleView>;
  readonly hasViewers: () => boolean;
  readonly onTick: (countdowns: Countdown[]) => void;
}

/** Returns the countdowns of a moment: to the opening of scheduled sales, to the close of open ones. */
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

  /** Starts ticking if it does not run and there is something to count down. */
  start(): void {
    if (this.timer !== null || !this.options.hasViewers()) return;
    const { clock, sales, now } = this.options;
    const nowMs = now();
    const countdowns = countdownsAt(sales(), nowMs);
    if (countdowns.length === 0) return;
    const nearestMs = Math.min(...countdowns.map(({ remainingMs }) => remainingMs));
    // On whole seconds before the nearest moment: clients then show round numbers.
    this.timer = clock.setTimer(() => this.tick(), nearestMs % LIMITS.countdownTickMs || LIMITS.countdownTickMs);
  }

  stop(): void {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
  }

  private tick(): void {
    this.timer = null;
    const countdowns = countdownsAt(this.options.sales(), this.options.now());
    if (countdowns.length > 0 && this.options.hasViewers()) this.options.onTick(countdowns);
    this.start();
  }
}
