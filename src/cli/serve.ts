/** `stampede serve`: the engine as one process, as a supervisor of gateways, or as one gateway. */
import {
  archiveFolderProblem,
  type Config,
  commandHelp,
  commandWithSettings,
  environment,
  gatewayUrl,
  loadConfig,
  probePort,
  VERSION,
  workerEnvironment,
  workerNumber,
} from '../config/index.ts';
import { type RedisTrouble, troubleText } from '../domain/health.ts';
import { type Addresses, createEngine, type Engine } from '../main.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { type Command, printError, refuse } from './command.ts';
import { createGatewayPool, type FromWorker, type ToWorker } from './gateway-pool.ts';
import { runService, type Service, stoppedBySignal } from './lifetime.ts';

/** Gateways whose supervisor was killed have left the port by then. */
const LEFT_GATEWAYS_MS = 3_000;
const DESCRIPTION = `Runs the engine until SIGTERM or Ctrl-C, then drains: refuses new connections, notifies clients
when and where to reconnect, finishes running requests, closes Redis and exits with 0. A second signal
ends it immediately. Without REDIS_URL it starts an embedded redis-server in DATA_DIR.`;
const FORGETS =
  'Redis does not write commits to its disk: a restart of Redis loses shows and orders. ' +
  'Run: CONFIG SET appendonly yes, CONFIG SET appendfsync everysec, and set both in redis.conf.';
const help = (): string => commandHelp(commandWithSettings('stampede serve [flags]', DESCRIPTION));

async function run(argv: readonly string[]): Promise<number> {
  const loaded = loadConfig({ argv, env: environment(), purpose: 'serve' });
  if (!loaded.ok) return refuse('serve', loaded.errors);
  const { config } = loaded;
  const logger = createLogger({ level: config.logLevel, format: config.logFormat, node: config.nodeName });
  // The supervisor of a worker has logged them.
  if (workerNumber() === null)
    for (const { source, problem } of loaded.warnings) logger.warn({ setting: source }, `${source} ${problem}`);
  const code = await runAs(config, loaded.flagsAsVariables, logger);
  // Everything is closed. A timer that a library left must not keep the process alive.
  setTimeout(() => process.exit(), 500).unref();
  return code;
}

function runAs(config: Config, flagsAsVariables: Readonly<Record<string, string>>, logger: Logger): Promise<number> {
  const worker = workerNumber();
  if (worker !== null) return runService(workerService(config, logger), stoppedBySupervisor(), logger);
  const supervises = config.workers > 1 && config.roles.includes('gateway');
  const service = supervises ? supervisor(config, flagsAsVariables, logger) : single(config, logger);
  const stopped = stoppedBySignal(logger, () => service.kill());
  return runService(service, stopped, logger);
}

function single(config: Config, logger: Logger): Service {
  const engine = createEngine(config, { logger });
  return {
    async start() {
      const addresses = await engine.start();
      // Not awaited: a signal must end an engine that waits for Redis.
      void waitForRedis(engine).then(() => announce(config, addresses, engine, logger));
    },
    stop: engine.stop,
    kill: () => {},
    failed: engine.failed,
  };
}

/** Runs all roles except the gateway. The gateways are children that share the port. */
function supervisor(config: Config, flagsAsVariables: Readonly<Record<string, string>>, logger: Logger): Service {
  const pool = createGatewayPool({ workers: config.workers, flags: ['--host', config.host], logger });
  let engine: Engine | null = null;
  let fail: (reason: string) => void = () => {};
  const failed = new Promise<string>((resolve) => {
    fail = resolve;
  });
  return {
    failed,
    async start() {
      const gatewayPort = await probePort(config.host, config.gatewayPort, 'GATEWAY_PORT', LEFT_GATEWAYS_MS);
      const roles = Object.freeze(config.roles.filter((role) => role !== 'gateway'));
      const running = createEngine(Object.freeze({ ...config, gatewayPort, roles }), { logger, pool });
      engine = running;
      running.failed.then(fail);
      const addresses = await running.start();
      const environmentOf = (worker: number): Record<string, string> =>
        workerEnvironment(
          {
            worker,
            redisUrl: config.redis === null ? addresses.redis : null,
            gatewayPort,
            nodeName: `${config.nodeName.slice(0, 60)}-${worker}`,
            authSecret: running.secrets.authSecret,
          },
          flagsAsVariables,
        );
      try {
        await pool.start(environmentOf);
      } catch (error) {
        await running.stop();
        throw error;
      }
      const all = { ...addresses, gatewayPort, gateway: gatewayUrl(config, gatewayPort) };
      void Promise.all([waitForRedis(running), pool.ready]).then(() => announce(config, all, running, logger));
    },
    async stop() {
      await pool.stop();
      await engine?.stop();
    },
    kill: pool.kill,
  };
}

function workerService(config: Config, logger: Logger): Service {
  const engine = createEngine(config, { logger, sharedGatewayPort: true });
  return {
    async start() {
      process.on('message', (message: ToWorker) => {
        if (message.kind === 'metrics') void replyWithMetrics(engine, message.request);
      });
      await engine.start();
      notifySupervisor({ kind: 'listening' });
      void engine.ready().then(() => notifySupervisor({ kind: 'ready' }));
    },
    async stop() {
      await engine.stop();
      if (process.connected) process.disconnect();
    },
    kill: () => {},
    failed: engine.failed,
  };
}

/** Sends nothing if the supervisor is gone. */
function notifySupervisor(message: FromWorker): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

async function replyWithMetrics(engine: Engine, request: number): Promise<void> {
  notifySupervisor({ kind: 'metrics', request, families: await engine.metrics() });
}

/**
 * Resolves at a drain message, at SIGTERM, or when the supervisor dies. A terminal sends Ctrl-C and
 * its end to all processes; the supervisor decides what they mean.
 */
function stoppedBySupervisor(): Promise<string> {
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
  return new Promise((resolve) => {
    process.on('SIGTERM', () => resolve('SIGTERM'));
    process.once('disconnect', () => resolve('supervisor died'));
    // It may have died while this process loaded its modules.
    if (!process.connected) resolve('supervisor died');
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'drain') resolve('supervisor drains');
    });
  });
}

/** Prints why Redis cannot be used, each reason once, until it can. */
async function waitForRedis(engine: Engine): Promise<void> {
  const printed = new Set<string>();
  const print = (trouble: RedisTrouble | null): void => {
    if (trouble === null || trouble.state === 'connecting') return;
    const text = `Waiting for Redis: ${troubleText(trouble)}`;
    if (!printed.has(text)) printError(text);
    printed.add(text);
  };
  print(engine.store.trouble());
  const stop = engine.store.watchTrouble(print);
  await engine.ready();
  stop();
}

/** Returns where ended shows are archived, or why they are not. */
function archivePlace(config: Config): string {
  const problem = archiveFolderProblem(config, { isReadOnly: true });
  if (problem !== null) return `none: ${problem}. Ended shows stay in Redis`;
  return `${config.archiveDir}${config.isArchiveDirDefault ? ' (ARCHIVE_DIR is not set)' : ''}`;
}

/** Prints the addresses for people and logs the same facts for programs. */
function announce(config: Config, addresses: Addresses, engine: Engine, logger: Logger): void {
  const { roles, workers, dataDir } = config;
  const durability = engine.durability();
  const redis = config.redis === null ? 'embedded' : 'REDIS_URL';
  logger.info({ ...addresses, redis, roles, workers, durability }, 'ready');
  if (durability === 'memory') logger.warn({ durability }, FORGETS);
  const gateways = workers > 1 ? `, ${workers} gateway processes` : '';
  const lines = [`stampede ${VERSION} is ready (${roles.join(', ')}${gateways})`];
  if (addresses.gateway) lines.push(`  gateway  ${addresses.gateway}/v1/shows/{showId}`);
  if (addresses.control) lines.push(`  control  ${addresses.control}  API docs ${addresses.control}/docs`);
  if (addresses.metricsPort !== null) lines.push(`  metrics  port ${addresses.metricsPort}, /metrics and /readyz`);
  const place = redis === 'embedded' ? `embedded, data in ${dataDir}` : 'from REDIS_URL';
  lines.push(`  redis    ${place}, durability ${durability}`);
  if (roles.some((role) => role !== 'gateway')) lines.push(`  archive  ${archivePlace(config)}`);
  if (durability === 'memory') lines.push(`  WARNING  ${FORGETS}`);
  for (const [name, secret] of Object.entries(engine.secrets.newApiKeys))
    lines.push(
      `  API key  ${secret}`,
      `           named "${name}", printed this once; kept in ${dataDir}/secrets.json`,
    );
  if (redis === 'embedded' && config.apiKeys === null && Object.keys(engine.secrets.newApiKeys).length === 0)
    lines.push(`  API key  kept in ${dataDir}/secrets.json since the first start`);
  printError(lines.join('\n'));
}

export const serve: Command = { help, run };
