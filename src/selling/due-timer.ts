/**
 * Calls the script that does what is due, at the right moment. The Redis clock decides; the timer
 * only makes the call. All nodes with viewers call, a few milliseconds apart: the first call does
 * the work.
 */
import { Alarm, type Clock } from '../domain/clock.ts';
import type { Health } from '../domain/health.ts';
import type { Scheduler } from '../domain/schedule.ts';
import { fail, type Result } from '../protocol/codes.ts';

export interface DueTimerOptions {
  readonly showId: string;
  readonly store: Pick<Scheduler, 'tick'> & Pick<Health, 'now'>;
  readonly clock: Clock;
  /** Added to each due moment, so that nodes do not call at once. */
  readonly delayMs: number;
  /** Revision of the replica: a result is only applied if no commit arrived during the call. */
  readonly rev: () => number;
  readonly onNextDue: (nextDueAt: number | null) => void;
}

const DELAY_MAX_MS = 8;
/** Timers do not run while this host is suspended, and the Redis clock may be set. */
const WAIT_MAX_MS = 5_000;
const RETRY_MIN_MS = 5;
const RETRY_MAX_MS = 250;

/** Returns a delay of 0 to 7 ms: always the same for a node, different between most nodes. */
export function delayOfNode(node: string): number {
  let sum = 0;
  for (let i = 0; i < node.length; i += 1) sum = (sum * 31 + node.charCodeAt(i)) >>> 0;
  return sum % DELAY_MAX_MS;
}

export class DueTimer {
  private readonly options: DueTimerOptions;
  private readonly alarm: Alarm;
  private dueAt: number | null = null;
  private isCalling = false;
  private setDuringCall: { readonly dueAt: number | null } | null = null;
  private isStopped = false;
  private retryMs = RETRY_MIN_MS;

  constructor(options: DueTimerOptions) {
    this.options = options;
    this.alarm = new Alarm(options.clock, () => this.onAlarm());
  }

  /** Sets the next due moment on the Redis clock; null = nothing planned. */
  set(dueAt: number | null): void {
    if (this.isCalling) {
      this.setDuringCall = { dueAt };
      return;
    }
    if (dueAt === this.dueAt && this.alarm.isSet) return;
    this.dueAt = dueAt;
    this.retryMs = RETRY_MIN_MS;
    this.arm(0);
  }

  stop(): void {
    this.isStopped = true;
    this.alarm.clear();
  }

  private arm(pauseMs: number): void {
    this.alarm.clear();
    if (this.dueAt === null || this.isStopped) return;
    const { store, delayMs } = this.options;
    const waitMs = Math.max(pauseMs, this.dueAt - store.now() + delayMs);
    this.alarm.set(Math.min(WAIT_MAX_MS, waitMs));
  }

  private onAlarm(): void {
    if (this.dueAt !== null && this.options.store.now() < this.dueAt) this.arm(1);
    else void this.call();
  }

  private async call(): Promise<void> {
    const { store, showId, onNextDue, rev } = this.options;
    const calledFor = this.dueAt;
    const revBefore = rev();
    this.isCalling = true;
    const result = await store.tick(showId).catch((): Result<never> => fail('internal'));
    this.isCalling = false;
    const newer = this.setDuringCall;
    this.setDuringCall = null;
    if (this.isStopped) return;
    if (newer !== null) {
      // A commit arrived, older or newer than the result: the earlier moment is the safe one.
      this.dueAt = result.ok ? earlier(newer.dueAt, result.value.nextDueAt) : newer.dueAt;
      return this.arm(this.backOffIf(this.dueAt === calledFor));
    }
    if (!result.ok) return this.arm(this.backOffIf(true));
    const { done, nextDueAt } = result.value;
    this.dueAt = nextDueAt;
    if (rev() === revBefore) onNextDue(nextDueAt);
    // Nothing was done and it is still due: the local clock is ahead. A call at once would spin.
    this.arm(this.backOffIf(done === 0 && nextDueAt === calledFor));
  }

  private backOffIf(isSpinning: boolean): number {
    const pauseMs = isSpinning ? this.retryMs : 0;
    this.retryMs = isSpinning ? Math.min(RETRY_MAX_MS, this.retryMs * 2) : RETRY_MIN_MS;
    return pauseMs;
  }
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}
