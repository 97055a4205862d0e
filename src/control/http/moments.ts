/** Times in requests: RFC 3339, or milliseconds since the Unix epoch. They become milliseconds. */
const RFC3339 = /^(\d{4}-\d\d-(\d\d))[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)([Zz]|[+-]\d\d:\d\d)$/;
const MOMENT_MAX_MS = 8.64e15;

/** Returns null for a text that is no such time. */
export function momentOf(text: string): number | null {
  const [, date, day, time, zone = ''] = RFC3339.exec(text) ?? [];
  if (date === undefined) return null;
  // The 30th of February would become a day in March.
  if (new Date(`${date}T00:00:00Z`).getUTCDate() !== Number(day)) return null;
  const ms = Date.parse(`${date}T${time}${zone.toUpperCase()}`);
  return Number.isNaN(ms) || ms < 0 ? null : Math.floor(ms);
}

const isMs = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** In a schema: the value is such a time. In a query, milliseconds are digits. */
export const MOMENT_KEYWORD = 'x-moment';
export const NOT_A_MOMENT =
  'Must be milliseconds since 1970, or a time with its offset as in RFC 3339: 2026-11-30T20:00:00+01:00.';

interface DataContext {
  readonly parentData: Record<string, unknown> | unknown[];
  readonly parentDataProperty: string | number;
}

/** The keyword for Ajv. It replaces the value by milliseconds. */
export const momentKeyword = {
  keyword: MOMENT_KEYWORD,
  modifying: true,
  errors: false,
  validate(where: 'body' | 'query', value: unknown, _parent: unknown, context?: DataContext): boolean {
    if (typeof value !== 'string') return value === null || isMs(value);
    const isDigits = where === 'query' && /^\d{1,16}$/.test(value);
    const ms = isDigits ? Number(value) : momentOf(value);
    if (ms === null || ms > MOMENT_MAX_MS || context === undefined) return false;
    (context.parentData as Record<string, unknown>)[context.parentDataProperty] = ms;
    return true;
  },
};
