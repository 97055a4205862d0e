/** Maps errors of Redis and of its connection to coded failures. */
import type { RedisTrouble } from '../domain/health.ts';
import { type Failure, failure } from '../protocol/codes.ts';

const RETRY_MS = 500;
const NOTHING_CHANGED = 'nothing was changed';

/**
 * Returns the failure of a call. Some states are refusals before anything ran. After a connection
 * error the outcome is unknown and the caller repeats the key. `failed` is our bug (`internal`).
 */
export function redisFailure(trouble: RedisTrouble): Failure {
  switch (trouble.state) {
    case 'full':
      return failure('redis_full', `Redis is out of memory; ${NOTHING_CHANGED}.`, {
        retryAfterMs: 5_000,
      });
    case 'replica':
    case 'disk_failing':
      return failure('redis_readonly', `Redis accepts no writes; ${NOTHING_CHANGED}.`, { retryAfterMs: 1_000 });
    case 'failed':
      return failure('internal', undefined, { retryAfterMs: RETRY_MS });
    case 'lost':
    case 'silent':
      return failure('redis_unavailable', 'Redis does not reply; repeat with the same key.', {
        retryAfterMs: RETRY_MS,
      });
    default:
      // Viewers get this: the reason may contain addresses, and is in the log and at /readyz.
      return failure('redis_unavailable', `Redis is unavailable (${trouble.state}); repeat with the same key.`, {
        retryAfterMs: RETRY_MS,
      });
  }
}
