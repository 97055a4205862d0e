import type { Check } from '../report/result.ts';

const NAMED_MAX = 3;

/** `right` is said when nothing is wrong; else the first cases and how many more there are. */
export function checkOf(name: string, promise: string, wrong: readonly string[], right: string): Check {
  const more = wrong.length > NAMED_MAX ? `; and ${wrong.length - NAMED_MAX} more` : '';
  return {
    name,
    promise,
    ok: wrong.length === 0,
    detail: wrong.length === 0 ? right : `${wrong.slice(0, NAMED_MAX).join('; ')}${more}`,
  };
}

export const whole = (value: number): string => value.toLocaleString('en');
