/** Flags of the load tester and the demo: each has a type, a default and a range. */
import { type CommandDefinition, commandHelp, readCommandLine } from '../../src/config/command-line.ts';
import { integer, oneOf, type Parsed, type Parser, toggle as yesOrNo } from '../../src/config/parsers.ts';
import { COMMAND } from '../launch/program.ts';

export type FlagValue = string | number | boolean | null;

export interface Flag<T extends FlagValue = FlagValue> {
  readonly about: string;
  /** Names the value in the help, for example `N`. Absent for a switch, which takes no value. */
  readonly placeholder?: string;
  readonly initial: T;
  parse: Parser<T>;
  /** The value is omitted from results and from the recorded command line. */
  readonly secret?: true;
}

/** By names in camelCase: `joinRate` is the flag `--join-rate`. */
export type FlagTable = Readonly<Record<string, Flag>>;
export type FlagValues<F extends FlagTable> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** Lists the errors of a command line. Printed without a stack; the exit code is 2. */
export class FlagError extends Error {}

export function flag<T extends FlagValue>(placeholder: string, initial: T, about: string, parse: Parser<T>): Flag<T> {
  return { about, placeholder, initial, parse };
}

export const count = (initial: number, about: string, { min = 1, max = 100_000_000 } = {}): Flag<number> =>
  flag('N', initial, about, integer(min, max));

export const optionalCount = (about: string, range: { min?: number; max?: number } = {}): Flag<number | null> => {
  return { ...count(0, about, range), initial: null };
};

/** Accepts `150ms`, `2s`, `1.5s`, `3m`, and milliseconds without a unit. */
export const duration = <T extends number | null>(initial: T, about: string): Flag<T | number> =>
  flag<T | number>('TIME', initial, about, durationMs);

/** A number within bounds that need not be whole. */
export const decimal = (initial: number, about: string, { min, max }: { min: number; max: number }): Flag<number> =>
  flag('X', initial, about, (raw) => {
    const value = raw.trim() === '' ? Number.NaN : Number(raw);
    return value >= min && value <= max ? { value } : { problem: `must be from ${min} to ${max}, got ${raw}` };
  });

const notEmpty: Parser<string> = (raw) => (raw === '' ? { problem: 'must not be empty' } : { value: raw });
export const text = <T extends string | null>(initial: T, about: string, placeholder = 'TEXT'): Flag<T | string> =>
  flag<T | string>(placeholder, initial, about, notEmpty);

export const secret = (about: string): Flag<string | null> => {
  return { ...text<string | null>(null, about, 'SECRET'), secret: true };
};

export const choice = <const T extends string>(allowed: readonly T[], initial: T, about: string): Flag<T> =>
  flag('WORD', initial, `${about}: ${allowed.join(', ')}`, oneOf(allowed));

export const toggle = (about: string): Flag<boolean> => ({ about, initial: false, parse: yesOrNo });

const UNITS: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function durationMs(raw: string): Parsed<number> {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)?$/.exec(raw);
  const unit = UNITS[match?.[2] ?? ''];
  if (match === null || unit === undefined)
    return { problem: `must be a time such as 150ms, 2s or 1m, got ${JSON.stringify(raw)}` };
  return { value: Number(match[1]) * unit };
}

export const flagName = (key: string): string => `--${key.replaceAll(/[A-Z]/g, '-$&').toLowerCase()}`;

/** `defaults` are those of a scenario, for the help. */
function flagsOf(table: FlagTable, defaults: Readonly<Record<string, unknown>>): CommandDefinition['flags'] {
  const flags = Object.entries(table).map(([key, { about, placeholder = null, initial }]) => {
    const value = Object.hasOwn(defaults, key) ? defaults[key] : initial;
    const shown = typeof value === 'number' && placeholder === 'TIME' ? `${value} ms` : value;
    const fallback = value === null || value === false || value === '' ? '' : ` (default: ${shown})`;
    return [flagName(key).slice(2), { help: `${about}${fallback}`, placeholder }] as const;
  });
  return Object.fromEntries(flags);
}

/** Returns the page for `--help`. */
export const flagsHelp = (
  usage: string,
  description: string,
  table: FlagTable,
  defaults: Readonly<Record<string, unknown>> = {},
): string => `${commandHelp({ usage, description, flags: flagsOf(table, defaults) })}\n`;

/** Throws a `FlagError` that lists every mistake. `defaults` replace the initial values. */
export function readFlags<F extends FlagTable>(
  table: F,
  argv: readonly string[],
  defaults: Partial<FlagValues<F>> = {},
): FlagValues<F> {
  const given = readCommandLine({ usage: COMMAND, description: '', flags: flagsOf(table, {}) }, argv);
  const mistakes: string[] = [];
  const values: Record<string, FlagValue> = {};
  for (const [key, { initial, parse }] of Object.entries(table)) {
    const raw = given.values.get(flagName(key).slice(2));
    const parsed = raw === undefined ? { value: initial } : parse(String(raw));
    if ('problem' in parsed) mistakes.push(`${flagName(key)} ${parsed.problem}`);
    else values[key] = raw === undefined && Object.hasOwn(defaults, key) ? (defaults[key] ?? null) : parsed.value;
  }
  mistakes.push(...given.errors.map(({ source, problem }) => `${source} ${problem}`));
  if (mistakes.length > 0) throw new FlagError(mistakes.join('\n'));
  return Object.freeze(values) as FlagValues<F>;
}

/** Returns the parameters that a result records: all flags except the secret ones. */
export function parametersOf<F extends FlagTable>(table: F, values: FlagValues<F>): Record<string, FlagValue> {
  const open = Object.keys(table).filter((key) => table[key]?.secret !== true);
  return Object.fromEntries(open.map((key) => [flagName(key).slice(2), values[key as keyof F] ?? null]));
}

/** Returns a command line with `***` for the values of secret flags. */
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
