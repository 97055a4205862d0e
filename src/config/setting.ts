/** What a setting is, and how it is declared. */
import { matching, type Parser } from './parsers.ts';

export interface Setting<T> {
  readonly variable: string;
  /** null: environment only, because every user of the machine can read the flags of a process. */
  readonly flag: string | null;
  readonly help: string;
  /** The allowed values, for people; every error repeats it. */
  readonly range: string;
  readonly fallback: T;
  /** The default as the help shows it. */
  readonly fallbackText: string;
  readonly parse: Parser<T>;
}

type Definition<T> = Pick<Setting<T>, 'help' | 'range' | 'fallback' | 'parse'> & {
  /** Left out: the default itself. */
  readonly fallbackText?: string;
  /** Read from the environment only. */
  readonly isSecret?: boolean;
};

export function setting<T>(variable: string, { isSecret = false, ...definition }: Definition<T>): Setting<T> {
  const flag = isSecret ? null : variable.toLowerCase().replaceAll('_', '-');
  return Object.freeze({ variable, flag, fallbackText: String(definition.fallback), ...definition });
}

export const path = matching(/\S/, 'a path');
export const optional = { fallback: null, fallbackText: 'none' } as const;
export const emptyList = { fallback: Object.freeze([]) as readonly string[], fallbackText: 'none' } as const;
