/** How a Redis URL becomes an ioredis client, and how its commands fail on a broken connection. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { LIMITS } from '../limits.ts';

export type RedisClient = Redis | Cluster;

/** Slow enough for a server that is starting, fast enough that a show resumes at once. */
const retryDelayMs = (attempt: number): number => Math.min(50 * attempt, 1000);

/** A master may not know yet that a slot moved; all of them know within a few seconds. */
const SLOTS_REFRESH_MS = 5_000;

/** A subscriber survives a pause of Redis: reconnecting would lose what is published meanwhile. */
const SUBSCRIBER_SILENCE_MS = 15_000;

/**
 * A command in flight when the connection breaks may or may not have run. It fails at once and is
 * never sent again by the driver; the caller repeats its key.
 */
const COMMON = {
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: LIMITS.redisCommandTimeoutMs,
  connectTimeout: 5_000,
  keepAlive: 10_000,
  // Reconnects when nothing arrives for this long, whichever command was waiting.
  socketTimeout: LIMITS.redisCommandTimeoutMs,
  retryStrategy: retryDelayMs,
  lazyConnect: true,
} as const satisfies RedisOptions;

const { commandTimeout: _timeout, ...WITHOUT_TIMEOUT } = COMMON;
/** Commands of a subscriber wait for the connection instead of failing. */
const SUBSCRIBER = {
  ...WITHOUT_TIMEOUT,
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  socketTimeout: SUBSCRIBER_SILENCE_MS,
} as const satisfies RedisOptions;

/** `redis://`, `rediss://`, `unix:///path`, or a comma-separated list of cluster nodes. */
export function connect(url: string, { isSubscriber = false } = {}): RedisClient {
  const options = isSubscriber ? SUBSCRIBER : COMMON;
  const urls = url.split(',').map((part) => part.trim());
  const [first = ''] = urls;
  if (urls.length > 1) return connectCluster(urls, options);
  if (first.startsWith('unix://')) return new Redis({ ...options, path: first.slice('unix://'.length) });
  return new Redis(first, options);
}

function connectCluster(urls: readonly string[], options: typeof COMMON | typeof SUBSCRIBER): Cluster {
  const nodes = urls.map((text) => new URL(text));
  const { username, password, protocol } = nodes[0] as URL;
  const { enableOfflineQueue, retryStrategy: _strategy, ...perNode } = options;
  return new Cluster(
    nodes.map((node) => ({ host: node.hostname, port: Number(node.port || 6379) })),
    {
      redisOptions: {
        ...perNode,
        ...(username ? { username: decodeURIComponent(username) } : {}),
        ...(password ? { password: decodeURIComponent(password) } : {}),
        ...(protocol === 'rediss:' ? { tls: {} } : {}),
      },
      enableOfflineQueue,
      lazyConnect: true,
      clusterRetryStrategy: retryDelayMs,
      slotsRefreshInterval: SLOTS_REFRESH_MS,
      // With the default, a sharded subscription follows MOVED forever and never resolves.
      shardedSubscribers: true,
    },
  );
}
