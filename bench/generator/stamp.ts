/**
 * The moment a chat message was due travels in its text, so that whoever receives it can tell how
 * long it took from there.
 */

const MARK = '~';
/**
 * The due time in microseconds of the fleet's clock, base 36, between two marks no person would
 * write like this.
 */
const STAMP = /^~([0-9a-z]{1,12})~ /;

export const stamped = (dueMs: number, text: string): string =>
  `${MARK}${Math.round(dueMs * 1000).toString(36)}${MARK} ${text}`;

/** Due time in milliseconds; NaN for a text that carries none. */
export function dueOf(text: string): number {
  if (!text.startsWith(MARK)) return Number.NaN;
  const match = STAMP.exec(text);
  return match === null ? Number.NaN : Number.parseInt(match[1] as string, 36) / 1000;
}

/** Characters a stamp takes, at most. */
export const STAMP_CHARS_MAX = 14;
