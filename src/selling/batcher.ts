/**
 * Reserve requests of one show on their way to Redis. A request goes out at once when nothing is in
 * flight; what arrives meanwhile goes together in the next call, because one call for many costs a
 * fraction per decision. Everything is bounded: requests a call, calls in flight, requests waiting.
 */

import type { Clock } from '../domain/clock.ts';
import type { Decision, ReservationStore, ReserveRequest } from '../domain/reservation.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, fail, failure, type Result } from '../protocol/codes.ts';

/**
 * A request as it waits; whoever asks makes one object of it and of what they need at the answer,
 * because there are tens of thousands a second.
 */
export interface QueuedReserve extends ReserveRequest {
  /** Set by the batcher, on its clock. */
  enqueuedMs: number;
}

export interface ReserveBatcherOptions<W extends QueuedReserve> {
  readonly showId: string;
  /** This room, for commits to name. */
  readonly origin: string;
  readonly store: Pick<ReservationStore, 'reserve'>;
  readonly clock: Clock;
  readonly onBatch?: (size: number) => void;
  /** Called exactly once for each request. */
  readonly onDecided: (waiting: W, result: Result<Decision>) => void;
  /** An answer could not be taken: the others of its batch get theirs. */
  readonly onCallbackError: (error: unknown) => void;
}

const RETRY_PAUSE_MS = 150;
const RETRY_AFTER_MIN_MS = 200;
const RETRY_AFTER_MAX_MS = 5_000;
/** Decisions a second assumed until some were measured. */
const FIRST_RATE_PER_SECOND = 5_000;
const SMOOTHING = 0.3;

export class ReserveBatcher<W extends QueuedReserve> {
  private readonly options: ReserveBatcherOptions<W>;
  /**
   * In order; those before `taken` are on their way. A rush queues thousands: moving all of them up
   * for each batch would cost more than the batch.
   */
  private queue: W[] = [];
  private taken = 0;
  private batchesInFlight = 0;
  private ratePerSecond = FIRST_RATE_PER_SECOND;
  private idle: Array<() => void> = [];

  constructor(options: ReserveBatcherOptions<W>) {
    this.options = options;
  }

  get waiting(): number {
    return this.queue.length - this.taken;
  }

  reserve(waiting: W): void {
    if (this.waiting >= LIMITS.reserveQueuePerShowMax) {
      const shed = fail('overloaded', 'Too many reservations are waiting; repeat with the same key.', {
        retryAfterMs: this.retryAfterMs(),
      });
      return this.options.onDecided(waiting, shed);
    }
    waiting.enqueuedMs = this.options.clock.nowMs();
    this.queue.push(waiting);
    this.pump();
  }

  /** Resolves when nothing waits and nothing is in flight. */
  whenIdle(): Promise<void> {
    if (this.batchesInFlight === 0 && this.waiting === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  /** When the queue of now will have been decided, at the rate of late. */
  private retryAfterMs(): number {
    const queueMs = (this.waiting / this.ratePerSecond) * 1000;
    return Math.round(Math.min(RETRY_AFTER_MAX_MS, Math.max(RETRY_AFTER_MIN_MS, queueMs)));
  }

  private pump(): void {
    // A second call only overlaps the first when it is a full one; smaller ones gain by waiting for
    // company.
    while (
      this.waiting > 0 &&
      (this.batchesInFlight === 0 ||
        (this.batchesInFlight < LIMITS.reserveBatchesInFlightMax && this.waiting >= LIMITS.reserveBatchMax))
    ) {
      const batch = this.take();
      this.batchesInFlight += 1;
      void this.run(batch).finally(() => {
        this.batchesInFlight -= 1;
        this.pump();
        if (this.batchesInFlight === 0 && this.waiting === 0) for (const resolve of this.idle.splice(0)) resolve();
      });
    }
  }

  private take(): W[] {
    const batch = this.queue.slice(this.taken, this.taken + LIMITS.reserveBatchMax);
    this.taken += batch.length;
    if (this.taken * 2 >= this.queue.length) {
      this.queue = this.queue.slice(this.taken);
      this.taken = 0;
    }
    return batch;
  }

  /**
   * Decides a batch; what Redis did not answer is asked again with the same keys, which changes
   * nothing twice.
   */
  private async run(batch: W[]): Promise<void> {
    const { clock, onBatch } = this.options;
    const startedMs = clock.nowMs();
    onBatch?.(batch.length);
    let open = batch;
    for (;;) {
      const results = await this.decide(open);
      const unanswered: W[] = [];
      for (let i = 0; i < open.length; i += 1) {
        const waiting = open[i];
        const result = results[i] ?? fail('internal', 'No decision came back; repeat with the same key.');
        if (waiting === undefined) continue;
        const away = !result.ok && result.error.code === 'redis_unavailable';
        if (away && clock.nowMs() - waiting.enqueuedMs < LIMITS.redisRetryMaxMs) unanswered.push(waiting);
        else this.answer(waiting, result);
      }
      if (unanswered.length === 0) break;
      open = unanswered;
      await new Promise<void>((resolve) => void clock.setTimer(resolve, RETRY_PAUSE_MS));
    }
    const elapsedMs = Math.max(0.1, clock.nowMs() - startedMs);
    this.ratePerSecond += SMOOTHING * ((batch.length / elapsedMs) * 1000 - this.ratePerSecond);
  }

  private answer(waiting: W, result: Result<Decision>): void {
    try {
      this.options.onDecided(waiting, result);
    } catch (error) {
      this.options.onCallbackError(error);
    }
  }

  private async decide(batch: readonly W[]): Promise<Array<Result<Decision>>> {
    try {
      return await this.options.store.reserve(this.options.showId, batch, this.options.origin);
    } catch (error) {
      const because: Failure = failure(
        'internal',
        `The request could not be decided: ${error instanceof Error ? error.message : 'unknown error'}. Repeat with the same key.`,
      );
      return batch.map(() => ({ ok: false, error: because }));
    }
  }
}
