/**
 * `stampede verify` and `stampede reconcile`: replay a show's ledger from nothing, hold it against
 * the live books, and, asked to, repair drift.
 */
import { environment, loadConfig, settingsHelp } from '../config/index.ts';
import type { Reconciliation, Verification } from '../domain/audit.ts';
import { LIMITS } from '../limits.ts';
import type { Result } from '../protocol/codes.ts';
import { type ConnectedStore, connectStore, runningEmbeddedRedis, startEmbeddedRedis } from '../redis/index.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { type Command, complain, EXIT, print, refuse } from './command.ts';

const OWN = { show: { placeholder: 'ID' }, json: { placeholder: null } } as const;

interface Work {
  readonly name: 'verify' | 'reconcile';
  readonly what: string;
  run(store: ConnectedStore, show: string): Promise<Result<Verification | Reconciliation>>;
}

const VERIFY: Work = {
  name: 'verify',
  what: `Replays the ledger of a show and compares it with the live books: units allocated, available, held, sold, withdrawn, and every
reservation. Prints what it found; exit code 0 when the books are right, 1 when there is a violation or Redis does not answer.`,
  run: (store, show) => store.verify(show),
};

const RECONCILE: Work = {
  name: 'reconcile',
  what: `Verifies the books of a show and repairs what drifted: books that differ from the ledger are brought back to it by compensating
entries. A sale whose ledger contradicts itself is paused and left to a person. Exit code 0 when the books are right afterwards.`,
  run: (store, show) => store.reconcile(show, 'cli'),
};

const help = ({ name, what }: Work): string => `stampede ${name} --show ID [--json]

${what}
With an embedded Redis it asks the engine that runs on DATA_DIR, or starts the server for the moment when none does.

  --show ID        the show
  --json           the whole result as one JSON object

Settings it reads:
${settingsHelp(['redisUrl', 'keyPrefix', 'dataDir', 'logLevel'])}`;

async function run(work: Work, argv: readonly string[]): Promise<number> {
  const loaded = loadConfig({ argv, env: environment(), own: OWN, purpose: 'inspect' });
  if (!loaded.ok) return refuse(work.name, loaded.mistakes);
  const { config, own } = loaded;
  const show = own.show;
  if (typeof show !== 'string' || show.length > LIMITS.idCharsMax)
    return refuse(work.name, [
      { where: '--show', problem: `is needed: the id of a show, at most ${LIMITS.idCharsMax} characters.` },
    ]);

  const logger = createLogger({ level: config.logLevel === 'info' ? 'error' : config.logLevel });
  const redis =
    config.redisUrl === null ? await embedded(config.dataDir, logger) : { url: config.redisUrl, stop: async () => {} };
  try {
    const store = await connectStore({ url: redis.url, keyPrefix: config.keyPrefix, logger });
    try {
      const found = await work.run(store, show);
      if (!found.ok) {
        complain(`stampede ${work.name}: ${found.error.code}: ${found.error.message}`);
        return EXIT.failed;
      }
      print(own.json ? JSON.stringify(found.value, null, 2) : report(found.value));
      return found.value.violations.length === 0 ? EXIT.ok : EXIT.failed;
    } finally {
      await store.close();
    }
  } finally {
    await redis.stop();
  }
}

async function embedded(dataDir: string, logger: Logger): Promise<{ url: string; stop(): Promise<void> }> {
  const running = runningEmbeddedRedis(dataDir);
  return running === null ? startEmbeddedRedis({ dataDir, logger }) : { url: running, stop: async () => {} };
}

function report(found: Verification | Reconciliation): string {
  const { show, entries, reservations, refusals, localRefusals, sales, violations } = found;
  const lines = [
    `show ${show}: ${entries} ledger entries, ${reservations} reservations, ${refusals} refusals by Redis, ${localRefusals} by gateways from their view`,
  ];
  for (const sale of sales) {
    lines.push(`  sale ${sale.id}`);
    for (const { sku, allocated, available, held, sold, withdrawn } of sale.skus)
      lines.push(
        `    ${sku}: allocated ${allocated} = available ${available} + held ${held} + sold ${sold} + withdrawn ${withdrawn}`,
      );
  }
  if ('repaired' in found) {
    lines.push(found.repaired.length === 0 ? 'nothing to repair' : `repaired: ${found.repaired.join(', ')}`);
    if (found.untrusted.length > 0)
      lines.push(`paused, because their ledger contradicts itself: ${found.untrusted.join(', ')}`);
  }
  lines.push(
    violations.length === 0 ? 'the books are right: 0 violations' : `${violations.length} violations:`,
    ...violations.map((violation) => `  ${violation}`),
  );
  return lines.join('\n');
}

const commandOf = (work: Work): Command => ({ help: () => help(work), run: (argv) => run(work, argv) });

export const verify = commandOf(VERIFY);
export const reconcile = commandOf(RECONCILE);
