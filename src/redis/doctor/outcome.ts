/** Whether a store can use its Redis, as a check. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Check, failed } from '../../domain/checkup.ts';
import { REDIS_AWAY_STATES, type RedisState, type RedisTrouble } from '../../domain/health.ts';
import type { ConnectedStore } from '../store.ts';

export const CONNECT_MS_MAX = 5_000;
const POLL_MS = 20;
/** A cause may become known shortly after the connection failed. */
const SETTLE_MS = 500;

/** The client has no working connection, or Redis does not accept it. */
const UNREACHABLE: ReadonlySet<RedisState> = new Set<RedisState>([
  ...REDIS_AWAY_STATES,
  'not_redis',
  'tls_untrusted',
  'tls_mismatch',
  'unknown_master',
  'wrong_password',
  'protected_mode',
  'too_many_clients',
  'wrong_db',
]);

export const isUnreachable = ({ state }: RedisTrouble): boolean => UNREACHABLE.has(state);
export const failedWith = (id: string, { reason, remedy }: RedisTrouble): Check => failed(id, reason, remedy);

/** Resolves with null when Redis can be used, or with why not. */
export async function firstOutcome(store: ConnectedStore): Promise<RedisTrouble | null> {
  const connected = performance.now() + CONNECT_MS_MAX;
  while (store.trouble()?.state === 'connecting' && performance.now() < connected) await sleep(POLL_MS);
  const settled = performance.now() + SETTLE_MS;
  let cause = store.trouble();
  while (performance.now() < settled) {
    const trouble = store.trouble();
    if (trouble === null) return null;
    // The engine closes the connection after some causes.
    if (trouble.state !== 'lost' && trouble.state !== 'connecting') cause = trouble;
    await sleep(POLL_MS);
  }
  return cause;
}
