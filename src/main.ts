/** The composition root: builds the parts of the engine, starts them in order and stops them. */
import { join } from 'node:path';
import type { RunningArchives, RunningErasures } from './archive/index.ts';
import { type ApiKeys, createApiKeys } from './auth/api-keys.ts';
import { createTokens, type Tokens } from './auth/tokens.ts';
import {
  archiveFolderKeeper,
  type Config,
  type EngineRole,
  ensureSecrets,
  gatewayUrl,
  listenError,
  prepareFolder,
  probePort,
  reachableHost,
  type Secrets,
  VERSION,
} from './config/index.ts';
import type { Durability } from './domain/health.ts';
import { describeTarget, type RedisTarget } from './domain/redis-target.ts';
import type { CountHolds } from './domain/reservation.ts';
import { sharedRead } from './domain/shared-read.ts';
import type { Jobs, JobsConnection } from './jobs/index.ts';
import { type ConnectedStore, connectJobs, createStore, EmbeddedRedis, type Recovered } from './redis/index.ts';
import { expositionText, familiesOf, type MetricFamily } from './telemetry/exposition.ts';
import { createLogger, type Logger } from './telemetry/logger.ts';
import { createMetrics, type Metrics, type WorkerState } from './telemetry/metrics.ts';
import { startOperationsServer } from './telemetry/operations-server.ts';
import { createReadiness, type Readiness } from './telemetry/readiness.ts';

export { type Config, configErrorsText, loadConfig } from './config/index.ts';

export interface EngineOptions {
  readonly logger?: Logger;
  /** Gateway processes that the caller runs beside this engine. */
  readonly pool?: EnginePool;
  /** Gateway processes share the port (SO_REUSEPORT). The caller has checked that it was free. */
  readonly sharedGatewayPort?: boolean;
  /** For `/healthz`, the API docs and the log. Default: the version in package.json. */
  readonly version?: string;
}

export interface EnginePool {
  workers(): readonly WorkerState[];
  scrape(): Promise<MetricFamily[][]>;
  /** The caller has begun to stop them. */
  isDraining(): boolean;
}

export interface Addresses {
  /** WebSocket URL without path; null without the gateway role. */
  readonly gateway: string | null;
  readonly gatewayPort: number | null;
  /** URL of the control API, the docs and the pages; null without the control role. */
  readonly control: string | null;
  readonly controlPort: number | null;
  /** Port of metrics and probes; null unless METRICS_PORT is set. */
  readonly metricsPort: number | null;
  /** URL of Redis without user and password; complete for an embedded Redis. */
  readonly redis: string;
}

export interface Engine {
  /**
   * Resolves when all ports are open. Redis may be unavailable until `ready`: requests are refused
   * with the reason. On failure stops what has started, then rejects.
   */
  start(): Promise<Addresses>;
  /** Resolves when Redis can be used and jobs run for the first time, never if stopped before. */
  ready(): Promise<void>;
  /** Drains the gateway, then closes all other parts. May be called at any time and repeatedly. */
  stop(): Promise<void>;
  /** Resolves with the reason if the engine cannot go on: its embedded Redis does not stay up. */
  readonly failed: Promise<string>;
  /** Available after `start`. */
  readonly store: ConnectedStore;
  readonly secrets: Secrets;
  durability(): Durability;
  /** The metrics of this process. */
  metrics(): Promise<MetricFamily[]>;
}

/** A started part of the engine. */
interface Part {
  readonly name: string;
  stop(): Promise<void>;
}

export function createEngine(config: Config, options: EngineOptions = {}): Engine {
  const logger =
    options.logger ?? createLogger({ level: config.logLevel, format: config.logFormat, node: config.nodeName });
  const parts: Part[] = [];
  let store: ConnectedStore | null = null;
  let jobsRun: Promise<void> = Promise.resolve();
  let secrets: Secrets | null = null;
  let stopping: Promise<void> | null = null;
  let registry: Metrics['registry'] | null = null;
  let fail: (reason: string) => void = () => {};
  const failed = new Promise<string>((resolve) => {
    fail = resolve;
  });

  const started = <T>(part: T | null): T => {
    if (part === null) throw new Error('the engine has not started. Call start() first.');
    return part;
  };

  async function start(): Promise<Addresses> {
    try {
      await loadRoles(config.roles);
      const metrics = createMetrics({ node: config.nodeName });
      const redis = await openRedis(config, logger, metrics, parts, fail);
      secrets = ensureSecrets(config);
      const onScript = (script: string, elapsedMs: number): void =>
        metrics.scriptSeconds.observe({ script }, elapsedMs / 1000);
      const onRecovered = ({ untrusted, repaired }: Recovered): void =>
        metrics.booksVerified.add(untrusted.length > 0 ? 'untrusted' : repaired.length > 0 ? 'repaired' : 'intact');
      const { keyPrefix, nodeName: node, redisScripts: scripts, redisPublish: publish, holdMax: holdMaxMs } = config;
      const onNodeNameShared = (isShared: boolean): void => metrics.nodeNameShared.set(Number(isShared));
      const onHolds: CountHolds = (outcome, holds, units) => {
        metrics.holds.add(outcome, holds);
        metrics.units.add(outcome, units);
      };
      const observers = { onScript, onRecovered, onNodeNameShared, onHolds, onOrder: metrics.revenue.add };
      const runsJobs = config.roles.includes('jobs');
      store = createStore({ redis, keyPrefix, logger, node, scripts, publish, runsJobs, holdMaxMs, ...observers });
      parts.push({ name: 'store', stop: store.close });
      const isDraining = (): boolean => stopping !== null || options.pool?.isDraining() === true;
      const context = { config, options, logger, metrics, parts, store, secrets, redis, isDraining };
      registry = metrics.registry;
      const metricsPort = await startOperations(context);
      const roles = await startRoles(context);
      jobsRun = roles.jobsRun;
      if (stopping !== null) throw new Error('The engine was stopped while it started.');
      return { ...roles.addresses, metricsPort, redis: describeTarget(redis) };
    } catch (error) {
      await stop();
      // What started after a stop.
      await stopAll(parts, logger);
      throw error;
    }
  }

  async function stop(): Promise<void> {
    stopping ??= stopAll(parts, logger);
    await stopping;
  }

  return {
    start,
    async ready() {
      await started(store).ready();
      await jobsRun;
      // Jobs that were stopped do not run.
      if (stopping !== null) await new Promise(() => {});
    },
    stop,
    failed,
    get store() {
      return started(store);
    },
    get secrets() {
      return started(secrets);
    },
    durability: () => store?.durability() ?? 'unknown',
    metrics: async () => (registry === null ? [] : familiesOf(registry)),
  };
}

/**
 * Loads the code of these roles only: control and jobs would double the start of a gateway worker.
 * Done before Redis is connected, because a busy process misses replies.
 */
async function loadRoles(roles: readonly EngineRole[]): Promise<void> {
  if (roles.includes('gateway')) await import('./gateway/index.ts');
  if (roles.includes('control')) await import('./control/index.ts');
  if (roles.includes('jobs')) await import('./jobs/index.ts');
}

/** Returns the configured Redis. Starts the embedded server if there is none. */
async function openRedis(
  { redis, dataDir, nodeName, appendfsync, maxMemory }: Config,
  logger: Logger,
  metrics: Metrics,
  parts: Part[],
  onFailed: (reason: string) => void,
): Promise<RedisTarget> {
  if (redis !== null) return redis;
  const folder = prepareFolder(join(dataDir, 'redis'));
  const embedded = new EmbeddedRedis({ folder, node: nodeName, logger, appendfsync, maxMemory });
  parts.push({ name: 'embedded Redis', stop: () => embedded.stop() });
  await embedded.start();
  embedded.failed.then(onFailed);
  metrics.observe({ embeddedRestarts: () => embedded.restarts });
  return embedded.target;
}

interface Context {
  readonly config: Config;
  readonly options: EngineOptions;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly parts: Part[];
  readonly store: ConnectedStore;
  readonly secrets: Secrets;
  readonly redis: RedisTarget;
  readonly isDraining: () => boolean;
}

/** The readiness of this process and of the workers beside it. */
function readinessOf({ config, options, store, isDraining }: Context, servesViewers: boolean): Readiness {
  const { pool, version = VERSION } = options;
  const workers = pool === undefined ? undefined : () => pool.workers();
  return createReadiness({ health: store, node: config.nodeName, version, isDraining, servesViewers, workers });
}

/** Returns the text of a scrape, which serves all who ask while it runs. */
const scrapeOf = ({ options, metrics }: Context): (() => Promise<string>) =>
  sharedRead(async () => {
    // First, so that the text says which of them replied.
    const workers = (await options.pool?.scrape()) ?? [];
    return expositionText([await familiesOf(metrics.registry), ...workers]);
  }, 0);

/** Gives the metrics their sources, and opens METRICS_PORT. Returns its number. */
async function startOperations(context: Context): Promise<number | null> {
  const { config, options, metrics, parts, store } = context;
  const { metricsHost, metricsPort: port, metricsToken } = config;
  const { pool, version = VERSION } = options;
  const readiness = readinessOf(context, config.roles.includes('gateway') || pool !== undefined);
  metrics.observe({ version, health: store, isReady: () => readiness.report().ready });
  if (pool !== undefined) metrics.observe({ workers: () => pool.workers() });
  if (port === null) return null;
  const host = metricsHost ?? config.host;
  const keys = scrapeKeysOf(config);
  const mayScrape = (token = ''): boolean => metricsToken === null || keys.check(token) !== null;
  const server = await startOperationsServer({
    ...{ host, port, readiness, mayScrape, node: config.nodeName, scrape: scrapeOf(context) },
  }).catch((cause: unknown) => {
    throw listenError('METRICS_PORT', host, port, cause);
  });
  parts.push({ name: 'metrics', stop: server.stop });
  return server.port;
}

const scrapeKeysOf = ({ metricsToken }: Config): ApiKeys =>
  createApiKeys(metricsToken === null ? {} : { metrics: metricsToken });

/** Control starts last, because its readiness covers all roles. */
async function startRoles(context: Context): Promise<{
  addresses: Omit<Addresses, 'redis' | 'metricsPort'>;
  jobsRun: Promise<void>;
}> {
  const { config, secrets, store } = context;
  const has = (role: EngineRole): boolean => config.roles.includes(role);
  const tokens = has('gateway') || has('control') ? createViewerTokens(config, secrets, store) : null;

  const ends = has('jobs') || has('control') ? await createArchivesOn(context) : null;
  const jobs = has('jobs') && ends ? await createJobsOn(context, ends) : null;
  // It waits for Redis, and the ports do not wait for it.
  const jobsRun = jobs?.start() ?? Promise.resolve();
  const gatewayPort = has('gateway') && tokens ? await startGateway(context, tokens) : null;
  const controlPort =
    has('control') && tokens && ends
      ? await startControl({ ...context, ...ends, tokens, jobs }, gatewayPort ?? config.gatewayPort)
      : null;
  const addresses = {
    gateway: gatewayPort === null ? null : gatewayUrl(config, gatewayPort),
    gatewayPort,
    control: controlPort === null ? null : `http://${reachableHost(config.host)}:${controlPort}`,
    controlPort,
  };
  return { addresses, jobsRun };
}

function createViewerTokens(config: Config, secrets: Secrets, store: ConnectedStore): Tokens {
  const secret = secrets.authSecret === null ? {} : { secret: secrets.authSecret };
  return createTokens({ ...secret, publicKeys: config.authPublicKeys, nowMs: () => store.now() });
}

type Ends = { readonly archives: RunningArchives; readonly erasures: RunningErasures };

async function createArchivesOn({ config, options, logger, parts, store }: Context): Promise<Ends> {
  const { createArchives, createErasures } = await import('./archive/index.ts');
  const folder = config.archiveDir;
  const archives = createArchives({
    ...{ store, folder, retentionMs: config.retention, version: options.version ?? VERSION },
    prepareFolder: archiveFolderKeeper(),
    logger: logger.child({ part: 'archive' }),
  });
  void store.ready().then(() => archives.checkFolder());
  const erasures = createErasures({ store, folder, logger: logger.child({ part: 'erasure' }) });
  parts.push({ name: 'archives', stop: archives.stop }, { name: 'erasures', stop: erasures.stop });
  return { archives, erasures };
}

async function createJobsOn(context: Context, { archives, erasures }: Ends): Promise<Jobs> {
  const { config, logger, metrics, parts, store, redis } = context;
  const { createJobs, createRetention, createSaleTotals } = await import('./jobs/index.ts');
  const isList = redis.servers.length > 1 && redis.sentinel === null;
  const connect = (): JobsConnection => connectJobs(redis, store.redisCapabilities()?.isCluster ?? isList);
  const retention = createRetention({ store, archives, erasures, retentionMs: config.retention, logger });
  const jobs = createJobs({ store, connect, keyPrefix: config.keyPrefix, retention, logger, metrics });
  parts.push({ name: 'jobs', stop: jobs.stop });
  metrics.observe({ saleTotals: createSaleTotals(store) });
  return jobs;
}

async function startGateway(
  { config, options, logger, metrics, parts, store }: Context,
  tokens: Tokens,
): Promise<number> {
  const { createGateway } = await import('./gateway/index.ts');
  const gateway = createGateway({
    store,
    log: store,
    tokens,
    logger,
    metrics,
    options: {
      host: config.host,
      port: config.gatewayPort,
      exclusive: !options.sharedGatewayPort,
      node: config.nodeName,
      version: options.version ?? VERSION,
      allowedOrigins: config.allowedOrigins === null ? null : [...config.allowedOrigins],
      trustedProxies: config.trustedProxies,
      tls: config.tls,
      limits: {
        perNodeMax: config.connectionsMax,
        perAddressMax: config.connectionsPerAddress,
        perUserMax: config.connectionsPerUser,
        joinsPerSecond: config.joinsPerSecond,
        joinsPerSecondPerAddress: config.joinsPerSecondPerAddress,
        guestBytesPerSecond: config.guestBytesPerSecond,
      },
      rates: { chatPerSecond: config.chatPerSecond, requestsPerSecond: config.requestsPerSecond },
      ...(config.publicGatewayUrl === null ? {} : { reconnectUrl: config.publicGatewayUrl }),
    },
  });
  parts.push({ name: 'gateway', stop: () => gateway.drain() });
  try {
    return (await gateway.listen()).port;
  } catch (error) {
    // The socket server gives no reason. Binding the port ourselves throws an error with one.
    await probePort(config.host, config.gatewayPort, 'GATEWAY_PORT');
    throw error;
  }
}

type ControlContext = Context & Ends & { tokens: Tokens; jobs: Jobs | null };

async function startControl(context: ControlContext, gatewayPort: number): Promise<number> {
  const { config, options, logger, metrics, parts, store, secrets, tokens, archives, erasures, jobs } = context;
  const { createControl, webFolders } = await import('./control/index.ts');
  const control = await createControl({
    ...{ store, archives, erasures, tokens, logger, metrics },
    apiKeys: createApiKeys(secrets.apiKeys),
    scrape: scrapeOf(context),
    scrapeKeys: scrapeKeysOf(config),
    readiness: readinessOf(context, false),
    options: {
      version: options.version ?? VERSION,
      node: config.nodeName,
      publicGatewayUrl: config.publicGatewayUrl,
      gatewayPort,
      rates: { readsPerMinute: config.httpReadsPerMinute, commandsPerMinute: config.httpCommandsPerMinute },
      ...{ corsOrigins: config.corsOrigins, frameAncestors: config.frameAncestors },
      web: webFolders(),
      demoTokens: config.demoTokens,
      trustedProxies: config.trustedProxies,
      gatewayTls: config.tls !== null,
    },
    ...(jobs === null ? {} : { onSaleChanged: (showId, sale) => jobs.planSale(showId, sale) }),
  });
  parts.push({ name: 'control', stop: () => control.close() });
  try {
    await control.listen({ host: config.host, port: config.controlPort });
  } catch (cause) {
    throw listenError('CONTROL_PORT', config.host, config.controlPort, cause);
  }
  const address = control.server.address();
  return typeof address === 'object' && address !== null ? address.port : config.controlPort;
}

/** Stops the newest part first. A part that fails to stop does not keep the others running. */
async function stopAll(parts: Part[], logger: Logger): Promise<void> {
  // The gateway drains first: running requests of its viewers need all other parts.
  const order = parts
    .splice(0)
    .reverse()
    .sort((a, b) => Number(b.name === 'gateway') - Number(a.name === 'gateway'));
  for (const { name, stop } of order) {
    try {
      await stop();
    } catch (err) {
      logger.error({ err, part: name }, 'stop failed');
    }
  }
}
