/**
 * Decides when what waits in a lane leaves. A quiet lane sends at once; under load the pause
 * between two flushes stretches with what a flush costs, with how late the event loop runs our
 * timers, and shrinks again when they do.
 */
import type { Clock, Timer } from '../domain/clock.ts';

export interface CoalescerOptions {
  readonly clock: Clock;
  readonly tickMinMs: number;
  readonly tickMaxMs: number;
  /**
   * With fewer bytes waiting than `sparseBytes` the share of the loop counts for more than the
   * wait: then this is the longest pause.
   */
  readonly sparseBytes: number;
  readonly tickSparseMaxMs: number;
  /**
   * From this many bytes on waiting longer buys nothing: they leave as soon as the flush before is
   * written.
   */
  readonly fullBytes: number;
  /** The lane's flushes may take at most this share of the loop's time while less waits. */
  readonly flushShare: number;
  /** Sends what waits, or a part; returns the bytes that still wait. */
  readonly flush: () => number;
  /** Runs once what was flushed has been written. */
  readonly afterWrites: (run: () => void) => void;
  /**
   * How long a flush took, until its writes were out; of flushes in one turn of the loop, the
   * first.
   */
  readonly onFlush?: (elapsedMs: number) => void;
}

const LATENESS_WEIGHT = 2;
const SMOOTHING = 0.3;

export class Coalescer {
  private readonly options: CoalescerOptions;
  private lastFlushMs = Number.NEGATIVE_INFINITY;
  private dueMs = Number.POSITIVE_INFINITY;
  private timer: Timer | null = null;
  /**
   * The last flush is not written yet: the next one waits for it, so that a loop that is behind
   * sends fuller frames and not more of them.
   */
  private writing = false;
  private overdue = false;
  private costMs = 0;
  private latenessMs = 0;

  constructor(options: CoalescerOptions) {
    this.options = options;
  }

  /** The pause between two flushes right now, in milliseconds. */
  intervalMs(bytesWaiting = 0): number {
    const { tickMinMs, tickMaxMs, sparseBytes, tickSparseMaxMs, fullBytes, flushShare } = this.options;
    if (bytesWaiting >= fullBytes) return 0;
    const longestMs = bytesWaiting < sparseBytes ? tickSparseMaxMs : tickMaxMs;
    return Math.min(longestMs, Math.max(tickMinMs, this.costMs / flushShare, this.latenessMs * LATENESS_WEIGHT));
  }

  /** Something waits. Flushes now, or makes sure that it will. */
  poke(bytesWaiting: number): void {
    const { clock } = this.options;
    const now = clock.nowMs();
    const dueMs = this.lastFlushMs + this.intervalMs(bytesWaiting);
    if (dueMs <= now) {
      this.flushWhenWritten(now);
    } else if (dueMs < this.dueMs) {
      this.stop();
      this.dueMs = dueMs;
      this.timer = clock.setTimer(() => this.onTimer(), dueMs - now);
    }
  }

  /**
   * Another lane is about to write to the same viewers: what waits goes along, which costs no write
   * of its own, once the shortest pause is over.
   */
  flushAlong(): void {
    const { clock, tickMinMs, flush } = this.options;
    const now = clock.nowMs();
    if (this.timer === null || this.lastFlushMs + tickMinMs > now) return;
    this.stop();
    this.lastFlushMs = now;
    this.pokeForRest(flush());
  }

  /** Flushes whatever the tick says (a drain). */
  flushNow(): void {
    this.flush(this.options.clock.nowMs());
  }

  stop(): void {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.overdue = false;
  }

  private onTimer(): void {
    const now = this.options.clock.nowMs();
    this.latenessMs += SMOOTHING * (Math.max(0, now - this.dueMs) - this.latenessMs);
    this.flushWhenWritten(now);
  }

  private flushWhenWritten(now: number): void {
    if (this.writing) this.overdue = true;
    else this.flush(now);
  }

  private flush(now: number): void {
    this.stop();
    this.lastFlushMs = now;
    this.overdue = false;
    const left = this.options.flush();
    if (!this.writing) {
      this.writing = true;
      this.options.afterWrites(() => this.onWritten(now));
    }
    this.pokeForRest(left);
  }

  private onWritten(flushedMs: number): void {
    this.writing = false;
    const elapsedMs = this.options.clock.nowMs() - flushedMs;
    this.costMs += SMOOTHING * (elapsedMs - this.costMs);
    this.options.onFlush?.(elapsedMs);
    if (this.overdue) this.flush(this.options.clock.nowMs());
  }

  private pokeForRest(bytesWaiting: number): void {
    if (bytesWaiting > 0) this.poke(bytesWaiting);
  }
}
