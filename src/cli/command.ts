/** The commands of the `stampede` program and their exit codes. */
import { type ConfigError, configErrorsText } from '../config/index.ts';

export const EXIT = Object.freeze({ ok: 0, failed: 1, usage: 2, unreachable: 3 });

export interface Command {
  /** Returns the page of `stampede <command> --help`; `argv` selects one if there are several. */
  help(argv: readonly string[]): string;
  /** Resolves with the exit code. */
  run(argv: readonly string[]): Promise<number>;
}

export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const printError = (text: string): void => void process.stderr.write(`${text}\n`);

/** Prints all errors and returns the exit code. */
export function refuse(command: string, errors: readonly ConfigError[]): number {
  const text = configErrorsText(errors);
  printError(`stampede ${command}: the configuration is not valid\n${text}\nSee: stampede ${command} --help`);
  return EXIT.usage;
}
