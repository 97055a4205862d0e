/**
 * How the nodes of one installation publish to the relay: they must agree, because a node receives
 * nothing that is published in the other mode. A key names the mode that live nodes use; each of
 * them refreshes it, and it expires after the last one ended.
 */
import type { RedisCapabilities } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import { writeIfFull } from './full.ts';
import { otherRelay, TroubleError } from './states.ts';

export type PublishMode = RedisCapabilities['publish'];

export const RELAY_KEPT_MS = 15_000;
export const RELAY_REFRESH_MS = 5_000;

/** Returns the mode that live nodes use; null if none lives. */
export async function relayModeOfOthers(client: RedisClient, key: string): Promise<PublishMode | null> {
  const mode = await client.get(key);
  return mode === 'sharded' || mode === 'classic' ? mode : null;
}

/** Makes this node one of those that live. Throws if others use another mode. */
export async function refreshRelayMode(client: RedisClient, key: string, own: PublishMode): Promise<void> {
  if ((await writeIfFull(client, 'SET', key, own, 'PX', RELAY_KEPT_MS, 'NX')) === 'OK') return;
  const others = await relayModeOfOthers(client, key);
  if (others !== null && others !== own) throw new TroubleError(otherRelay(others, own));
  await client.pexpire(key, RELAY_KEPT_MS);
}
