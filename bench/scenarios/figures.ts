import type { Figure } from '../report/result.ts';

/** One value a round; rounds in which it could not be had (NaN) are left out. */
export const figure = (name: string, unit: string, better: Figure['better'], runs: readonly number[], about: string): Figure => ({
  name,
  unit,
  better,
  runs: runs.filter((value) => Number.isFinite(value)),
  about,
});
