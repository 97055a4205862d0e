#!/usr/bin/env -S node --max-semi-space-size=64
/** The `stampede` program: runs a command and sets the exit code. */
import { CommanderError, Command as Program } from 'commander';
import { VERSION } from '../config/version.ts';
import { type Command, EXIT, exitCodeOf, print, printError } from './command.ts';

/** Loaded on demand: signing a token needs no socket server. */
const COMMANDS: Readonly<Record<string, { readonly summary: string; load(): Promise<Command> }>> = {
  serve: {
    summary: 'run the engine: gateway, control API, jobs',
    load: async () => (await import('./serve.ts')).serve,
  },
  token: { summary: 'sign a viewer token', load: async () => (await import('./token.ts')).token },
  verify: {
    summary: 'replay the ledger of a show and check the books',
    load: async () => (await import('./books.ts')).verify,
  },
  reconcile: {
    summary: 'verify the books of a show and repair them',
    load: async () => (await import('./books.ts')).reconcile,
  },
  export: {
    summary: 'write a show to a file, to move it to another Redis',
    load: async () => (await import('./transfer.ts')).exportCommand,
  },
  import: {
    summary: 'import a show from an exported file',
    load: async () => (await import('./transfer.ts')).importCommand,
  },
  doctor: {
    summary: 'check that Redis and this host have what the engine needs',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  bench: {
    summary: 'run a realistic load on an engine and judge it (needs @stampede/bench)',
    load: async () => (await import('./bench.ts')).bench,
  },
};

const isHelpFlag = (word: string): boolean => word === '--help' || word === '-h';

/** Resolves with the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = new Program('stampede')
    .usage('<command> [flags]')
    .version(VERSION, '--version', 'show the version')
    .description('The engine under live-stream flash sales.')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 Redis cannot be reached, or\n' +
        'no verdict (bench).',
    )
    .enablePositionalOptions()
    .helpCommand(false)
    .exitOverride();
  // A help flag after an unknown command would hide the error.
  const parse = (words: readonly string[]): Promise<unknown> => {
    const [name = ''] = words;
    const isUnknown = /^[^-]/.test(name) && program.commands.every((command) => command.name() !== name);
    return program.parseAsync(isUnknown ? [name] : words, { from: 'user' });
  };
  for (const [name, { summary, load }] of Object.entries(COMMANDS))
    program
      .command(name)
      .summary(summary)
      .argument('[flags...]')
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (words: readonly string[]) => {
        const command = await load();
        if (words.some(isHelpFlag)) print(command.help(words.filter((word) => !isHelpFlag(word))));
        else code = await command.run(words);
      });
  program
    .command('help')
    .summary('show this page, or the page of a command')
    .argument('[command...]')
    .action(async (words: readonly string[]) => {
      await parse([...words, '--help']);
    });
  try {
    await parse(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  return code;
}

// The reader of a pipe may be gone (`stampede ... | head`): the work and its exit code stay.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  printError(`stampede: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = exitCodeOf(error);
}
