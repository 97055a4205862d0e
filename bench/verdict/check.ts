import type { Check } from '../report/result.ts';

const NAMED_MAX = 3;

export const checkThat = (name: string, ok: boolean, detail: string, promise?: string): Check =>
  promise === undefined ? { name, ok, detail } : { name, promise, ok, detail };

/** Passes with the detail `right` if `wrong` is empty; otherwise the first cases are the detail. */
export function checkOf(name: string, promise: string | undefined, wrong: readonly string[], right: string): Check {
  const more = wrong.length > NAMED_MAX ? `; and ${wrong.length - NAMED_MAX} more` : '';
  const cases = `${wrong.slice(0, NAMED_MAX).join('; ')}${more}`;
  return checkThat(name, wrong.length === 0, wrong.length === 0 ? right : cases, promise);
}

export const whole = (value: number): string => Math.round(value).toLocaleString('en');
