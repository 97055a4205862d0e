/** What an error of Redis or of the line to it means for the caller, as a coded failure. */
import { type Failure, failure } from '../protocol/codes.ts';

const RETRY_MS = 500;

/**
 * OOM, READONLY, LOADING, MASTERDOWN and BUSY are refusals before anything ran. A lost or silent
 * line leaves the outcome unknown: the caller repeats the key. Anything else is a defect of ours
 * and is coded `internal`.
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
  if (isLineError(error, text))
    return failure('redis_unavailable', 'Redis does not answer; repeat with the same key.', { retryAfterMs: RETRY_MS });
  return failure('internal', undefined, { retryAfterMs: RETRY_MS });
}

function isLineError(error: unknown, text: string): boolean {
  if (
    error instanceof Error &&
    ['MaxRetriesPerRequestError', 'AbortError', 'ClusterAllFailedError'].includes(error.name)
  )
    return true;
  return /Connection is closed|Stream isn't writeable|Command timed out|ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|ETIMEDOUT|Failed to refresh slots|Too many Cluster redirections|All sentinels are unreachable/.test(
    text,
  );
}
