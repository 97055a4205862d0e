/** How much memory the keys of a show take. Read on request only. */
import type { ShowSize } from '../domain/show.ts';
import type { RedisClient } from './client.ts';
import type { Keys } from './keys.ts';
import { isRefused } from './states.ts';

/**
 * Keys with more elements are estimated from this many: each call takes some 0.1 ms. Elements of
 * one key are alike, so the sum is right within a few percent.
 */
const SAMPLES = 1_000;

const FOREIGN = /unknown (?:sub)?command/i;

/** Returns the bytes of a key, 0 if it does not exist, null if Redis does not say. */
async function bytesOf(client: RedisClient, key: string): Promise<number | null> {
  try {
    return (await client.memory('USAGE', key, 'SAMPLES', SAMPLES)) ?? 0;
  } catch (error) {
    if (isRefused(error) || (error instanceof Error && FOREIGN.test(error.message))) return null;
    throw error;
  }
}

/** Adds up the keys one by one, so that no call holds Redis long. */
export async function sizeOfShow(client: RedisClient, keys: Keys, showId: string): Promise<ShowSize> {
  let [redisBytes, count] = [0 as number | null, 0];
  const { all, of } = keys.show(showId);
  for (const key of all) {
    if (key === of.channel) continue;
    const bytes = redisBytes === null ? null : await bytesOf(client, key);
    redisBytes = bytes === null || redisBytes === null ? null : redisBytes + bytes;
    count += bytes === null ? await client.exists(key) : Math.min(bytes, 1);
  }
  return { redisBytes, keys: count };
}
