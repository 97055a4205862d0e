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

/**
 * Adds up the keys one by one, so that no call holds Redis long. `expiresAt`: when all keys but the
 * header are deleted.
 */
export async function sizeOfShow(
  client: RedisClient,
  keys: Keys,
  showId: string,
  expiresAt: number | null = null,
): Promise<ShowSize> {
  const { all, of } = keys.show(showId);
  const header = await sizeOfKeys(client, [of.show]);
  const rest = await sizeOfKeys(
    client,
    all.filter((key) => key !== of.channel && key !== of.show),
  );
  const isKnown = header.redisBytes !== null && rest.redisBytes !== null;
  return {
    redisBytes: isKnown ? Number(header.redisBytes) + Number(rest.redisBytes) : null,
    keys: header.keys + rest.keys,
    ...(expiresAt === null || rest.keys === 0 ? {} : { expiring: { ...rest, at: expiresAt } }),
  };
}

async function sizeOfKeys(client: RedisClient, keys: readonly string[]): Promise<ShowSize> {
  let [redisBytes, count] = [0 as number | null, 0];
  for (const key of keys) {
    const bytes = redisBytes === null ? null : await bytesOf(client, key);
    redisBytes = bytes === null || redisBytes === null ? null : redisBytes + bytes;
    count += bytes === null ? await client.exists(key) : Math.min(bytes, 1);
  }
  return { redisBytes, keys: count };
}
