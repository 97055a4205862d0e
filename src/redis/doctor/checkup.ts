/**
 * Examines a Redis for `stampede doctor`: starts a store on it as the engine does, then reads what
 * the server reports and measures it. What it writes lies under a separate prefix below KEY_PREFIX,
 * expires, and is removed.
 */
import { randomBytes } from 'node:crypto';
import { Cluster, type Redis } from 'ioredis';
import { type Check, type Checkup, failed, passed, skipped, warning, worstOf } from '../../domain/checkup.ts';
import type { RedisCapabilities, RedisTrouble } from '../../domain/health.ts';
import { describeTarget, type RedisTarget } from '../../domain/redis-target.ts';
import { LIMITS } from '../../limits.ts';
import { createClient, type RedisClient } from '../client.ts';
import { parseInfo, readFacts, type ServerFacts } from '../facts.ts';
import { createKeys } from '../keys.ts';
import { forecastOf, readSamples, type Sample } from '../memory.ts';
import { SILENT_NOW, troubleOf } from '../states.ts';
import { type ConnectedStore, createStore, type StoreOptions } from '../store.ts';
import { checkModes, OTHER_SPACES } from './modes.ts';
import { CONNECT_MS_MAX, failedWith, firstOutcome, isUnreachable } from './outcome.ts';
import {
  checkClock,
  checkCluster,
  checkKeys,
  checkRoundTrip,
  checkShows,
  checkSlowCommands,
  measureRoundTrips,
  quantile,
  unlessRefused,
} from './probes.ts';
import { promisesOf } from './promises.ts';
import { measureReserves, type ScriptTime } from './reserve-rate.ts';
import * as settings from './settings.ts';

export interface CheckupOptions {
  readonly target: RedisTarget;
  readonly keyPrefix: string;
  readonly scripts: NonNullable<StoreOptions['scripts']>;
  readonly publish: NonNullable<StoreOptions['publish']>;
  /** Sends only commands that change nothing. */
  readonly isReadOnly: boolean;
  /** Processes of the engine on this host. */
  readonly processes: number;
  /** Checks this host, on which some promises depend. `hasArchives`: any show was archived. */
  checkHost?(hasArchives: boolean): readonly Check[];
}

const ENGINE = { runsJobs: true } as const;
const KEPT_MS = 60_000;
const SLOW_START = {
  ...SILENT_NOW,
  reason: `Redis replies, but the engine did not start within ${CONNECT_MS_MAX / 1000} s.`,
  remedy: 'This host or Redis may be overloaded. Run doctor again when it is idle.',
};
const NEEDLESS_PASSWORD = 'Set it in Redis (requirepass), so that others cannot connect, or remove it from REDIS_URL.';
const SHOW = 'doctor';
const LIBRARIES = 'stampede_*';
const TESTED: Readonly<Record<string, readonly number[]>> = { Redis: [7, 8], Valkey: [8] };

interface Reader {
  readonly client: RedisClient;
  readonly servers: readonly Redis[];
  readonly facts: readonly ServerFacts[];
}

async function connectClient(target: RedisTarget, isCluster: boolean): Promise<RedisClient> {
  const client = createClient(target, { role: 'commands', isCluster });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve);
      client.on('error', reject);
      setTimeout(() => reject(new Error('Command timed out')), CONNECT_MS_MAX).unref();
      client.connect().catch(reject);
    });
    return client;
  } catch (error) {
    client.disconnect();
    throw error;
  }
}

/** Connects to the first server that replies. Rejects with the first error. */
async function connectAny(target: RedisTarget): Promise<Redis> {
  const isPlain = target.sentinel !== null || target.servers.length < 2;
  const targets = isPlain ? [target] : target.servers.map((server) => ({ ...target, servers: [server] }));
  let first: unknown = null;
  for (const each of targets)
    try {
      return (await connectClient(each, false)) as Redis;
    } catch (error) {
      first ??= error;
    }
  throw first;
}

/** Connects a client that only reads: one server, or all masters of a cluster that is complete. */
async function openReader(target: RedisTarget): Promise<Reader> {
  const single = await connectAny(target);
  try {
    const facts = await readFacts(single);
    const cluster = facts.isCluster ? await connectClient(target, true).catch(() => null) : null;
    if (!(cluster instanceof Cluster)) return { client: single, servers: [single], facts: [facts] };
    single.disconnect();
    const masters = cluster.nodes('master');
    return { client: cluster, servers: masters, facts: await Promise.all(masters.map(readFacts)) };
  } catch (error) {
    single.disconnect();
    throw error;
  }
}

async function readReport(server: Redis, samples: readonly Sample[]): Promise<settings.ServerReport> {
  const info = await server.info().then(parseInfo, () => ({}));
  const pairs = await Promise.all(
    settings.SETTINGS_READ.map((name) => (server.config('GET', name) as Promise<string[]>).catch(() => null)),
  );
  const isRefused = pairs.every((pair) => pair === null);
  const config = new Map(
    pairs.flatMap((pair) => (pair && pair.length > 1 ? [[pair[0], pair[1]] as [string, string]] : [])),
  );
  const { used_memory: used, maxmemory: max = '0' } = info as Readonly<Record<string, string>>;
  const usage = { usedBytes: Number(used), maxBytes: Number(max) };
  const forecast = used === undefined ? null : forecastOf(usage, samples, Date.now());
  return { info, config: isRefused ? null : config, forecast };
}

function checkVersion([facts]: readonly ServerFacts[]): Check {
  if (facts === undefined) return skipped('version', 'The server does not report its version.');
  const { name, version, label } = facts;
  if (Number.parseInt(version, 10) < 7)
    return failed('version', `${label} is too old.`, 'Stampede needs Redis 7.0 or newer.');
  const own = Number.parseInt(label.split(' ')[1] ?? '', 10);
  if (TESTED[name]?.includes(own)) return passed('version', `${label}.`);
  return warning(
    'version',
    `${label}: Stampede is not tested on it.`,
    'src/redis/SERVICES.md says what is known of it.',
  );
}

function checkIdentity(capabilities: RedisCapabilities, user: string): Check {
  if (capabilities.identity === 'info')
    return passed('identity', 'INFO names the process: restarts and failovers are noticed.');
  return warning(
    'identity',
    'Redis refuses INFO. Stampede recognizes this server by a key and a cached script: after SCRIPT FLUSH it looks ' +
      'like a restarted server.',
    `Run: ACL SETUSER ${user} +info.`,
  );
}

/** Runs a check on each server; a cluster gets the worst result. */
async function onEach(id: string, { servers }: Reader, check: (server: Redis, i: number) => Promise<Check> | Check) {
  const found = await Promise.all(
    servers.map(async (server, i) => {
      const { host = '', port = '' } = server.options;
      return [`${host}:${port}`, await unlessRefused(id, async () => check(server, i))] as const;
    }),
  );
  return worstOf(found) ?? skipped(id, 'No server replied.');
}

/** The checks that change nothing. */
async function readingChecks(reader: Reader, { keyPrefix, target, processes }: CheckupOptions): Promise<Check[]> {
  const { client, servers, facts } = reader;
  const samples = await readSamples(client, createKeys(keyPrefix).memory).catch(() => []);
  const reports = await Promise.all(servers.map((server) => readReport(server, samples)));
  const ofSettings = (id: string, check: (report: settings.ServerReport) => Check): Promise<Check> =>
    onEach(id, reader, (_server, i) => check(reports[i] as settings.ServerReport));
  const [first] = servers;
  const checks = [
    checkVersion(facts),
    await ofSettings('eviction', settings.checkEviction),
    await ofSettings('persistence', settings.checkPersistence),
    await ofSettings('replication', settings.checkReplication),
    await ofSettings('memory', settings.checkMemory),
    await ofSettings('clients', (report) => settings.checkClients(report, processes)),
    await ofSettings('timeouts', settings.checkTimeouts),
    await ofSettings('relay-buffer', settings.checkRelayBuffer),
    await ofSettings('forks', settings.checkForks),
    await onEach('slow-commands', reader, checkSlowCommands),
    await onEach('round-trip', reader, checkRoundTrip),
    await unlessRefused('clock', () => checkClock(client)),
    await unlessRefused('keys', () => checkKeys(servers, keyPrefix, target.db)),
    await unlessRefused('shows', () => checkShows(client, createKeys(keyPrefix))),
  ];
  const isCluster = facts[0]?.isCluster === true && first !== undefined;
  return isCluster ? [...checks, await unlessRefused('cluster', () => checkCluster(first))] : checks;
}

/** Names of the engine's libraries by server, so that those which appear can be removed. */
async function librariesOn({ servers }: Reader): Promise<string[][]> {
  return Promise.all(
    servers.map(async (server) => {
      const listed = (await server.function('LIST', 'LIBRARYNAME', LIBRARIES).catch(() => [])) as unknown[][];
      return listed.map((fields) => String(fields[fields.indexOf('library_name') + 1]));
    }),
  );
}

async function cleanUp(reader: Reader, prefix: string, before: readonly string[][]): Promise<void> {
  const keys = ['', ...OTHER_SPACES].flatMap((end) => {
    const names = createKeys(prefix + end);
    const ofAllShows = Object.values(names).filter((name) => typeof name === 'string');
    return [...ofAllShows, names.format(LIMITS.showFormat), ...names.show(SHOW).all];
  });
  await Promise.allSettled(keys.map((key) => reader.client.del(key)));
  const after = await librariesOn(reader);
  const added = after.flatMap((names, i) =>
    names.filter((name) => !before[i]?.includes(name)).map((name) => [i, name]),
  );
  await Promise.allSettled(added.map(([i, name]) => reader.servers[Number(i)]?.function('DELETE', String(name))));
}

async function readScriptTime({ servers }: Reader): Promise<ScriptTime | null> {
  const all = await Promise.all(servers.map((server) => server.info('commandstats').catch(() => null)));
  let [calls, micros] = [0, 0];
  for (const text of all) {
    if (text === null) return null;
    for (const [, count, usec] of text.matchAll(/cmdstat_(?:fcall|evalsha|eval):calls=(\d+),usec=(\d+)/g)) {
      calls += Number(count);
      micros += Number(usec);
    }
  }
  return { calls, micros };
}

interface Started {
  readonly checks: readonly Check[];
  readonly measures: readonly Check[];
  readonly capacity: Checkup['capacity'];
  readonly isFull?: boolean;
}

const NOT_WHILE_FULL = ['functions', 'eval', 'sharded', 'classic', 'capacity'].map((id) =>
  skipped(id, 'Not tried: Redis is full, and it would have to write.'),
);

/** Starts a store as the engine does, and measures it. */
async function startingChecks(
  reader: Reader,
  store: ConnectedStore,
  options: CheckupOptions,
  space: string,
): Promise<Started> {
  const trouble = await firstOutcome(store);
  const capabilities = store.redisCapabilities();
  const user = options.target.username ?? 'default';
  if (trouble?.state === 'full' && capabilities !== null) {
    const checks = [failedWith('start', trouble), checkIdentity(capabilities, user), ...NOT_WHILE_FULL];
    return { checks, measures: [], capacity: null, isFull: true };
  }
  if (trouble !== null || capabilities === null) {
    // The reader got replies, so the address is right.
    const isSlow = trouble === null || trouble.state === 'connecting' || trouble.state === 'silent';
    return { checks: [failedWith('start', isSlow ? SLOW_START : trouble)], measures: [], capacity: null };
  }
  const { scripts, publish } = capabilities;
  const checks = [
    passed('start', `The engine starts here: scripts as ${scripts}, relay by ${publish} publish.`),
    checkIdentity(capabilities, user),
    ...(await checkModes(capabilities, {
      ...ENGINE,
      redis: options.target,
      keyPrefix: options.keyPrefix,
      keySpace: space,
    })),
  ];
  const { all } = createKeys(options.keyPrefix + space).show(SHOW);
  const [server] = reader.servers;
  const roundTripMs = server === undefined ? 0 : quantile(await measureRoundTrips(server), 0.5);
  const expire = (): Promise<unknown> => Promise.all(all.map((key) => reader.client.pexpire(key, KEPT_MS)));
  const scriptTime = (): Promise<ScriptTime | null> => readScriptTime(reader);
  const measured = await measureReserves({ store, show: SHOW, roundTripMs, onBatch: expire, scriptTime });
  if (!measured.ok) return { checks, measures: [skipped('capacity', measured.error.message)], capacity: null };
  const { decisionsPerSecond, batchRequests, batchMs } = measured.value;
  const text =
    `About ${Math.floor(decisionsPerSecond / 100) * 100} reserve decisions per second on one shard ` +
    `(${batchRequests} in ${batchMs.toFixed(2)} ms). A hot show runs on one core.`;
  return { checks, measures: [passed('capacity', text)], capacity: measured.value };
}

/** A server whose default user has no password refuses AUTH, and the driver connects without it. */
async function ignoresPassword([server]: Reader['servers'], { username, password }: RedisTarget): Promise<boolean> {
  if (server === undefined || password === null || (username ?? 'default') !== 'default') return false;
  const isRefused = (error: unknown): boolean => troubleOf(error).state === 'wrong_password';
  return server.call('AUTH', password).then(() => false, isRefused);
}

function checkConnection({ target }: CheckupOptions, facts: ServerFacts | undefined, isNeedless: boolean): Check {
  const { tls, username, password } = target;
  const user = username ?? (password === null ? 'default, without a password' : 'default');
  const how = tls === null ? 'without TLS' : 'by TLS with a trusted certificate';
  const found = `${facts?.label ?? 'Redis'} replies at ${describeTarget(target)} ${how}, as user ${user}.`;
  return isNeedless
    ? warning('connection', `${found} It needs no password, and REDIS_URL has one.`, NEEDLESS_PASSWORD)
    : passed('connection', found);
}

/** Takes about three seconds, at most some thirty. */
export async function examineRedis(options: CheckupOptions): Promise<Checkup> {
  const { target, keyPrefix, scripts, publish, isReadOnly } = options;
  let reader: Reader;
  try {
    reader = await openReader(target);
  } catch (error) {
    return unusable((await troubleOfStart(options)) ?? troubleOf(error), options);
  }
  const space = `doctor-${randomBytes(6).toString('hex')}:`;
  let libraries: string[][] = [];
  let store: ConnectedStore | null = null;
  try {
    // First: it should not find what the doctor itself writes.
    const reading = await readingChecks(reader, options);
    libraries = isReadOnly ? [] : await librariesOn(reader);
    store = isReadOnly ? null : createStore({ ...ENGINE, redis: target, keyPrefix, keySpace: space, scripts, publish });
    const started: Started =
      store === null
        ? {
            checks: [skipped('start', 'Not tried: it would load scripts (--read-only).')],
            measures: [],
            capacity: null,
          }
        : await startingChecks(reader, store, options, space);
    const [facts] = reader.facts;
    const hasArchives = await reader.client.exists(createKeys(keyPrefix).archives).catch(() => 0);
    const isNeedless = await ignoresPassword(reader.servers, target);
    const ofRedis = [checkConnection(options, facts, isNeedless), ...started.checks, ...reading, ...started.measures];
    const checks = [...ofRedis, ...(options.checkHost?.(hasArchives === 1) ?? [])];
    const durability = store?.redisCapabilities()?.durability ?? null;
    return {
      isReachable: true,
      server: facts?.label ?? null,
      isCluster: facts?.isCluster ?? null,
      checks,
      promises: promisesOf(checks, { durability, isFull: started.isFull === true }),
      capacity: started.capacity,
    };
  } catch (error) {
    return unusable(troubleOf(error), options);
  } finally {
    await store?.close();
    if (!isReadOnly) await cleanUp(reader, keyPrefix + space, libraries);
    reader.client.disconnect();
  }
}

/** Returns why a store cannot use Redis, in the words of the start-up. */
async function troubleOfStart({ target, keyPrefix, isReadOnly }: CheckupOptions): Promise<RedisTrouble | null> {
  if (isReadOnly) return null;
  const store = createStore({ ...ENGINE, redis: target, keyPrefix });
  const trouble = await firstOutcome(store);
  await store.close();
  return trouble;
}

const unusable = (trouble: RedisTrouble, { checkHost }: CheckupOptions): Checkup => ({
  ...{ isReachable: !isUnreachable(trouble), server: null, isCluster: null, promises: [], capacity: null },
  checks: [failedWith(isUnreachable(trouble) ? 'connection' : 'start', trouble), ...(checkHost?.(false) ?? [])],
});
