/**
 * `stampede serve`: the engine, as one process, as a supervisor of gateway processes, or as one of
 * these.
 */
import {
  type Config,
  environment,
  loadConfig,
  probePort,
  settingsHelp,
  workerEnvironment,
  workerNumber,
} from '../config/index.ts';
import { type Addresses, createEngine, type Engine, gatewayUrl, VERSION } from '../main.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { type Command, complain, refuse } from './command.ts';
import { createGatewayPool, type FromWorker, type GatewayPool, type ToWorker } from './gateway-pool.ts';
import { askedBySignal, live, type Service } from './lifetime.ts';

function help(): string {
  return `stampede serve [flags]

Runs the engine until SIGTERM or Ctrl-C, then drains: stops accepting, tells clients when and where to come back, finishes what is in
flight, closes Redis, exits 0. A second signal ends it at once. Without REDIS_URL it starts a redis-server of its own in DATA_DIR.

${settingsHelp()}`;
}

async function run(argv: readonly string[]): Promise<number> {
  const loaded = loadConfig({ argv, env: environment(), purpose: 'serve' });
  if (!loaded.ok) return refuse('serve', loaded.mistakes);
  const { config } = loaded;
  const logger = createLogger({ level: config.logLevel, node: config.nodeName });
  const code = await runAs(config, loaded.flagsAsVariables, logger);
  // Everything is closed by now. Should a library keep a timer, it does not keep the process: this
  // one does not count itself.
  setTimeout(() => process.exit(), 500).unref();
  return code;
}

function runAs(config: Config, flagsAsVariables: Readonly<Record<string, string>>, logger: Logger): Promise<number> {
  const worker = workerNumber();
  if (worker !== null) return live(workerService(config, logger), askedBySupervisor(), logger);
  const supervises = config.workers > 1 && config.roles.includes('gateway');
  const service = supervises ? supervisor(config, flagsAsVariables, logger) : single(config, logger);
  return live(
    service,
    askedBySignal(() => service.kill()),
    logger,
  );
}

function single(config: Config, logger: Logger): Service {
  const engine = createEngine(config, { logger });
  return {
    start: async () => announce(config, await engine.start(), engine, logger),
    stop: engine.stop,
    kill: () => {},
  };
}

/** Runs every role but the gateway itself; the gateways are children that share the port. */
function supervisor(config: Config, flagsAsVariables: Readonly<Record<string, string>>, logger: Logger): Service {
  let engine: Engine | null = null;
  let pool: GatewayPool | null = null;
  return {
    async start() {
      const gatewayPort = await probePort(config.host, config.gatewayPort, 'GATEWAY_PORT');
      const roles = Object.freeze(config.roles.filter((role) => role !== 'gateway'));
      const running = createEngine(Object.freeze({ ...config, gatewayPort, roles }), { logger });
      engine = running;
      const addresses = await running.start();
      const environmentOf = (worker: number): Record<string, string> =>
        workerEnvironment(
          {
            worker,
            redisUrl: addresses.redis,
            gatewayPort,
            nodeName: `${config.nodeName.slice(0, 60)}-${worker}`,
            authSecret: running.secrets.authSecret,
          },
          flagsAsVariables,
        );
      pool = createGatewayPool({ workers: config.workers, environmentOf, logger });
      try {
        await pool.start();
      } catch (error) {
        await running.stop();
        throw error;
      }
      announce(config, { ...addresses, gatewayPort, gateway: gatewayUrl(config, gatewayPort) }, running, logger);
    },
    async stop() {
      await pool?.stop();
      await engine?.stop();
    },
    kill: () => pool?.kill(),
  };
}

function workerService(config: Config, logger: Logger): Service {
  const engine = createEngine(config, { logger, sharedGatewayPort: true });
  return {
    async start() {
      await engine.start();
      process.send?.({ kind: 'ready' } satisfies FromWorker);
    },
    async stop() {
      await engine.stop();
      if (process.connected) process.disconnect();
    },
    kill: () => {},
  };
}

/**
 * A worker drains when it is told to, when somebody ends it alone, and when its supervisor is gone.
 * Ctrl-C is the supervisor's to answer.
 */
function askedBySupervisor(): Promise<string> {
  process.on('SIGINT', () => {});
  return new Promise((resolve) => {
    process.on('SIGTERM', () => resolve('SIGTERM'));
    process.once('disconnect', () => resolve('the supervisor is gone'));
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'drain') resolve('the supervisor drains');
    });
  });
}

/** For people on standard error; for programs one log line with the same facts. */
function announce(config: Config, addresses: Addresses, engine: Engine, logger: Logger): void {
  const durability = engine.durability();
  logger.info(
    {
      ...addresses,
      redis: config.redisUrl === null ? 'embedded' : 'REDIS_URL',
      roles: config.roles,
      workers: config.workers,
      durability,
    },
    'ready',
  );
  const lines = [
    `stampede ${VERSION} is ready (${config.roles.join(', ')}${config.workers > 1 ? `, ${config.workers} gateway processes` : ''})`,
  ];
  if (addresses.gateway) lines.push(`  gateway  ${addresses.gateway}/v1/shows/{showId}`);
  if (addresses.control) lines.push(`  control  ${addresses.control}  API docs ${addresses.control}/docs`);
  lines.push(
    `  redis    ${config.redisUrl === null ? `embedded, data in ${config.dataDir}` : 'as REDIS_URL says'}, durability ${durability}`,
  );
  for (const [name, secret] of Object.entries(engine.secrets.madeApiKeys))
    lines.push(
      `  API key  ${secret}`,
      `           made now, named "${name}", shown this once; kept in ${config.dataDir}/secrets.json`,
    );
  complain(lines.join('\n'));
}

export const serve: Command = { help, run };
