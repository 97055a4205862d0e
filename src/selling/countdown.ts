/** Ticks once per second while a sale of the room counts down and the room has viewers. */
import { Alarm, type Clock } from '../domain/clock.ts';
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

/** Returns the countdowns: to the opening of scheduled sales, to the close of open ones. */
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
  private readonly alarm: Alarm;

  constructor(options: CountdownTickerOptions) {
    this.options = options;
    this.alarm = new Alarm(options.clock, () => this.tick());
  }

  /** Starts ticking if it does not run and there is something to count down. */
  start(): void {
    if (this.alarm.isSet || !this.options.hasViewers()) return;
    const countdowns = countdownsAt(this.options.sales(), this.options.now());
    if (countdowns.length === 0) return;
    const nearestMs = Math.min(...countdowns.map(({ remainingMs }) => remainingMs));
    // On whole seconds before the nearest moment: clients then show round numbers.
    this.alarm.set(nearestMs % LIMITS.countdownTickMs || LIMITS.countdownTickMs);
  }

  stop(): void {
    this.alarm.clear();
  }

  private tick(): void {
    const countdowns = countdownsAt(this.options.sales(), this.options.now());
    if (countdowns.length > 0 && this.options.hasViewers()) this.options.onTick(countdowns);
    this.start();
  }
}
