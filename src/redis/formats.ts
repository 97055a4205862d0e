/**
 * Which formats of shows the living processes know ("Formats" in src/README.md). Each process
 * refreshes a key with the number of the newest format that it knows; the key expires after the
 * last one ended. Release 0.1.0 has no such key: a process that finds one of its nodes in a show
 * (lua/migrate.lua) refreshes it.
 */
import { LIMITS } from '../limits.ts';
import type { RedisClient } from './client.ts';
import { writeIfFull } from './full.ts';
import type { Keys } from './keys.ts';
import { RELAY_KEPT_MS } from './relay-mode.ts';

/** The format that new shows get, and to which older ones are migrated. */
export const formatFor = (keepsFormat: boolean): number => LIMITS.showFormat - (keepsFormat ? 1 : 0);

/** Returns whether this release does not know the format in the header of a show. */
export const isNewer = (format: Buffer | string | null | undefined): boolean => Number(format ?? 0) > LIMITS.showFormat;

/** Refreshes the key of the older format for a node that does not know about it. */
export async function keepOlderFormat(client: RedisClient, keys: Keys): Promise<void> {
  await writeIfFull(client, 'SET', keys.format(LIMITS.showFormat - 1), '1', 'PX', RELAY_KEPT_MS);
}

/** Makes this process one of those that live. Returns whether another needs the older format. */
export async function refreshFormats(client: RedisClient, keys: Keys): Promise<boolean> {
  await writeIfFull(client, 'SET', keys.format(LIMITS.showFormat), '1', 'PX', RELAY_KEPT_MS);
  return (await client.get(keys.format(LIMITS.showFormat - 1))) !== null;
}
