#!/usr/bin/env -S node --max-semi-space-size=64
/** The `stampede` program: runs a command and sets the exit code. */
import { type Command, EXIT, print, printError } from './command.ts';

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
  bench: {
    summary: 'run a realistic load on an engine and judge it',
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
    `  ${'help'.padEnd(width)}  this page; see also stampede <command> --help`,
    '',
    'Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.',
  ].join('\n');
}

const wantsHelp = (argv: readonly string[]): boolean => argv.includes('--help') || argv.includes('-h');

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    printError(overview());
    return EXIT.usage;
  }
  const topic = name === 'help' ? rest[0] : name;
  if (topic === undefined || name === '--help' || name === '-h') {
    print(overview());
    return EXIT.ok;
  }
  const known = Object.hasOwn(COMMANDS, topic) ? COMMANDS[topic] : undefined;
  if (!known) {
    printError(
      `stampede: ${JSON.stringify(topic)} is not a command. Commands: ${Object.keys(COMMANDS).join(', ')}, help.`,
    );
    return EXIT.usage;
  }
  const command = await known.load();
  if (name === 'help' || wantsHelp(rest)) {
    print(command.help(wantsHelp(rest) ? rest.filter((word) => !wantsHelp([word])) : rest.slice(1)));
    return EXIT.ok;
  }
  return command.run(rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  printError(`stampede: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = EXIT.failed;
}
