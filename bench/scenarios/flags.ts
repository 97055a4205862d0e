/**
 * Flags of the bench: typed, with a default and a rule each. A wrong one is said in words, all
 * wrong ones at once, before anything is started.
 */
import { parseArgs } from 'node:util';
import { integer, oneOf, type Parsed, type Parser, toggle as yesOrNo } from '../../src/config/parsers.ts';
import { COMMAND } from '../launch/program.ts';

export type FlagValue = string | number | boolean | null;

export interface Flag<T extends FlagValue = FlagValue> {
  readonly about: string;
  /** Stands for the value in the help: `N`, `MS`. Absent for a switch, which takes none. */
  readonly placeholder?: string;
  /** What holds when nobody says anything. */
  readonly initial: T;
  parse: Parser<T>;
  /** Never written into a result or a command line. */
  readonly secret?: true;
}

/** By name in camelCase; `joinRate` is `--join-rate` for a person. */
export type FlagTable = Readonly<Record<string, Flag>>;
export type FlagValues<F extends FlagTable> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** Wrong flags: said without a stack, exit code 2. */
export class FlagError extends Error {}

export const count = (initial: number, about: string, { min = 1, max = 100_000_000 } = {}): Flag<number> => ({
  about,
  placeholder: 'N',
  initial,
  parse: integer(min, max),
});

export const optionalCount = (about: string, range: { min?: number; max?: number } = {}): Flag<number | null> => ({
  ...count(0, about, range),
  initial: null,
});

/** `150ms`, `2s`, `1.5s`, `3m`; a bare number is milliseconds. The value is milliseconds. */
export const duration = <T extends number | null>(initial: T, about: string): Flag<T | number> => ({
  about,
  placeholder: 'TIME',
  initial,
  parse: durationMs,
});

export const text = <T extends string | null>(initial: T, about: string, placeholder = 'TEXT'): Flag<T | string> => ({
  about,
  placeholder,
  initial,
  parse: (raw) => (raw === '' ? { problem: 'must not be empty' } : { value: raw }),
});

export const secret = (about: string): Flag<string | null> => ({
  ...text<string | null>(null, about, 'SECRET'),
  secret: true,
});

export const choice = <const T extends string>(allowed: readonly T[], initial: T, about: string): Flag<T> => ({
  about: `${about}: ${allowed.join(', ')}`,
  placeholder: 'WORD',
  initial,
  parse: oneOf(allowed),
});

export const toggle = (about: string): Flag<boolean> => ({ about, initial: false, parse: yesOrNo });

const UNITS: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function durationMs(raw: string): Parsed<number> {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)?$/.exec(raw);
  const unit = UNITS[match?.[2] ?? ''];
  if (match === null || unit === undefined)
    return { problem: `must be a time such as 150ms, 2s or 1m, got ${JSON.stringify(raw)}` };
  return { value: Number(match[1]) * unit };
}

export const flagName = (key: string): string =>
  `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Throws `FlagError` that lists every mistake. `defaults` stand in for flags nobody gave. */
export function readFlags<F extends FlagTable>(
  table: F,
  argv: readonly string[],
  defaults: Partial<FlagValues<F>> = {},
): FlagValues<F> {
  const byName = new Map(Object.keys(table).map((key) => [flagName(key).slice(2), key]));
  const options = Object.fromEntries(
    [...byName].map(([name, key]) => [
      name,
      { type: table[key]?.placeholder === undefined ? 'boolean' : 'string' } as const,
    ]),
  );
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true, allowPositionals: true });
  const values: Record<string, FlagValue> = Object.fromEntries(
    Object.entries(table).map(([key, { initial }]) => [key, initial]),
  );
  Object.assign(values, defaults);
  const mistakes: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional')
      mistakes.push(`what is ${JSON.stringify(token.value)}? Values follow a flag, and one scenario is run at a time`);
    if (token.kind !== 'option') continue;
    const key = byName.get(token.name);
    const flag = key === undefined ? undefined : table[key];
    if (key === undefined || flag === undefined) mistakes.push(`${token.rawName} is not a flag of this scenario`);
    else if (flag.placeholder !== undefined && token.value === undefined)
      mistakes.push(`${token.rawName} needs a value (${flag.placeholder})`);
    else {
      const parsed = flag.parse(token.value ?? 'true');
      if ('problem' in parsed) mistakes.push(`${token.rawName} ${parsed.problem}`);
      else values[key] = parsed.value;
    }
  }
  if (mistakes.length > 0) throw new FlagError(mistakes.join('\n'));
  return Object.freeze(values) as FlagValues<F>;
}

/** Lines for `--help`. */
export function flagsHelp(table: FlagTable, defaults: Readonly<Record<string, unknown>> = {}): string {
  return Object.entries(table)
    .map(([key, { about, placeholder, initial }]) => {
      const standing = Object.hasOwn(defaults, key) ? defaults[key] : initial;
      const shown =
        standing === null || standing === false
          ? ''
          : ` (${typeof standing === 'number' && placeholder === 'TIME' ? `${standing} ms` : standing})`;
      return `  ${`${flagName(key)}${placeholder === undefined ? '' : ` ${placeholder}`}`.padEnd(24)} ${about}${shown}`;
    })
    .join('\n');
}

/** What a result records: every flag with its value, without the secret ones. */
export function parametersOf<F extends FlagTable>(table: F, values: FlagValues<F>): Record<string, FlagValue> {
  const open = Object.entries(table).filter(([, flag]) => flag.secret !== true);
  return Object.fromEntries(
    open.map(([key]) => [flagName(key).slice(2), (values as Record<string, FlagValue>)[key] ?? null]),
  );
}

/** A command line as it may be shown: values of secret flags are stars. */
export function shownCommand(argv: readonly string[], table: FlagTable): string {
  const names = new Set(Object.entries(table).flatMap(([key, flag]) => (flag.secret === true ? [flagName(key)] : [])));
  const words = argv.map((word, at) => {
    if (names.has(argv[at - 1] ?? '')) return '***';
    const [name = '', value] = word.split('=', 2);
    if (value !== undefined && names.has(name)) return `${name}=***`;
    return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  });
  return [COMMAND, ...words].join(' ');
}
