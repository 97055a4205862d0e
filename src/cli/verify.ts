/** `stampede verify`: replays a show's ledger from nothing and holds it against the live books. */
import { environment, loadConfig, settingsHelp } from '../config/index.ts';
import { LIMITS } from '../protocol/limits.ts';
import { connectStore, runningEmbeddedRedis, startEmbeddedRedis } from '../redis/index.ts';
import type { Verification } from '../sales/types.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { type Command, complain, EXIT, print, refuse } from './command.ts';

const OWN = { show: { placeholder: 'ID' }, json: { placeholder: null } } as const;

function help(): string {
  return `stampede verify --show ID [--json]

Replays the ledger of a show and compares it with the live books: units allocated, available, held, sold, withdrawn, and every
reservation. Prints what it found; exit code 0 when the books are right, 1 when there is a violation or Redis does not answer.
With an embedded Redis it asks the engine that runs on DATA_DIR, or starts the server for the moment when none does.

  --show ID        the show
  --json           the whole result as one JSON object

Settings it reads:
${settingsHelp(['redisUrl', 'keyPrefix', 'dataDir', 'logLevel'])}`;
}

async function run(argv: readonly string[]): Promise<number> {
  const loaded = loadConfig({ argv, env: environment(), own: OWN, purpose: 'inspect' });
  if (!loaded.ok) return refuse('verify', loaded.mistakes);
  const { config, own } = loaded;
  const show = own.show;
  if (typeof show !== 'string' || show.length > LIMITS.idCharsMax)
    return refuse('verify', [{ where: '--show', problem: `is needed: the id of a show, at most ${LIMITS.idCharsMax} characters.` }]);

  const logger = createLogger({ level: config.logLevel === 'info' ? 'error' : config.logLevel });
  const redis = config.redisUrl === null ? await embedded(config.dataDir, logger) : { url: config.redisUrl, stop: async () => {} };
  try {
    const store = await connectStore({ url: redis.url, keyPrefix: config.keyPrefix, logger });
    try {
      const verified = await store.verify(show);
      if (!verified.ok) {
        complain(`stampede verify: ${verified.error.code}: ${verified.error.message}`);
        return EXIT.failed;
      }
      print(own.json ? JSON.stringify(verified.value, null, 2) : report(verified.value));
      return verified.value.violations.length === 0 ? EXIT.ok : EXIT.failed;
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

function report({ show, entries, reservations, refusals, sales, violations }: Verification): string {
  const lines = [`show ${show}: ${entries} ledger entries, ${reservations} reservations, ${refusals} refusals`];
  for (const sale of sales) {
    lines.push(`  sale ${sale.id}`);
    for (const { sku, allocated, available, held, sold, withdrawn } of sale.skus)
      lines.push(`    ${sku}: allocated ${allocated} = available ${available} + held ${held} + sold ${sold} + withdrawn ${withdrawn}`);
  }
  lines.push(
    violations.length === 0 ? 'the books are right: 0 violations' : `${violations.length} violations:`,
    ...violations.map((violation) => `  ${violation}`),
  );
  return lines.join('\n');
}

export const verify: Command = { help, run };
