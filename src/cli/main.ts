#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The `stampede` command: finds the command, runs it, sets the exit code (0 done, 1 failed, 2 wrong
 * usage).
 */
import { type Command, complain, EXIT, print } from './command.ts';

/** Loaded when asked for: signing a token needs no socket server. */
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
    summary: 'verify the books of a show and repair what drifted',
    load: async () => (await import('./books.ts')).reconcile,
  },
  bench: {
    summary: 'put a believable night on an engine and judge it',
    load: async () => (await import('./bench.ts')).bench,
  },
};

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length), 4);
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'stampede <command> [flags]: the engine under live-stream flash sales',
    '',
    ...lines,
    `  ${'help'.padEnd(width)}  this page; stampede help <command> or stampede <command> --help tells more`,
    '',
    'Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.',
  ].join('\n');
}

const asksForHelp = (argv: readonly string[]): boolean => argv.includes('--help') || argv.includes('-h');

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    complain(overview());
    return EXIT.usage;
  }
  const about = name === 'help' ? rest[0] : name;
  if (about === undefined || name === '--help' || name === '-h') {
    print(overview());
    return EXIT.ok;
  }
  const known = Object.hasOwn(COMMANDS, about) ? COMMANDS[about] : undefined;
  if (!known) {
    complain(
      `stampede: ${JSON.stringify(about)} is not a command. Commands: ${Object.keys(COMMANDS).join(', ')}, help.`,
    );
    return EXIT.usage;
  }
  const command = await known.load();
  if (name === 'help' || asksForHelp(rest)) {
    print(command.help(asksForHelp(rest) ? rest.filter((word) => !asksForHelp([word])) : rest.slice(1)));
    return EXIT.ok;
  }
  return command.run(rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  complain(`stampede: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = EXIT.failed;
}
