/** `stampede verify` and `stampede reconcile`: compare a show's ledger with its books. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { OwnFlags } from '../config/index.ts';
import type { ArchiveVerification } from '../domain/archive.ts';
import type { Reconciliation, Verification } from '../domain/audit.ts';
import { counted } from '../domain/counted.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { ConnectedStore } from '../redis/index.ts';
import { verifyArchiveAt } from './archive.ts';
import { type Command, EXIT, loadFor, print, refuse } from './command.ts';
import { FIND_ARCHIVE, helpWithStore as help, isShowId, NO_SHOW, printFailure, withStore } from './with-store.ts';

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
  description: `Replays the ledger of a show and compares the result with the books in Redis: the units of each SKU,
and the state of each reservation. It prints every difference and changes nothing.

With --archive it checks an archived show from its files, without Redis: the ledger, books, orders
and events, and the hash of each file.

Exit codes:
  0  the books are right
  1  the books are wrong, or the show or its archive cannot be read
  2  wrong usage or configuration
  3  Redis cannot be reached`,
  run: (store, show) => store.verify(show),
};

const RECONCILE: Audit = {
  name: 'reconcile',
  usage: 'stampede reconcile --show <id> [--json]',
  own: OWN,
  description: `Verifies the books of a show and repairs them: books that differ from the ledger are corrected by
compensating entries. If the ledger of a sale contradicts itself, or its records cannot be read, the
sale is paused for you to inspect.

Exit codes:
  0  the books are right afterwards
  1  the books of a sale are still wrong, or the show cannot be read
  2  wrong usage or configuration
  3  Redis cannot be reached`,
  run: (store, show) => store.reconcile(show, 'cli'),
};

async function run(audit: Audit, argv: readonly string[]): Promise<number> {
  const loaded = loadFor(audit.name, { argv, own: audit.own, purpose: 'inspect' });
  if (!loaded.ok) return refuse(audit.name, loaded.errors);
  const { config, own } = loaded;
  const { show, archive } = own;
  if (typeof archive === 'string') {
    if (show === undefined) return verifyArchiveAt(archive, own.json ? null : report);
    return refuse(audit.name, [{ source: '--archive', problem: 'cannot be given together with --show.' }]);
  }
  if (!isShowId(show)) return refuse(audit.name, [NO_SHOW]);
  return withStore(audit.name, config, async (store, place) => {
    const found = await audit.run(store, show);
    const archive = join(config.archiveDir, show);
    if (!found.ok) return printFailure(audit.name, withArchive(found.error, archive), store, show, place);
    print(own.json ? JSON.stringify(found.value, null, 2) : report(found.value));
    const { violations, unpaused } = { unpaused: [], ...found.value };
    return violations.length + unpaused.length === 0 ? EXIT.ok : EXIT.failed;
  });
}

/** An archived show has no books in Redis, and files to verify. */
function withArchive(error: Failure, archive: string): Failure {
  if (error.code !== 'show_archived') return error;
  const next = existsSync(archive)
    ? `Use: stampede verify --archive ${archive}`
    : `Its archive is not here: ${archive} does not exist. ${FIND_ARCHIVE}`;
  return { ...error, message: `${error.message} ${next}` };
}

function report(found: Verification | Reconciliation | ArchiveVerification): string {
  const { show, entries, reservations, refusals, localRefusals, sales, violations } = found;
  const lines = [
    `show ${show}: ${counted(entries, 'ledger entry', 'ledger entries')}, ${counted(reservations, 'reservation')}, ` +
      `${counted(refusals, 'refusal')} by Redis, ${counted(localRefusals, 'local refusal')} by gateways`,
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
    lines.push(
      `${counted(found.orders, 'order')}, ${counted(found.events, 'event')}`,
      `manifest sha256 ${found.sha256}`,
    );
  if ('erasedAt' in found && found.erasedAt !== undefined) {
    const times = found.erasedAt.map((at) => new Date(at).toISOString());
    lines.push(`written again when users were erased: ${times.join(', ')}`);
  }
  lines.push(
    violations.length === 0 ? 'the books are right: 0 violations' : `${counted(violations.length, 'violation')}:`,
    ...violations.map((violation) => `  ${violation}`),
  );
  return lines.join('\n');
}

const commandOf = (audit: Audit): Command => ({ help: () => help(audit), run: (argv) => run(audit, argv) });

export const verify = commandOf(VERIFY);
export const reconcile = commandOf(RECONCILE);
