/** Commands on the shows of one Redis: connects, runs one, and closes. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Config,
  type ConfigError,
  commandHelp,
  commandWithSettings,
  type OwnFlags,
  prepareFolder,
  REDIS_PARTS,
} from '../config/index.ts';
import { troubleText } from '../domain/health.ts';
import { describeTarget } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import type { Failure } from '../protocol/codes.ts';
import { type ConnectedStore, connectStore, openEmbeddedRedis } from '../redis/index.ts';
import { createLogger } from '../telemetry/logger.ts';
import { EXIT, missingDataFolder, printError, refuse } from './command.ts';
import { unknownShow } from './unknown-show.ts';

/** How long an embedded Redis may take to be back. */
const RESTART_MS_MAX = 10_000;

const EMBEDDED_HELP = `With an embedded Redis the command connects to the engine that runs on DATA_DIR. If none runs, it
starts the server until it is done.`;

/** For a show whose archive is not in the ARCHIVE_DIR of the command. */
export const FIND_ARCHIVE = 'Set ARCHIVE_DIR as for the engine that archived the show.';

interface WithStore {
  readonly usage: string;
  readonly description: string;
  readonly own: OwnFlags;
}

/** Help of a command that needs the Redis of an installation. */
export const helpWithStore = ({ usage, description, own }: WithStore): string =>
  commandHelp(
    commandWithSettings(usage, `${description}\n\n${EMBEDDED_HELP}`, own, [
      ...REDIS_PARTS,
      'keyPrefix',
      'dataDir',
      'archiveDir',
      'logLevel',
    ]),
  );

/** @param work receives the store and the words for where it is; it returns the exit code. */
export async function withStore(
  command: string,
  config: Config,
  work: (store: ConnectedStore, place: string) => Promise<number>,
): Promise<number> {
  // A show may be imported before the first start of an engine.
  const missing = command === 'import' ? [] : missingDataFolder(config);
  if (missing.length > 0) return refuse(command, missing);
  const logger = createLogger({ level: config.logLevel === 'info' ? 'error' : config.logLevel });
  const redis =
    config.redis === null
      ? await openEmbeddedRedis({
          folder: prepareFolder(join(config.dataDir, 'redis')),
          node: `stampede ${command}`,
          maxMemory: config.maxMemory,
          logger,
        })
      : { target: config.redis, stop: async () => {} };
  try {
    const { keyPrefix, redisScripts: scripts, redisPublish: publish } = config;
    const store = await connectStore({ redis: redis.target, keyPrefix, scripts, publish, logger });
    try {
      // The engine may be restarting its server.
      if (config.redis === null) await Promise.race([store.ready(), sleep(RESTART_MS_MAX, undefined, { ref: false })]);
      const trouble = store.refusal();
      if (trouble !== null) {
        printError(`stampede ${command}: ${troubleText(trouble)}`);
        return EXIT.unreachable;
      }
      const where = config.redis === null ? `DATA_DIR ${config.dataDir}` : describeTarget(redis.target);
      return await work(store, `${where} under KEY_PREFIX ${keyPrefix}`);
    } finally {
      await store.close();
    }
  } finally {
    await redis.stop();
  }
}

export const isShowId = (text: unknown): text is string =>
  typeof text === 'string' && text !== '' && text.length <= LIMITS.idCharsMax;
export const NO_SHOW: ConfigError = {
  source: '--show',
  problem: `is needed: the id of a show, at most ${LIMITS.idCharsMax} characters.`,
};

/** Prints why a command on a show failed. Returns the exit code. */
export async function printFailure(
  command: string,
  { code, message }: Failure,
  store: ConnectedStore,
  show: string,
  place: string,
): Promise<number> {
  const missing = code === 'show_not_found' ? await store.whyMissing(show) : null;
  const isImported = missing?.ok === false && missing.error.code === 'illegal_move';
  if (isImported) printError(`stampede ${command}: ${missing.error.code}: ${missing.error.message}`);
  else {
    const text = missing === null ? message : await unknownShow(store, show, place);
    printError(`stampede ${command}: ${code}: ${text}`);
  }
  return EXIT.failed;
}
