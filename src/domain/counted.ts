/** Numbers in texts for people. */
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Returns a number with its noun: `1 order`, `2 orders`. */
export const counted = (count: number | string, noun: string, plural = `${noun}s`): string =>
  `${count} ${Number(count) === 1 ? noun : plural}`;

/** Returns a time in hours or days. */
export const timeText = (ms: number): string =>
  ms < 2 * DAY_MS ? counted(Math.ceil(ms / HOUR_MS), 'hour') : counted(Math.floor(ms / DAY_MS), 'day');
