/**
 * Calls the script that does what time made due, on the dot. Redis' clock decides; this timer only
 * makes somebody ask at the right moment. Every node with viewers asks, a few milliseconds apart;
 * the first one does the work and the others find it done.
 */

import { type Clock, TIMER_DELAY_MAX_MS, type Timer } from '../domain/clock.ts';
import type { Health } from '../domain/health.ts';
import type { Scheduler } from '../domain/schedule.ts';

export interface DueTimerOptions {
  readonly showId: string;
  readonly store: Pick<Scheduler, 'tick'> & Pick<Health, 'now'>;
  readonly clock: Clock;
  /** This node's place in the spread, milliseconds. */
  readonly delayMs: number;
  /**
   * The view's revision: an answer of Redis is only worth telling while no commit came in between.
   */
  readonly rev: () => number;
  readonly onNextDue: (nextDueAt: number | null) => void;
}

const SPREAD_MAX_MS = 8;
const RETRY_MIN_MS = 5;
const RETRY_MAX_MS = 250;

/** Where a node stands in the spread: the same every time, different between most nodes. */
export function delayOfNode(node: string): number {
  let sum = 0;
  for (let i = 0; i < node.length; i += 1) sum = (sum * 31 + node.charCodeAt(i)) >>> 0;
  return sum % SPREAD_MAX_MS;
}

export class DueTimer {
  private readonly options: DueTimerOptions;
  private timer: Timer | null = null;
  private dueAt: number | null = null;
  private asking = false;
  private setWhileAsking: { readonly dueAt: number | null } | null = null;
  private stopped = false;
  private retryMs = RETRY_MIN_MS;

  constructor(options: DueTimerOptions) {
    this.options = options;
  }

  /** The next moment something falls due (Redis clock), null = nothing planned. */
  set(dueAt: number | null): void {
    if (this.asking) {
      this.setWhileAsking = { dueAt };
      return;
    }
    if (dueAt === this.dueAt && this.timer !== null) return;
    this.dueAt = dueAt;
    this.retryMs = RETRY_MIN_MS;
    this.arm(0);
  }

  stop(): void {
    this.stopped = true;
    this.disarm();
  }

  private disarm(): void {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
  }

  private arm(pauseMs: number): void {
    this.disarm();
    if (this.dueAt === null || this.stopped) return;
    const { clock, store, delayMs } = this.options;
    const waitMs = Math.min(TIMER_DELAY_MAX_MS, Math.max(pauseMs, this.dueAt - store.now() + delayMs));
    this.timer = clock.setTimer(() => {
      this.timer = null;
      if (this.dueAt !== null && store.now() < this.dueAt) this.arm(1);
      else void this.ask();
    }, waitMs);
  }

  private async ask(): Promise<void> {
    const { store, showId, onNextDue, rev } = this.options;
    const askedFor = this.dueAt;
    const revBefore = rev();
    this.asking = true;
    const result = await store.tick(showId);
    this.asking = false;
    const news = this.setWhileAsking;
    this.setWhileAsking = null;
    if (this.stopped) return;
    if (news !== null) {
      // A commit spoke meanwhile. It may be older or newer than our answer: the earlier moment is
      // the safe one.
      this.dueAt = result.ok ? earlier(news.dueAt, result.value.nextDueAt) : news.dueAt;
      this.arm(this.backOffWhen(this.dueAt === askedFor));
      return;
    }
    if (!result.ok) {
      this.arm(this.backOffWhen(true));
      return;
    }
    const { done, nextDueAt } = result.value;
    this.dueAt = nextDueAt;
    if (rev() === revBefore) onNextDue(nextDueAt);
    // Still due though nothing was done: our clock runs ahead of Redis'. Asking again at once would
    // spin.
    this.arm(this.backOffWhen(done === 0 && nextDueAt === askedFor));
  }

  private backOffWhen(spinning: boolean): number {
    if (!spinning) {
      this.retryMs = RETRY_MIN_MS;
      return 0;
    }
    const pauseMs = this.retryMs;
    this.retryMs = Math.min(RETRY_MAX_MS, this.retryMs * 2);
    return pauseMs;
  }
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
