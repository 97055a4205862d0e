/** How BullMQ connects to Redis. Its clients are separate from those of the store. */
import type { ConnectionOptions } from 'bullmq';

export type JobsConnection =
  | { readonly url: string }
  /**
   * An existing ioredis client with `maxRetriesPerRequest: null`, required for a Cluster. The
   * caller owns it and closes it.
   */
  | { readonly client: ConnectionOptions };

const CONNECT_TIMEOUT_MS = 5_000;
const RETRY_STEP_MS = 50;
const RETRY_MAX_MS = 1_000;

/** The delay of BullMQ grows to 20 s, and an opening would wait for it. */
const retryStrategy = (attempt: number): number => Math.min(RETRY_STEP_MS * attempt, RETRY_MAX_MS);

/** Reads `redis://`, `rediss://` and `unix:///path.sock`. Throws on anything else. */
export function connectionOptions(connection: JobsConnection): ConnectionOptions {
  if ('client' in connection) return connection.client;
  const { url } = connection;
  if (url.includes(',')) throw new Error('jobs on a Redis Cluster need a client instead of a list of nodes');
  const shared = { connectTimeout: CONNECT_TIMEOUT_MS, retryStrategy };
  if (url.startsWith('unix://')) return { ...shared, path: url.slice('unix://'.length) };
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  if (protocol !== 'redis:' && protocol !== 'rediss:')
    throw new Error(`jobs cannot connect over ${protocol}//: use redis://, rediss:// or unix://`);
  const db = Number(pathname.slice(1));
  return {
    ...shared,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 6379),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(Number.isInteger(db) && db > 0 ? { db } : {}),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  };
}
