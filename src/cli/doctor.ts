/** `stampede doctor`: whether the engine can run on this Redis and this host, and how to fix it. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  archiveFolderProblem,
  type Config,
  commandHelp,
  commandWithSettings,
  freeBytesAt,
  missingMark,
  prepareFolder,
  REDIS_PARTS,
} from '../config/index.ts';
import { type Check, type Checkup, failed, passed, skipped, warning } from '../domain/checkup.ts';
import { counted } from '../domain/counted.ts';
import { describeTarget, type RedisTarget } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import { examineRedis, openEmbeddedRedis } from '../redis/index.ts';
import { createLogger } from '../telemetry/logger.ts';
import { checkupText } from './checkup-text.ts';
import { type Command, EXIT, loadFor, missingDataFolder, print, refuse } from './command.ts';

/** The version of the shape that `--json` prints. */
const SHAPE = 1;
const NODE_MAJOR_MIN = 20;
/** Descriptors of a process beside those of its viewers. */
const OTHER_FILES = 200;

const OWN = {
  'read-only': { placeholder: null, help: 'send only commands that change nothing' },
  json: { placeholder: null, help: 'print the result as one JSON object' },
} as const;

const DESCRIPTION = `Checks that Redis and this host have everything that the engine needs. For each check it prints the
result, and how to fix a problem. Then it prints which promises of the engine hold on this server.

You can run it on a Redis in production: it takes a few seconds and less than a tenth of one core. The
keys that it writes start with KEY_PREFIX and "doctor-". It deletes them at the end, and they expire
after a minute. It also deletes the functions that it loaded. The scripts that it loaded stay in the
script cache of Redis. With --read-only it writes nothing, and does not try scripts, publishing and
speed.

With an embedded Redis it connects to the engine that runs on DATA_DIR. If none runs, it starts the
server until the checks are done.

Exit codes:
  0  no check failed; there may be warnings
  1  a check failed
  2  wrong usage or configuration
  3  Redis cannot be reached

--json prints one object with these fields:
  version    ${SHAPE}, the version of this shape
  redis, keyPrefix, server, isCluster    what was checked
  checks     [{id, state, found, remedy}]; state is passed, warning, failed or skipped
  promises   [{id, name, state, text}]; state is holds, limited, broken or unknown
  capacity   {decisionsPerSecond, batchRequests, batchMs}, or null if it was not measured
  exitCode   as above`;

const SHOWN = [
  ...REDIS_PARTS,
  'redisScripts',
  'redisPublish',
  'keyPrefix',
  'dataDir',
  'archiveDir',
  'roles',
  'workers',
  'connectionsMax',
] as const;
const ARCHIVE_REMEDY = 'Set ARCHIVE_DIR to a writable folder, in one that exists.';
const SPACE_REMEDY = 'Free some space, or move the archives to a larger disk and set ARCHIVE_DIR.';
const help = (): string =>
  commandHelp(commandWithSettings('stampede doctor [--json] [--read-only]', DESCRIPTION, OWN, SHOWN));

/** Checks of this host; a process in another container or under another user may have others. */
function hostChecks(config: Config, isReadOnly: boolean, hasArchives: boolean): Check[] {
  const { workers, connectionsMax } = config;
  const major = Number.parseInt(process.versions.node, 10);
  const node =
    major >= NODE_MAJOR_MIN
      ? passed('node', `Node.js ${process.versions.node}.`)
      : failed('node', `Node.js ${process.versions.node} is too old.`, `Install Node.js ${NODE_MAJOR_MIN} or newer.`);
  const folder = checkArchiveFolder(config, isReadOnly, hasArchives);
  return [node, checkOpenFiles(connectionsMax), checkWorkers(workers), folder];
}

/** @param hasArchives says whether shows of this installation were archived. */
export function checkArchiveFolder(config: Config, isReadOnly: boolean, hasArchives = false): Check {
  const { archiveDir, isArchiveDirDefault, roles } = config;
  const id = 'archive-folder';
  if (roles.every((role) => role === 'gateway')) return skipped(id, 'Gateways archive no shows (ROLES).');
  const problem = archiveFolderProblem(config, { isReadOnly });
  if (problem !== null)
    return isArchiveDirDefault
      ? warning(id, `ARCHIVE_DIR is not set, and ${problem}. Ended shows stay in Redis.`, ARCHIVE_REMEDY)
      : failed(id, `${problem}. The engine does not start.`, ARCHIVE_REMEDY);
  const unmarked = hasArchives ? missingMark(archiveDir) : null;
  if (unmarked !== null) {
    const found = `${unmarked.problem} Ended shows stay in Redis.`;
    return isArchiveDirDefault ? warning(id, found, unmarked.remedy) : failed(id, found, unmarked.remedy);
  }
  const free = freeBytesAt(archiveDir);
  const space = `${(free / 2 ** 30).toFixed(1)} GiB are free on its disk`;
  if (free < LIMITS.archiveFreeBytesMin) return warning(id, `${archiveDir}: ${space}.`, SPACE_REMEDY);
  const tried = isReadOnly ? 'may be written' : 'can be written, a folder in it can be renamed';
  return passed(id, `${archiveDir} ${tried}, and ${space}.`);
}

function checkOpenFiles(connectionsMax: number): Check {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const limit = Number(userLimits?.open_files?.soft ?? Number.NaN);
  if (Number.isNaN(limit)) return passed('open-files', 'The number of open files is not limited.');
  const files = counted(limit, 'file');
  const found = `A process may open ${files}. Each viewer needs one, and CONNECTIONS_MAX is ${connectionsMax}.`;
  if (limit >= connectionsMax + OTHER_FILES) return passed('open-files', found);
  return warning('open-files', found, `Set ulimit -n (LimitNOFILE=) to ${connectionsMax + OTHER_FILES} or more.`);
}

function checkWorkers(workers: number): Check {
  const cores = availableParallelism();
  const found = `WORKERS is ${workers}; this host has ${counted(cores, 'core')}.`;
  return workers <= cores ? passed('workers', found) : warning('workers', found, 'Set WORKERS to the number of cores.');
}

async function openRedis({ redis, dataDir }: Config): Promise<{ target: RedisTarget; stop(): Promise<void> }> {
  if (redis !== null) return { target: redis, stop: async () => {} };
  const folder = prepareFolder(join(dataDir, 'redis'));
  return openEmbeddedRedis({ folder, node: 'stampede doctor', logger: createLogger({ level: 'silent' }) });
}

const NOT_REACHED: Omit<Checkup, 'checks'> = {
  ...{ isReachable: false, server: null, isCluster: null, promises: [], capacity: null },
};

async function examine(config: Config, isReadOnly: boolean): Promise<{ place: string; checkup: Checkup }> {
  const { keyPrefix, redisScripts: scripts, redisPublish: publish, workers, dataDir } = config;
  try {
    const { target, stop } = await openRedis(config);
    const folder = config.redis === null ? [passed('data-folder', `${dataDir} can be written and locked.`)] : [];
    try {
      const checkup = await examineRedis({
        ...{ target, keyPrefix, scripts, publish, isReadOnly, processes: workers },
        checkHost: (hasArchives) => [...folder, ...hostChecks(config, isReadOnly, hasArchives)],
      });
      return { place: describeTarget(target), checkup };
    } finally {
      await stop();
    }
  } catch (error) {
    if (config.redis !== null) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const checks = [
      failed('data-folder', reason, 'Fix it, or set REDIS_URL.'),
      ...hostChecks(config, isReadOnly, false),
    ];
    return { place: `embedded in ${dataDir}`, checkup: { ...NOT_REACHED, checks } };
  }
}

function exitCodeOf({ isReachable, checks }: Checkup): number {
  if (!isReachable) return EXIT.unreachable;
  return checks.some(({ state }) => state === 'failed') ? EXIT.failed : EXIT.ok;
}

async function run(argv: readonly string[]): Promise<number> {
  const loaded = loadFor('doctor', { argv, own: OWN, purpose: 'inspect' });
  if (!loaded.ok) return refuse('doctor', loaded.errors);
  const { config, own } = loaded;
  const missing = missingDataFolder(config);
  if (missing.length > 0) return refuse('doctor', missing);
  const { place, checkup } = await examine(config, own['read-only'] === true);
  const exitCode = exitCodeOf(checkup);
  const { keyPrefix } = config;
  const { isReachable: _, ...report } = checkup;
  if (own.json) print(JSON.stringify({ version: SHAPE, redis: place, keyPrefix, ...report, exitCode }, null, 2));
  else print(checkupText(checkup, `${place}, KEY_PREFIX ${keyPrefix}`));
  return exitCode;
}

export const doctor: Command = { help, run };
