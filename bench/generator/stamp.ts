/** The due time of a chat message is in its text, so that receivers can measure the delivery. */

const MARK = '~';
/** The due time in microseconds of the fleet's clock, base 36. */
const STAMP = /^~([0-9a-z]{1,12})~ /;

export const stamped = (dueMs: number, text: string): string =>
  `${MARK}${Math.round(dueMs * 1000).toString(36)}${MARK} ${text}`;

/** Due time in milliseconds; NaN for a text without a stamp. */
export function dueOf(text: string): number {
  if (!text.startsWith(MARK)) return Number.NaN;
  const match = STAMP.exec(text);
  return match === null ? Number.NaN : Number.parseInt(match[1] as string, 36) / 1000;
}

export const STAMP_CHARS_MAX = 14;
