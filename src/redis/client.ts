/** How a target becomes an ioredis client, and how its commands fail on a broken connection. */
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisServerAddress, RedisTarget, RedisTls } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import { letClustersEnd, letTimeoutsReadFirst, letWaitingClientsEnd } from './driver-fixes.ts';
import { followSentinels } from './sentinel-watch.ts';

letTimeoutsReadFirst();
letWaitingClientsEnd();
letClustersEnd();

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

/** So many sentinels are followed, over a connection to each. */
const FOLLOWED_SENTINELS_MAX = 3;

/**
 * Replies of a server that was a primary and is a replica now, or is shutting down. A new
 * connection resolves the name again, and finds the new primary.
 */
const DEMOTED = /READONLY|read ?only replica|MASTERDOWN|UNBLOCKED/i;

const COMMON = {
  connectTimeout: 5_000,
  keepAlive: 10_000,
  // A host that is gone does not reply when a connection ends.
  disconnectTimeout: 200,
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
  jobs: {
    ...COMMON,
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
    socketTimeout: SILENCE_MS,
    // A worker repeats a refused command at once, for example on a replica.
    retryStrategy: (attempt: number) => Math.min(250 * attempt, 1000),
  },
} as const satisfies Record<ClientRole, RedisOptions>;

/** Returns a client that is not yet connected. Several servers are a cluster, unless sentinels. */
export function createClient(target: RedisTarget, { role, isCluster }: ClientUse): RedisClient {
  const { servers, socketPath, db, sentinel } = target;
  const tls = target.tls === null ? {} : { tls: tlsOptions(target.tls, servers) };
  const options: Options = { ...OF_ROLE[role], ...loginOf(target), ...tls };
  if (socketPath !== null) return withSafeErrors(new Redis({ ...options, path: socketPath }));
  if (isCluster) return createCluster(servers, options);
  if (sentinel === null) return withSafeErrors(new Redis({ ...options, ...(servers[0] as RedisServerAddress), db }));
  const { masterName: name, username: sentinelUsername, password: sentinelPassword } = sentinel;
  const client = withSafeErrors(
    new Redis({
      ...options,
      db,
      name,
      sentinels: [...servers],
      sentinelCommandTimeout: LIMITS.redisCommandTimeoutMs,
      ...(sentinelUsername === null ? {} : { sentinelUsername }),
      ...(sentinelPassword === null ? {} : { sentinelPassword }),
      ...(tls.tls === undefined ? {} : { sentinelTLS: tls.tls, enableTLSForSentinelMode: true }),
    }),
  );
  const toSentinel = (address: RedisServerAddress): Redis =>
    withSafeErrors(
      new Redis({ ...OF_ROLE.subscriber, ...address, ...loginOf(sentinel), ...tls, autoResubscribe: true }),
    );
  if (role === 'commands')
    followSentinels(client, name, () => servers.slice(0, FOLLOWED_SENTINELS_MAX).map(toSentinel));
  return client;
}

/** The user and the password that are set. */
const loginOf = ({ username, password }: Pick<RedisTarget, 'username' | 'password'>) => ({
  ...(username === null ? {} : { username }),
  ...(password === null ? {} : { password }),
});

type Options = (typeof OF_ROLE)[ClientRole] & { readonly tls?: ConnectionOptions };

function createCluster(servers: RedisTarget['servers'], options: Options): Cluster {
  const { enableOfflineQueue, retryStrategy: _strategy, lazyConnect, ...redisOptions } = options;
  const cluster = new Cluster([...servers], {
    redisOptions,
    enableOfflineQueue,
    lazyConnect,
    clusterRetryStrategy: retryDelayMs,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // With the default, a sharded subscription follows MOVED forever and never resolves.
    shardedSubscribers: true,
    // A certificate has the name of a server, not the address that the driver would look up.
    ...(options.tls ? { dnsLookup: (host, found) => found(null, host) } : {}),
  });
  return cluster.on('+node', withSafeErrors);
}

/**
 * A TLS socket that is closed during a handshake with a wrong certificate emits two errors. ioredis
 * listens to the first only, and the second would end the process.
 */
function withSafeErrors(client: Redis): Redis {
  return client.on('error', () => client.stream?.once('error', () => {}));
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

/** Returns a client for BullMQ, which duplicates it for its workers. */
export function connectJobs(target: RedisTarget, isCluster: boolean): { client: RedisClient; close(): void } {
  const client = createClient(target, { role: 'jobs', isCluster });
  let isWanted = true;
  keepConnected(client, () => isWanted);
  return {
    client,
    close() {
      isWanted = false;
      client.disconnect();
    },
  };
}
