/** What a command of the `stampede` program is, and the ways it ends. */
import { type Mistake, mistakesText } from '../config/index.ts';

export const EXIT = Object.freeze({ ok: 0, failed: 1, usage: 2 });

export interface Command {
  /**
   * The whole page for `stampede <command> --help`; `argv` is what else was said, for commands that
   * have several pages.
   */
  help(argv: readonly string[]): string;
  /** Resolves with the exit code. */
  run(argv: readonly string[]): Promise<number>;
}

export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const complain = (text: string): void => void process.stderr.write(`${text}\n`);

/** Names every mistake and where the allowed values stand. */
export function refuse(command: string, mistakes: readonly Mistake[]): number {
  complain(
    `stampede ${command}: the configuration is not valid\n${mistakesText(mistakes)}\nSee: stampede ${command} --help`,
  );
  return EXIT.usage;
}
