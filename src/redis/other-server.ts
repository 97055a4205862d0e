/** Who replies under the name of the server now. */
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import { readRole } from './facts.ts';

/**
 * Connects `other`, for which the name is resolved again, asks once and disconnects it. Rejects
 * when `ended` is aborted, or after the time limit of a command: sentinels that are gone would be
 * asked again and again.
 */
export async function readOther(other: Redis, hasInfo: boolean, ended: AbortSignal): ReturnType<typeof readRole> {
  const leave = (): void => other.disconnect();
  const late = setTimeout(leave, LIMITS.redisCommandTimeoutMs);
  ended.addEventListener('abort', leave);
  try {
    await other.connect();
    return await readRole(other, hasInfo);
  } finally {
    clearTimeout(late);
    ended.removeEventListener('abort', leave);
    leave();
  }
}
