/** Returns a number with its noun: `1 order`, `2 orders`. */
export const counted = (count: number | string, noun: string, plural = `${noun}s`): string =>
  `${count} ${Number(count) === 1 ? noun : plural}`;
