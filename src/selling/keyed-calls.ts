/**
 * Keyed commands that go straight to Redis, ahead of waiting reserves: a release frees units that
 * others wait for.
 */

import type { Clock } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import { fail, type Result } from '../protocol/codes.ts';

const RETRY_PAUSE_MS = 150;

export class KeyedCalls {
  private readonly clock: Clock;
  private readonly inFlight = new Set<Promise<unknown>>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /**
   * While Redis is away the same call, with its key, is made again for a bounded time: harmless,
   * because keyed. Never rejects.
   */
  run<T>(call: () => Promise<Result<T>>): Promise<Result<T>> {
    const running = this.repeat(call).finally(() => this.inFlight.delete(running));
    this.inFlight.add(running);
    return running;
  }

  /** Resolves when everything begun so far is answered. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.inFlight);
  }

  private async repeat<T>(call: () => Promise<Result<T>>): Promise<Result<T>> {
    const untilMs = this.clock.nowMs() + LIMITS.redisRetryMaxMs;
    try {
      for (;;) {
        const result = await call();
        if (result.ok || result.error.code !== 'redis_unavailable' || this.clock.nowMs() >= untilMs) return result;
        await new Promise<void>((resolve) => void this.clock.setTimer(resolve, RETRY_PAUSE_MS));
      }
    } catch (error) {
      return fail(
        'internal',
        `The request failed: ${error instanceof Error ? error.message : 'unknown error'}. Repeat with the same key.`,
      );
    }
  }
}
