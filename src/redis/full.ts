/**
 * What a full Redis (maxmemory is reached) still accepts: calls that free memory, or that decide
 * what buyers were promised. Redis refuses a command that may need memory, and a script at its
 * first such command, unless the script has written before. So these calls begin with a write that
 * changes nothing. The others get `redis_full`. See "A full Redis" in SERVICES.md.
 */

import type { RedisTrouble } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import type { ScriptName } from './scripts.ts';
import { troubleOf } from './states.ts';

/** What these add is bounded: each ends something that exists, or has a limit. */
const FREEING_OPS: Partial<Record<ScriptName, readonly string[] | 'all'>> = {
  finish: ['confirm', 'release'],
  waitlist: ['leave'],
  sale_move: ['end', 'cancel'],
  release_slice: 'all',
  tick: 'all',
  moderate: 'all',
  archive: 'all',
  erase: 'all',
  export: 'all',
  import: ['abort'],
  // After a restart of Redis nothing else is decided before these.
  fence: 'all',
  migrate: 'all',
  recover: 'all',
  repair: 'all',
  // They write nothing. A server without the functions of this release cannot load them.
  load: 'all',
  mine: 'all',
  audit: 'all',
};

/** Returns whether a full Redis must accept this call. */
export function isFreeing(script: ScriptName, args: unknown): boolean {
  const { op, events } = args as { op?: string; events?: readonly string[] };
  if (script === 'show_apply') return events?.[0] === 'show.ended';
  const ops = FREEING_OPS[script] ?? [];
  return ops === 'all' || (op !== undefined && ops.includes(op));
}

export const isFull = (error: unknown): boolean => troubleOf(error).state === 'full';

/** Writes a key. Returns the trouble if Redis is full, and so refuses it. */
export async function fullness(client: RedisClient, key: string, keptMs: number): Promise<RedisTrouble | null> {
  try {
    await client.set(key, '1', 'PX', keptMs);
    return null;
  } catch (error) {
    if (!isFull(error)) throw error;
    return troubleOf(error);
  }
}

/** Counts as a write, also if the key has another type, and changes nothing. */
export const FIRST_WRITE = "redis.pcall('HDEL', KEYS[1], '')";
const WRITE = `${FIRST_WRITE} return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))`;

/** Runs a write command on one key, also if Redis is full. The caller bounds what it adds. */
export async function writeIfFull(
  client: RedisClient,
  command: string,
  key: string,
  ...args: Array<string | number | Buffer>
): Promise<unknown> {
  try {
    return await client.call(command, key, ...args);
  } catch (error) {
    if (!isFull(error)) throw error;
    return client.eval(WRITE, 1, key, command, ...args);
  }
}
