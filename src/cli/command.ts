/** The commands of the `stampede` program and their exit codes. */
import { existsSync } from 'node:fs';
import {
  type Config,
  type ConfigError,
  configErrorsText,
  environment,
  type Loaded,
  type LoadOptions,
  loadConfig,
} from '../config/index.ts';
import { FolderError } from '../domain/file-errors.ts';

export const EXIT = Object.freeze({ ok: 0, failed: 1, usage: 2, unreachable: 3 });

export interface Command {
  /** Returns the page of `stampede <command> --help`; `argv` selects one if there are several. */
  help(argv: readonly string[]): string;
  /** Resolves with the exit code. */
  run(argv: readonly string[]): Promise<number>;
}

export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const printError = (text: string): void => void process.stderr.write(`${text}\n`);

/** A folder that cannot be used is a wrong setting. */
export const exitCodeOf = (error: unknown): number => (error instanceof FolderError ? EXIT.usage : EXIT.failed);

/** Reads the configuration of a command, and prints what looks like a misspelled setting. */
export function loadFor(command: string, options: Omit<LoadOptions, 'env'>): Loaded {
  const loaded = loadConfig({ env: environment(), ...options });
  if (loaded.ok)
    for (const { source, problem } of loaded.warnings) printError(`stampede ${command}: warning: ${source} ${problem}`);
  return loaded;
}

/** Returns an error if an embedded Redis would start in a folder that does not exist. */
export function missingDataFolder({ redis, dataDir }: Config): ConfigError[] {
  if (redis !== null || existsSync(dataDir)) return [];
  return [{ source: 'DATA_DIR', problem: `No engine has run in ${dataDir}. Set DATA_DIR or REDIS_URL.` }];
}

/** Prints all errors and returns the exit code. */
export function refuse(command: string, errors: readonly ConfigError[]): number {
  const text = configErrorsText(errors);
  printError(`stampede ${command}: the configuration is not valid\n${text}\nSee: stampede ${command} --help`);
  return EXIT.usage;
}
