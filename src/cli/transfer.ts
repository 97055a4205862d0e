/** `stampede export` and `stampede import`: move a show to another Redis server. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ExportFile, exportShow, importShow, type TransferOptions } from '../archive/index.ts';
import { type ConfigError, VERSION } from '../config/index.ts';
import { counted } from '../domain/counted.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { ConnectedStore } from '../redis/index.ts';
import { type Command, EXIT, loadFor, print, printError, refuse } from './command.ts';
import { FIND_ARCHIVE, helpWithStore as help, isShowId, NO_SHOW, printFailure, withStore } from './with-store.ts';

const SHOW = { show: { placeholder: 'id', help: 'the show' } } as const;
const PROGRESS_EVERY_MS = 2_000;
/** A slower clock on the new server is reported. */
const CLOCK_BEHIND_MS_MAX = 1_000;

interface Transfer {
  readonly name: 'export' | 'import';
  readonly usage: string;
  readonly own: typeof SHOW | Record<string, never>;
  readonly description: string;
}

const exitCodes = (done: string): string => `Exit codes:
  0  ${done}
  1  it failed; the reason is printed
  2  wrong usage or configuration
  3  Redis cannot be reached`;

const EXPORT: Transfer = {
  name: 'export',
  usage: 'stampede export --show <id> <file>',
  own: SHOW,
  description: `Writes a show to a file, with its products, sales, holds, orders, waitlists, ledger, events and chat.
The command import makes the same show on another Redis server. A live show is refused. While the
command reads the show, viewers see it, and changes get the error overloaded. The show stays where
it is: delete it after the import. The file does not contain changes made after the export.

The file is complete or does not exist: it is written as <file>.<id>.partial, read back, and gets
its name if no other file has it. It contains names and chat.

For an archived show, the file has only its summary. Its archive does not move: copy its folder
to the ARCHIVE_DIR of the new server.

${exitCodes('the file was written')}`,
};

const IMPORT: Transfer = {
  name: 'import',
  usage: 'stampede import <file>',
  own: {},
  description: `Imports a show from an export file. First it checks the whole file: hash, counts, each record,
ledger and books. A show with this id must not exist, and ARCHIVE_DIR must not have the archive of
another show with it. The show appears complete, or not at all: if the command ends early, repeat
it. Opening times and hold deadlines do not change. Recorded results of commands that changed no
stock are not imported.

For an archived show, the file has only its summary. Copy the folder of its archive from the
ARCHIVE_DIR of the old server to that of the new one.

${exitCodes('the show was imported')}`,
};

/** Prints to standard error what long work is doing. */
function progressOf(command: string): NonNullable<TransferOptions['onProgress']> {
  let nextAt = Date.now() + PROGRESS_EVERY_MS;
  return (what, records) => {
    if (Date.now() < nextAt) return;
    nextAt = Date.now() + PROGRESS_EVERY_MS;
    printError(`stampede ${command}: ${what}, ${counted(records, 'record')}`);
  };
}

function reportOf({ show, manifest, file }: ExportFile, done: string, place: string): void {
  const records = Object.values(manifest.records).reduce((sum, count) => sum + count, 0);
  print(
    `show ${show.show} (${show.state}): ${counted(records, 'record')} ${done} ${place}, ${counted(file.bytes, 'byte')}`,
  );
  print(`sha256 ${file.sha256}`);
}

function warnOf({ manifest, head }: ExportFile, command: string, store: ConnectedStore): void {
  const { violations } = manifest;
  if (violations.length > 0)
    printError(
      `stampede ${command}: warning: the books of the show were wrong when it was exported: ${violations[0]}` +
        `${violations.length > 1 ? `, and ${violations.length - 1} more` : ''}. See: stampede verify --help`,
    );
  const behindMs = Math.round(head.exportedAt - store.now());
  if (behindMs > CLOCK_BEHIND_MS_MAX)
    printError(`stampede ${command}: warning: the clock of this Redis is ${behindMs} ms behind that of the export.`);
}

/** Returns the file that was given, or what is wrong. */
function fileOf(operands: readonly string[]): string | ConfigError {
  const [file, more] = operands;
  if (file === undefined) return { source: '<file>', problem: 'is needed: the path of the file.' };
  return more === undefined ? file : { source: JSON.stringify(more), problem: 'is not expected: give one file.' };
}

async function run(transfer: Transfer, argv: readonly string[]): Promise<number> {
  const { name, own: flags } = transfer;
  const loaded = loadFor(name, { argv, own: flags, takesOperands: true, purpose: 'inspect' });
  if (!loaded.ok) return refuse(name, loaded.errors);
  const file = fileOf(loaded.operands);
  const { show } = loaded.own;
  const isExport = name === 'export';
  const errors = [...(isExport && !isShowId(show) ? [NO_SHOW] : []), ...(typeof file === 'string' ? [] : [file])];
  if (typeof file !== 'string' || errors.length > 0) return refuse(name, errors);
  return withStore(name, loaded.config, async (store, place) => {
    const options = { store, path: resolve(file), onProgress: progressOf(name) };
    const done: Result<ExportFile> = isExport
      ? await exportShow(options, String(show), VERSION)
      : await importShow({ ...options, archiveDir: loaded.config.archiveDir });
    if (!done.ok)
      return printFailure(name, isExport ? done.error : atPlace(done.error, place), store, String(show), place);
    warnOf(done.value, name, store);
    reportOf(done.value, isExport ? 'written to' : 'imported to', isExport ? file : place);
    const { show: moved, state } = done.value.show;
    if (state === 'archived') print(filesHint(isExport, moved, loaded.config.archiveDir));
    return EXIT.ok;
  });
}

/** The archive of a show is not in its export. */
function filesHint(isExport: boolean, show: string, archiveDir: string): string {
  const folder = join(archiveDir, show);
  if (isExport)
    return existsSync(folder)
      ? `Its archive is not in the file: copy the folder ${folder} to the ARCHIVE_DIR of the new server`
      : `Its archive is not in the file, and not here: ${folder} does not exist. ${FIND_ARCHIVE}`;
  return existsSync(folder)
    ? `Its archive was not in the file. Check the folder that is here: stampede verify --archive ${folder}`
    : `Its archive was not in the file: copy the folder ${show} of the old ARCHIVE_DIR to ${archiveDir}`;
}

/** An import names the server on which the show exists. */
const atPlace = (error: Failure, place: string): Failure =>
  error.code === 'already_exists' ? { ...error, message: `${error.message} It is in ${place}.` } : error;

const commandOf = (transfer: Transfer): Command => ({
  help: () => help(transfer),
  run: (argv) => run(transfer, argv),
});

export const exportCommand = commandOf(EXPORT);
export const importCommand = commandOf(IMPORT);
