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
  readonly isSecret: boolean;
  /** Another variable may name a file with the value (`raw-values.ts`). */
  readonly mayBeFile: boolean;
  /** Returns why a value of the environment is not used: other programs set the same variable. */
  readonly whyIgnored: (raw: string) => string | null;
}

type Definition<T> = Pick<Setting<T>, 'help' | 'range' | 'fallback' | 'parse'> &
  Partial<Pick<Setting<T>, 'fallbackText' | 'isSecret' | 'mayBeFile' | 'whyIgnored'>>;

export function setting<T>(variable: string, definition: Definition<T>): Setting<T> {
  const { isSecret = false, mayBeFile = isSecret, whyIgnored = () => null } = definition;
  const flag = isSecret ? null : variable.toLowerCase().replaceAll('_', '-');
  const fallbackText = String(definition.fallback);
  return Object.freeze({ variable, flag, fallbackText, ...definition, isSecret, mayBeFile, whyIgnored });
}

export const path = matching(/^(?=.*\S)\P{Cc}+$/u, 'a path');
export const optional = { fallback: null, fallbackText: 'none' } as const;
export const emptyList = { fallback: Object.freeze([]) as readonly string[], fallbackText: 'none' } as const;
