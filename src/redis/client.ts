/** How a target becomes an ioredis client, and how its commands fail on a broken connection. */
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisTarget, RedisTls } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';

export type RedisClient = Redis | Cluster;
export type ClientRole = 'commands' | 'subscriber' | 'jobs';

interface ClientUse {
  readonly role: ClientRole;
  readonly isCluster: boolean;
}

/** Slow enough for a server that is starting, fast enough that a show resumes at once. */
const retryDelayMs = (attempt: number): number => Math.min(50 * attempt, 1000);

const RECONNECT_MS = 1_000;

/** A master may not know yet that a slot moved; all of them know within a few seconds. */
const SLOTS_REFRESH_MS = 5_000;

/**
 * A subscriber survives a pause of Redis: reconnecting would lose what is published meanwhile. A
 * worker of BullMQ waits at most 10 s for a job.
 */
const SILENCE_MS = 15_000;

/**
 * Replies of a server that was a primary and is a replica now, or is shutting down. A new
 * connection resolves the name again, and finds the new primary.
 */
const DEMOTED = /READONLY|read ?only replica|MASTERDOWN|UNBLOCKED/i;

const COMMON = {
  connectTimeout: 5_000,
  keepAlive: 10_000,
  retryStrategy: retryDelayMs,
  reconnectOnError: (error: Error) => DEMOTED.test(error.message),
  lazyConnect: true,
  // The store examines the server itself; the driver would wait silently while it loads its data.
  enableReadyCheck: false,
} as const satisfies RedisOptions;

/**
 * Commands: one in flight when the connection breaks may or may not have run. It fails at once and
 * is never sent again by the driver; the caller repeats its key. Those of a subscriber and of
 * BullMQ wait for the connection instead; BullMQ expects that the driver repeats its commands.
 */
const OF_ROLE = {
  commands: {
    ...COMMON,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: LIMITS.redisCommandTimeoutMs,
    // Reconnects when nothing arrives for this long, whichever command was waiting.
    socketTimeout: LIMITS.redisCommandTimeoutMs,
  },
  subscriber: {
    ...COMMON,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
    // subscriber.ts subscribes again: here a refusal would be an unhandled rejection.
    autoResubscribe: false,
    socketTimeout: SILENCE_MS,
  },
  jobs: { ...COMMON, enableOfflineQueue: true, maxRetriesPerRequest: null, socketTimeout: SILENCE_MS },
} as const satisfies Record<ClientRole, RedisOptions>;

/** Returns a client that is not yet connected. Several servers are a cluster, unless sentinels. */
export function createClient(target: RedisTarget, { role, isCluster }: ClientUse): RedisClient {
  const { servers, socketPath, username, password, db, sentinel } = target;
  const login = { ...(username === null ? {} : { username }), ...(password === null ? {} : { password }) };
  const options = { ...OF_ROLE[role], ...login };
  const tls = target.tls === null ? null : tlsOptions(target.tls, servers);
  if (socketPath !== null) return new Redis({ ...options, path: socketPath });
  if (sentinel !== null) {
    return new Redis({
      ...options,
      db,
      name: sentinel.masterName,
      sentinels: [...servers],
      sentinelCommandTimeout: LIMITS.redisCommandTimeoutMs,
      ...(sentinel.username === null ? {} : { sentinelUsername: sentinel.username }),
      ...(sentinel.password === null ? {} : { sentinelPassword: sentinel.password }),
      ...(tls === null ? {} : { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    });
  }
  if (!isCluster) return new Redis({ ...options, ...servers[0], db, ...(tls === null ? {} : { tls }) });
  const { enableOfflineQueue, retryStrategy: _strategy, lazyConnect, ...redisOptions } = options;
  return new Cluster([...servers], {
    redisOptions: { ...redisOptions, ...(tls === null ? {} : { tls }) },
    enableOfflineQueue,
    lazyConnect,
    clusterRetryStrategy: retryDelayMs,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // With the default, a sharded subscription follows MOVED forever and never resolves.
    shardedSubscribers: true,
    // A certificate has the name of a server, not the address that the driver would look up.
    ...(tls === null ? {} : { dnsLookup: (host, found) => found(null, host) }),
  });
}

/**
 * Nodes of a cluster and primaries behind sentinels announce addresses, while certificates have
 * names: without a server name each may also present the certificate of a host in the URL.
 */
function tlsOptions(tls: RedisTls, servers: RedisTarget['servers']): ConnectionOptions {
  const { ca, cert, key, passphrase, serverName } = tls;
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(passphrase === null ? {} : { passphrase }),
    ...(serverName === null ? {} : { servername: serverName }),
    checkServerIdentity(host, peer) {
      const error = checkServerIdentity(host, peer);
      const names = serverName === null ? servers.map((server) => server.host) : [];
      return names.some((name) => checkServerIdentity(name, peer) === undefined) ? undefined : error;
    },
  };
}

/** Connects again when the driver ends because an attempt threw, for example on a bad key file. */
export function keepConnected(client: RedisClient, isWanted: () => boolean): void {
  const connect = (): void => void client.connect().catch(() => {});
  client.on('end', () => {
    if (isWanted()) setTimeout(connect, RECONNECT_MS).unref();
  });
  connect();
}
