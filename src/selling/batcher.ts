/**
 * Sends the reserve requests of one show to Redis. A request leaves at once if no call is in
 * flight. Those that arrive meanwhile share the next call, which makes a decision much cheaper.
 * Requests per call, calls in flight and queued requests are bounded.
 */
import { type Clock, pause } from '../domain/clock.ts';
import type { Decision, ReservationStore, ReserveRequest } from '../domain/reservation.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, fail, type Result } from '../protocol/codes.ts';
import { UNDECIDED } from './keyed-calls.ts';

/** One object per request, from its frame to its reply: there are tens of thousands per second. */
export interface QueuedReserve extends ReserveRequest {
  /** Set by the batcher, on its clock. */
  enqueuedMs: number;
  /** Set by the batcher when a call may have decided the request without a reply. */
  unknown?: Failure;
  /** Called exactly once. */
  onDecided(result: Result<Decision>): void;
}

export interface ReserveBatcherOptions {
  readonly showId: string;
  /** Names the room in commits. */
  readonly origin: string;
  readonly store: Pick<ReservationStore, 'reserve'>;
  readonly clock: Clock;
  readonly onBatch?: (size: number) => void;
  /** An `onDecided` has thrown. The other requests of its batch get their results. */
  readonly onCallbackError: (error: unknown) => void;
}

const RETRY_PAUSE_MS = 150;
const RETRY_AFTER_MIN_MS = 200;
const RETRY_AFTER_MAX_MS = 5_000;
/** Decisions per second that are assumed until some were measured. */
const FIRST_RATE_PER_SECOND = 5_000;
const SMOOTHING = 0.3;

export class ReserveBatcher {
  private readonly options: ReserveBatcherOptions;
  /** In order; those before `sent` are in flight. Shifting thousands per batch would be slow. */
  private queue: QueuedReserve[] = [];
  private sent = 0;
  private batchesInFlight = 0;
  private ratePerSecond = FIRST_RATE_PER_SECOND;
  private idleCallbacks: Array<() => void> = [];

  constructor(options: ReserveBatcherOptions) {
    this.options = options;
  }

  get waiting(): number {
    return this.queue.length - this.sent;
  }

  reserve(request: QueuedReserve): void {
    if (this.waiting >= LIMITS.reserveQueuePerShowMax) {
      const retryAfterMs = this.retryAfterMs();
      const message = 'Too many reservations are waiting; repeat with the same key.';
      return request.onDecided(fail('overloaded', message, { retryAfterMs }));
    }
    request.enqueuedMs = this.options.clock.nowMs();
    this.queue.push(request);
    this.pump();
  }

  /** Resolves when no request is queued or in flight. */
  whenIdle(): Promise<void> {
    if (this.batchesInFlight === 0 && this.waiting === 0) return Promise.resolve();
    return new Promise((resolve) => this.idleCallbacks.push(resolve));
  }

  /** Returns when the current queue will have been decided, at the recent rate. */
  private retryAfterMs(): number {
    const queueMs = (this.waiting / this.ratePerSecond) * 1000;
    return Math.round(Math.min(RETRY_AFTER_MAX_MS, Math.max(RETRY_AFTER_MIN_MS, queueMs)));
  }

  /** A second call overlaps the first one only if it is full; a smaller one waits. */
  private pump(): void {
    while (
      this.waiting > 0 &&
      (this.batchesInFlight === 0 ||
        (this.batchesInFlight < LIMITS.reserveBatchesInFlightMax && this.waiting >= LIMITS.reserveBatchMax))
    ) {
      const batch = this.nextBatch();
      this.batchesInFlight += 1;
      this.run(batch)
        .finally(() => {
          this.batchesInFlight -= 1;
          this.pump();
          if (this.batchesInFlight === 0 && this.waiting === 0)
            for (const resolve of this.idleCallbacks.splice(0)) resolve();
        })
        .catch(this.options.onCallbackError);
    }
  }

  private nextBatch(): QueuedReserve[] {
    const batch = this.queue.slice(this.sent, this.sent + LIMITS.reserveBatchMax);
    this.sent += batch.length;
    if (this.sent * 2 >= this.queue.length) {
      this.queue = this.queue.slice(this.sent);
      this.sent = 0;
    }
    return batch;
  }

  /** Requests without a decision are sent again with their keys, which changes nothing twice. */
  private async run(batch: QueuedReserve[]): Promise<void> {
    const { clock, onBatch } = this.options;
    const startedMs = clock.nowMs();
    onBatch?.(batch.length);
    let open = batch;
    for (;;) {
      const results = await this.callStore(open);
      const undecided: QueuedReserve[] = [];
      for (let i = 0; i < open.length; i += 1) {
        const request = open[i];
        if (request === undefined) continue;
        const result = results[i] ?? fail('internal', 'No decision came back; repeat with the same key.');
        const code = result.ok ? null : result.error.code;
        if (!result.ok && code === 'redis_unavailable') request.unknown = result.error;
        const isUndecided = request.unknown !== undefined && code !== null && UNDECIDED.has(code);
        const mayRepeat = clock.nowMs() - request.enqueuedMs < LIMITS.redisRetryMaxMs;
        if (isUndecided && mayRepeat) undecided.push(request);
        else this.finish(request, isUndecided ? { ok: false, error: request.unknown as Failure } : result);
      }
      if (undecided.length === 0) break;
      open = undecided;
      await pause(clock, RETRY_PAUSE_MS);
    }
    const elapsedMs = Math.max(0.1, clock.nowMs() - startedMs);
    this.ratePerSecond += SMOOTHING * ((batch.length / elapsedMs) * 1000 - this.ratePerSecond);
  }

  private finish(request: QueuedReserve, result: Result<Decision>): void {
    try {
      request.onDecided(result);
    } catch (error) {
      this.options.onCallbackError(error);
    }
  }

  private async callStore(batch: readonly QueuedReserve[]): Promise<Array<Result<Decision>>> {
    const { store, showId, origin } = this.options;
    try {
      return await store.reserve(showId, batch, origin);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown error';
      const failed = fail('internal', `The request could not be decided: ${reason}. Repeat with the same key.`);
      return batch.map(() => failed);
    }
  }
}
