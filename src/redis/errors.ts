/** Maps errors of Redis and of its connection to coded failures. */
import { type Failure, failure } from '../protocol/codes.ts';

const RETRY_MS = 500;
const CONNECTION_ERROR_NAMES = ['MaxRetriesPerRequestError', 'AbortError', 'ClusterAllFailedError'];
const CONNECTION_ERRORS = [
  /Connection is closed|Stream isn't writeable|Command timed out|All sentinels are unreachable/,
  /ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|ETIMEDOUT|Failed to refresh slots|Too many Cluster redirections/,
];

/**
 * OOM, READONLY, LOADING, MASTERDOWN and BUSY are refusals before anything ran. After a connection
 * error the outcome is unknown and the caller repeats the key. Any other error is our bug
 * (`internal`).
 */
export function redisFailure(error: unknown): Failure {
  const text = error instanceof Error ? error.message : String(error);
  const head = text.trimStart();
  if (head.startsWith('OOM') || text.includes('-OOM') || text.includes('OOM allow-oom'))
    return failure('redis_full', 'Redis is out of memory and accepts no writes; nothing was changed.', {
      retryAfterMs: 5_000,
    });
  if (head.startsWith('READONLY') || text.includes('read only replica') || text.includes('MISCONF'))
    return failure('redis_readonly', 'Redis accepts no writes; nothing was changed.', { retryAfterMs: 1_000 });
  if (/^(LOADING|MASTERDOWN|BUSY|CLUSTERDOWN|TRYAGAIN|NOREPLICAS)/.test(head))
    return failure('redis_unavailable', `Redis is not ready (${head.split(' ')[0]}); repeat with the same key.`, {
      retryAfterMs: RETRY_MS,
    });
  const isConnectionError = error instanceof Error && CONNECTION_ERROR_NAMES.includes(error.name);
  if (isConnectionError || CONNECTION_ERRORS.some((pattern) => pattern.test(text)))
    return failure('redis_unavailable', 'Redis does not reply; repeat with the same key.', { retryAfterMs: RETRY_MS });
  return failure('internal', undefined, { retryAfterMs: RETRY_MS });
}
