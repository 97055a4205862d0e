/** Runs keyed commands that pass queued reserves: a release frees units that buyers wait for. */
import { type Clock, pause } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import { type ErrorCode, type Failure, fail, type Result } from '../protocol/codes.ts';

const RETRY_PAUSE_MS = 150;

/** The books were not read: after an earlier call without a reply these decide nothing. */
export const UNDECIDED: ReadonlySet<ErrorCode> = new Set(['redis_unavailable', 'redis_readonly', 'redis_full']);

export class KeyedCalls {
  private readonly clock: Clock;
  private readonly inFlight = new Set<Promise<unknown>>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Runs a command, and repeats it for `redisRetryMaxMs` if Redis is away. Never rejects. */
  run<T>(call: () => Promise<Result<T>>): Promise<Result<T>> {
    const running = this.repeat(call).finally(() => this.inFlight.delete(running));
    this.inFlight.add(running);
    return running;
  }

  /** Resolves when all calls made so far have their results. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.inFlight);
  }

  private async repeat<T>(call: () => Promise<Result<T>>): Promise<Result<T>> {
    const untilMs = this.clock.nowMs() + LIMITS.redisRetryMaxMs;
    let unknown: Failure | null = null;
    try {
      for (;;) {
        const result = await call();
        if (!result.ok && result.error.code === 'redis_unavailable') unknown = result.error;
        if (result.ok || unknown === null || !UNDECIDED.has(result.error.code)) return result;
        if (this.clock.nowMs() >= untilMs) return { ok: false, error: unknown };
        await pause(this.clock, RETRY_PAUSE_MS);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown error';
      return fail('internal', `The request failed: ${reason}. Repeat with the same key.`);
    }
  }
}
