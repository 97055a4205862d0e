/**
 * Decides when a lane is flushed. A quiet lane sends at once. Under load the pause between flushes
 * grows with their cost and with the lateness of timers, and shrinks again with them.
 */
import { Alarm, type Clock } from '../domain/clock.ts';

export interface CoalescerOptions {
  readonly clock: Clock;
  readonly tickMinMs: number;
  readonly tickMaxMs: number;
  /** With fewer queued bytes than `sparseBytes` the pause may grow to `tickSparseMaxMs`. */
  readonly sparseBytes: number;
  readonly tickSparseMaxMs: number;
  /** This many queued bytes are sent as soon as the flush before is written. */
  readonly fullBytes: number;
  /** Flushes may take at most this share of the event loop's time while less is queued. */
  readonly flushShare: number;
  /** Sends what is queued, or a part; returns the bytes that are still queued. */
  readonly flush: () => number;
  /** Runs once what was flushed has been written. */
  readonly afterWrites: (run: () => void) => void;
  /** Called with the time until the writes were done; once for flushes in the same turn. */
  readonly onFlush?: (elapsedMs: number) => void;
}

const LATENESS_WEIGHT = 2;
const SMOOTHING = 0.3;

export class Coalescer {
  private readonly options: CoalescerOptions;
  private readonly alarm: Alarm;
  private lastFlushMs = Number.NEGATIVE_INFINITY;
  private dueMs = Number.POSITIVE_INFINITY;
  /** The last flush is not written yet. The next one waits: a busy loop sends fuller frames. */
  private isWriting = false;
  private isOverdue = false;
  private costMs = 0;
  private latenessMs = 0;

  constructor(options: CoalescerOptions) {
    this.options = options;
    this.alarm = new Alarm(options.clock, () => this.onAlarm());
  }

  /** Returns the current pause between two flushes. */
  intervalMs(queuedBytes = 0): number {
    const { tickMinMs, tickMaxMs, sparseBytes, tickSparseMaxMs, fullBytes, flushShare } = this.options;
    if (queuedBytes >= fullBytes) return 0;
    const longestMs = queuedBytes < sparseBytes ? tickSparseMaxMs : tickMaxMs;
    return Math.min(longestMs, Math.max(tickMinMs, this.costMs / flushShare, this.latenessMs * LATENESS_WEIGHT));
  }

  /** Something is queued: flushes now, or schedules a flush. */
  poke(queuedBytes: number): void {
    const nowMs = this.options.clock.nowMs();
    const dueMs = this.lastFlushMs + this.intervalMs(queuedBytes);
    if (dueMs <= nowMs) {
      this.flushWhenWritten(nowMs);
    } else if (dueMs < this.dueMs) {
      this.stop();
      this.dueMs = dueMs;
      this.alarm.set(dueMs - nowMs);
    }
  }

  /** Another lane writes to the same viewers: flushes with it after the shortest pause. */
  flushAlong(): void {
    const { clock, tickMinMs, flush } = this.options;
    const nowMs = clock.nowMs();
    if ((!this.alarm.isSet && !this.isOverdue) || this.lastFlushMs + tickMinMs > nowMs) return;
    this.stop();
    this.lastFlushMs = nowMs;
    this.pokeForRest(flush());
  }

  /** Flushes without waiting for the tick. */
  flushNow(): void {
    this.flush(this.options.clock.nowMs());
  }

  stop(): void {
    this.alarm.clear();
    this.dueMs = Number.POSITIVE_INFINITY;
    this.isOverdue = false;
  }

  private onAlarm(): void {
    const nowMs = this.options.clock.nowMs();
    this.latenessMs += SMOOTHING * (Math.max(0, nowMs - this.dueMs) - this.latenessMs);
    this.flushWhenWritten(nowMs);
  }

  private flushWhenWritten(nowMs: number): void {
    if (this.isWriting) this.isOverdue = true;
    else this.flush(nowMs);
  }

  private flush(nowMs: number): void {
    this.stop();
    this.lastFlushMs = nowMs;
    const left = this.options.flush();
    if (!this.isWriting) {
      this.isWriting = true;
      this.options.afterWrites(() => this.onWritten(nowMs));
    }
    this.pokeForRest(left);
  }

  private onWritten(flushedMs: number): void {
    this.isWriting = false;
    const elapsedMs = this.options.clock.nowMs() - flushedMs;
    this.costMs += SMOOTHING * (elapsedMs - this.costMs);
    this.options.onFlush?.(elapsedMs);
    if (this.isOverdue) this.flush(this.options.clock.nowMs());
  }

  private pokeForRest(queuedBytes: number): void {
    if (queuedBytes > 0) this.poke(queuedBytes);
  }
}
