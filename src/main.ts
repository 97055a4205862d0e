/**
 * The composition root: builds the parts a configuration asks for, starts them in order, and stops
 * them in reverse. Nothing else knows all of them: gateway, control, jobs and Redis meet here.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createApiKeys } from './auth/api-keys.ts';
import { createTokens, type Tokens } from './auth/tokens.ts';
import { type Config, type EngineRole, ensureSecrets, portTrouble, probePort, type Secrets } from './config/index.ts';
import { createControl } from './control/index.ts';
import type { Durability } from './domain/health.ts';
import { createGateway } from './gateway/index.ts';
import { createJobs, type Jobs } from './jobs/index.ts';
import { type ConnectedStore, connect, connectStore, startEmbeddedRedis } from './redis/index.ts';
import { createLogger, type Logger } from './telemetry/logger.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';

export { type Config, loadConfig, mistakesText } from './config/index.ts';

export interface EngineOptions {
  readonly logger?: Logger;
  /**
   * Several gateway processes share the port (SO_REUSEPORT); whoever starts them has checked that
   * it was free.
   */
  readonly sharedGatewayPort?: boolean;
  /** A label for `/healthz`, the API docs and the log; package.json's version unless given. */
  readonly version?: string;
}

export interface Addresses {
  /** Where a WebSocket client connects, without path; null without the gateway role. */
  readonly gateway: string | null;
  readonly gatewayPort: number | null;
  /** The control API, the API docs and the pages; null without the control role. */
  readonly control: string | null;
  readonly controlPort: number | null;
  /** For another process of this host; an embedded Redis answers on a unix socket. */
  readonly redis: string;
}

export interface Engine {
  /**
   * Resolves when every role serves. Rejects with what to do about it, having stopped what had
   * started.
   */
  start(): Promise<Addresses>;
  /**
   * Stops accepting, tells clients when and where to come back, finishes what is in flight, then
   * closes jobs, control, Redis. Safe to call at any time and more than once.
   */
  stop(): Promise<void>;
  /** Known after `start`. */
  readonly store: ConnectedStore;
  readonly secrets: Secrets;
  durability(): Durability;
}

/** The build keeps the layout of the sources below dist/. */
const COMPILED = import.meta.url.endsWith('.js');
const MANIFEST = new URL(COMPILED ? '../../package.json' : '../package.json', import.meta.url);
export const VERSION: string = (JSON.parse(readFileSync(MANIFEST, 'utf8')) as { version: string }).version;

/** What was started, newest last; stopping goes backwards. */
interface Part {
  readonly name: string;
  stop(): Promise<void>;
}

export function createEngine(config: Config, options: EngineOptions = {}): Engine {
  const logger = options.logger ?? createLogger({ level: config.logLevel, node: config.nodeName });
  const parts: Part[] = [];
  let store: ConnectedStore | null = null;
  let secrets: Secrets | null = null;
  let stopping: Promise<void> | null = null;

  const started = <T>(what: T | null): T => {
    if (what === null) throw new Error('the engine has not started yet');
    return what;
  };

  async function start(): Promise<Addresses> {
    try {
      secrets = ensureSecrets(config);
      const redis = await openRedis(config, logger, parts);
      const metrics = createMetrics({ node: config.nodeName });
      const onScript = (script: string, elapsedMs: number): void =>
        metrics.scriptSeconds.observe({ script }, elapsedMs / 1000);
      store = await connectStore({ url: redis, keyPrefix: config.keyPrefix, logger, onScript });
      parts.push({ name: 'store', stop: store.close });
      return { ...(await startRoles({ config, options, logger, metrics, parts, store, secrets, redis })), redis };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async function stop(): Promise<void> {
    stopping ??= stopAll(parts, logger);
    await stopping;
  }

  return {
    start,
    stop,
    get store() {
      return started(store);
    },
    get secrets() {
      return started(secrets);
    },
    durability: () => store?.durability() ?? 'unknown',
  };
}

/** The URL everything connects to; starts the embedded server where none is configured. */
async function openRedis(config: Config, logger: Logger, parts: Part[]): Promise<string> {
  if (config.redisUrl !== null) return config.redisUrl;
  const embedded = await startEmbeddedRedis({ dataDir: config.dataDir, logger, appendfsync: config.appendfsync });
  parts.push({ name: 'embedded Redis', stop: embedded.stop });
  return embedded.url;
}

interface Parts {
  readonly config: Config;
  readonly options: EngineOptions;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly parts: Part[];
  readonly store: ConnectedStore;
  readonly secrets: Secrets;
  readonly redis: string;
}

/**
 * Jobs first (nothing waits for them), then the doors: gateway, and control last, because its
 * readiness speaks for all.
 */
async function startRoles(built: Parts): Promise<Omit<Addresses, 'redis'>> {
  const { config, secrets, store } = built;
  const has = (role: EngineRole): boolean => config.roles.includes(role);
  const tokens = has('gateway') || has('control') ? tokensOf(config, secrets, store) : null;

  const jobs = has('jobs') ? await startJobs(built) : null;
  const gatewayPort = has('gateway') && tokens ? await startGateway(built, tokens) : null;
  const controlPort =
    has('control') && tokens ? await startControl(built, tokens, jobs, gatewayPort ?? config.gatewayPort) : null;
  return {
    gateway: gatewayPort === null ? null : gatewayUrl(config, gatewayPort),
    gatewayPort,
    control: controlPort === null ? null : `http://${reachable(config.host)}:${controlPort}`,
    controlPort,
  };
}

function tokensOf(config: Config, secrets: Secrets, store: ConnectedStore): Tokens {
  const secret = secrets.authSecret === null ? {} : { secret: secrets.authSecret };
  return createTokens({ ...secret, publicKeys: config.authPublicKeys, nowMs: () => store.now() });
}

/**
 * BullMQ connects by itself, except to a Cluster: there it takes a client, which is ours to close
 * after it.
 */
function jobsConnection(redis: string, parts: Part[]): { url: string } | { client: ReturnType<typeof connect> } {
  if (!redis.includes(',')) return { url: redis };
  const client = connect(redis, { waits: true });
  client.connect().catch(() => {});
  parts.push({ name: 'jobs connection', stop: async () => client.disconnect() });
  return { client };
}

async function startJobs({ config, logger, metrics, parts, store, redis }: Parts): Promise<Jobs> {
  const connection = jobsConnection(redis, parts);
  const jobs = createJobs({ store, connection, keyPrefix: config.keyPrefix, logger, metrics });
  parts.push({ name: 'jobs', stop: jobs.stop });
  await jobs.start();
  return jobs;
}

async function startGateway(
  { config, options, logger, metrics, parts, store }: Parts,
  tokens: Tokens,
): Promise<number> {
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
      allowedOrigins: config.allowedOrigins === null ? null : [...config.allowedOrigins],
      trustedProxies: config.trustedProxies,
      tls: config.tls,
      limits: {
        perNodeMax: config.connectionsMax,
        perAddressMax: config.connectionsPerAddress,
        joinsPerSecond: config.joinsPerSecond,
      },
      rates: { chatPerSecond: config.chatPerSecond, requestsPerSecond: config.requestsPerSecond },
      ...(config.publicGatewayUrl === null ? {} : { reconnectUrl: config.publicGatewayUrl }),
    },
  });
  parts.push({ name: 'gateway', stop: () => gateway.drain() });
  try {
    return (await gateway.listen()).port;
  } catch (error) {
    // The socket server only says no. Asking the system ourselves tells why; if it tells nothing,
    // the first answer stands.
    await probePort(config.host, config.gatewayPort, 'GATEWAY_PORT');
    throw error;
  }
}

async function startControl(built: Parts, tokens: Tokens, jobs: Jobs | null, gatewayPort: number): Promise<number> {
  const { config, options, logger, metrics, parts, store, secrets } = built;
  const control = await createControl({
    store,
    tokens,
    apiKeys: createApiKeys(secrets.apiKeys),
    logger,
    metrics,
    options: {
      version: options.version ?? VERSION,
      node: config.nodeName,
      publicGatewayUrl: config.publicGatewayUrl,
      gatewayPort,
      corsOrigins: config.corsOrigins ?? ['*'],
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
    throw portTrouble('CONTROL_PORT', config.host, config.controlPort, cause);
  }
  const address = control.server.address();
  return typeof address === 'object' && address !== null ? address.port : config.controlPort;
}

/**
 * Pages lie beside this file in src and in dist; browsers get compiled scripts, so from src they
 * come out of the last build.
 */
function webFolders(): { pages: string; scripts: string } | null {
  const pages = fileURLToPath(new URL('./web', import.meta.url));
  const scripts = fileURLToPath(new URL(COMPILED ? '.' : '../dist/src', import.meta.url));
  return existsSync(pages) && existsSync(scripts) ? { pages, scripts } : null;
}

/** Where a client connects, without path. */
export function gatewayUrl(
  { publicGatewayUrl, tls, host }: Pick<Config, 'publicGatewayUrl' | 'tls' | 'host'>,
  port: number,
): string {
  return publicGatewayUrl ?? `${tls === null ? 'ws' : 'wss'}://${reachable(host)}:${port}`;
}

/** What a browser on this machine would type. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Backwards, each whatever became of the others: one part that fails to close must not keep Redis
 * open.
 */
async function stopAll(parts: readonly Part[], logger: Logger): Promise<void> {
  // The gateway leaves first: its viewers need every second of the drain, and what they have in
  // flight needs all the rest.
  const order = [...parts].reverse().sort((a, b) => Number(b.name === 'gateway') - Number(a.name === 'gateway'));
  for (const { name, stop } of order) {
    try {
      await stop();
    } catch (err) {
      logger.error({ err, part: name }, 'did not stop cleanly');
    }
  }
}
