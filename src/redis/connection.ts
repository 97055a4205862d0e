/**
 * Connections to Redis: how a URL becomes a client, and what a broken line means for those who wait
 * on it.
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { LIMITS } from '../limits.ts';

export type RedisClient = Redis | Cluster;

/**
 * Slow enough not to hammer a server that is coming up, fast enough that a show resumes at once.
 */
const retryDelayMs = (attempt: number): number => Math.min(50 * attempt, 1000);

/**
 * A slot that moved may be told by a master that has not heard of it yet: all of them know within a
 * few seconds.
 */
const SLOTS_REFRESH_MS = 5_000;

/**
 * A subscriber's line outlives a pause of Redis: cutting it would cost everybody what is published
 * meanwhile.
 */
const SUBSCRIBER_SILENCE_MS = 15_000;

/**
 * A command in flight when the line breaks may or may not have run. It is never sent again behind
 * our back (`autoResendUnfulfilledCommands`); it fails at once (`maxRetriesPerRequest: 0`), and the
 * caller repeats its key. Without a line commands fail instead of queueing without bound.
 */
const COMMON = {
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: LIMITS.redisCommandTimeoutMs,
  connectTimeout: 5_000,
  keepAlive: 10_000,
  // A line on which nothing comes back is cut and made anew, whichever question it was that stayed
  // unanswered.
  socketTimeout: LIMITS.redisCommandTimeoutMs,
  retryStrategy: retryDelayMs,
  lazyConnect: true,
} as const satisfies RedisOptions;

/** What a client may do otherwise: a subscriber waits for the line instead of failing. */
export interface LineOptions {
  readonly waits?: boolean;
}

/** `redis://`, `rediss://`, `unix:///path`, or a comma-separated list of cluster nodes. */
export function connect(url: string, { waits = false }: LineOptions = {}): RedisClient {
  const { commandTimeout, ...patient } = COMMON;
  const options = waits
    ? { ...patient, enableOfflineQueue: true, maxRetriesPerRequest: null, socketTimeout: SUBSCRIBER_SILENCE_MS }
    : { ...patient, commandTimeout };
  const urls = url.split(',').map((part) => part.trim());
  const [first = ''] = urls;
  if (urls.length > 1) return connectCluster(urls, options);
  if (first.startsWith('unix://')) return new Redis({ ...options, path: first.slice('unix://'.length) });
  return new Redis(first, options);
}

function connectCluster(
  urls: readonly string[],
  options: Omit<typeof COMMON, 'commandTimeout' | 'enableOfflineQueue' | 'maxRetriesPerRequest' | 'socketTimeout'> & {
    enableOfflineQueue: boolean;
    socketTimeout: number;
  },
): Cluster {
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
      // With the default a sharded subscription in a cluster never settles: it follows MOVED for
      // ever.
      shardedSubscribers: true,
    },
  );
}
