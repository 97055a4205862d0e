/** `stampede verify` and `stampede reconcile`: compare a show's ledger with its books. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  commandHelp,
  commandWithSettings,
  environment,
  loadConfig,
  type OwnFlags,
  prepareFolder,
  REDIS_PARTS,
} from '../config/index.ts';
import type { ArchiveVerification } from '../domain/archive.ts';
import type { Reconciliation, Verification } from '../domain/audit.ts';
import { troubleText } from '../domain/health.ts';
import { describeTarget } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import type { Result } from '../protocol/codes.ts';
import { type ConnectedStore, connectStore, openEmbeddedRedis } from '../redis/index.ts';
import { createLogger } from '../telemetry/logger.ts';
import { verifyArchiveAt } from './archive.ts';
import { type Command, EXIT, print, printError, refuse } from './command.ts';
import { unknownShow } from './unknown-show.ts';

/** How long an embedded Redis may take to be back. */
const RESTART_MS_MAX = 10_000;

const OWN = {
  show: { placeholder: 'id', help: 'the show' },
  json: { placeholder: null, help: 'print the whole result as one JSON object' },
} as const;

const OF_ARCHIVE = {
  archive: {
    placeholder: 'path',
    help: 'the folder or manifest of an archived show, instead of --show; needs no Redis',
  },
} as const;

interface Audit {
  readonly name: 'verify' | 'reconcile';
  readonly usage: string;
  readonly description: string;
  readonly own: OwnFlags;
  run(store: ConnectedStore, show: string): Promise<Result<Verification | Reconciliation>>;
}

const VERIFY: Audit = {
  name: 'verify',
  usage: 'stampede verify (--show <id> | --archive <path>) [--json]',
  own: { ...OWN, ...OF_ARCHIVE },
  description: `Replays the ledger of a show and compares it with the live books: units allocated, available,
held, sold and withdrawn, and every reservation. Prints the result. Exit code 0 if the books are
right, 1 if there is a violation or Redis is unavailable. With --archive it proves an archived show
offline: ledger, books, orders, events, and the hash of each file.`,
  run: (store, show) => store.verify(show),
};

const RECONCILE: Audit = {
  name: 'reconcile',
  usage: 'stampede reconcile --show <id> [--json]',
  own: OWN,
  description: `Verifies the books of a show and repairs them: books that differ from the ledger are corrected by
compensating entries. Sales whose ledger contradicts itself, or whose records cannot be read, are
paused for you to inspect. Exit code 0 if the books are right afterwards.`,
  run: (store, show) => store.reconcile(show, 'cli'),
};

const EMBEDDED = `With an embedded Redis it connects to the engine that runs on DATA_DIR, or starts the server
temporarily if none runs.`;
const help = ({ usage, description, own }: Audit): string =>
  commandHelp(
    commandWithSettings(usage, `${description}\n${EMBEDDED}`, own, [
      ...REDIS_PARTS,
      'keyPrefix',
      'dataDir',
      'logLevel',
    ]),
  );

async function run(audit: Audit, argv: readonly string[]): Promise<number> {
  const loaded = loadConfig({ argv, env: environment(), own: audit.own, purpose: 'inspect' });
  if (!loaded.ok) return refuse(audit.name, loaded.errors);
  const { config, own } = loaded;
  const { show, archive } = own;
  if (typeof archive === 'string') {
    if (show === undefined) return verifyArchiveAt(archive, own.json ? null : report);
    return refuse(audit.name, [{ source: '--archive', problem: 'cannot be given together with --show.' }]);
  }
  if (typeof show !== 'string' || show.length > LIMITS.idCharsMax)
    return refuse(audit.name, [
      { source: '--show', problem: `is needed: the id of a show, at most ${LIMITS.idCharsMax} characters.` },
    ]);

  const logger = createLogger({ level: config.logLevel === 'info' ? 'error' : config.logLevel });
  const redis =
    config.redis === null
      ? await openEmbeddedRedis({
          folder: prepareFolder(join(config.dataDir, 'redis')),
          node: `stampede ${audit.name}`,
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
        printError(`stampede ${audit.name}: ${troubleText(trouble)}`);
        return EXIT.failed;
      }
      const found = await audit.run(store, show);
      if (!found.ok) {
        const { code, message } = found.error;
        const place = `${describeTarget(redis.target)} under KEY_PREFIX ${config.keyPrefix}`;
        const text = code === 'show_not_found' ? await unknownShow(store, show, place) : message;
        printError(`stampede ${audit.name}: ${code}: ${text}`);
        return EXIT.failed;
      }
      print(own.json ? JSON.stringify(found.value, null, 2) : report(found.value));
      const { violations, unpaused } = { unpaused: [], ...found.value };
      return violations.length + unpaused.length === 0 ? EXIT.ok : EXIT.failed;
    } finally {
      await store.close();
    }
  } finally {
    await redis.stop();
  }
}

function report(found: Verification | Reconciliation | ArchiveVerification): string {
  const { show, entries, reservations, refusals, localRefusals, sales, violations } = found;
  const lines = [
    `show ${show}: ${entries} ledger entries, ${reservations} reservations, ` +
      `${refusals} refusals by Redis, ${localRefusals} local refusals by gateways`,
  ];
  for (const sale of sales) {
    lines.push(`  sale ${sale.id}`);
    for (const { sku, allocated, available, held, sold, withdrawn } of sale.skus)
      lines.push(
        `    ${sku}: allocated ${allocated} = available ${available} + held ${held} + ` +
          `sold ${sold} + withdrawn ${withdrawn}`,
      );
  }
  if ('repaired' in found) {
    lines.push(found.repaired.length === 0 ? 'nothing to repair' : `repaired: ${found.repaired.join(', ')}`);
    const unpaused = new Set(found.unpaused.map(({ sale }) => sale));
    const paused = found.untrusted.filter((sale) => !unpaused.has(sale));
    if (paused.length > 0) lines.push(`paused, because their books cannot be trusted: ${paused.join(', ')}`);
    for (const { sale, reason } of found.unpaused)
      lines.push(`NOT PAUSED, although its books cannot be trusted: ${sale} (${reason})`);
  }
  if ('sha256' in found)
    lines.push(`${found.orders} orders, ${found.events} events`, `manifest sha256 ${found.sha256}`);
  lines.push(
    violations.length === 0 ? 'the books are right: 0 violations' : `${violations.length} violations:`,
    ...violations.map((violation) => `  ${violation}`),
  );
  return lines.join('\n');
}

const commandOf = (audit: Audit): Command => ({ help: () => help(audit), run: (argv) => run(audit, argv) });

export const verify = commandOf(VERIFY);
export const reconcile = commandOf(RECONCILE);
