import type { Figure } from '../report/result.ts';

/** One value a round; rounds in which it could not be had (NaN) are left out. */
export const figure = (
  name: string,
  unit: string,
  better: Figure['better'],
  runs: readonly number[],
  about: string,
): Figure => ({
  name,
  unit,
  better,
  runs: runs.filter((value) => Number.isFinite(value)),
  about,
});

/** Figures of rounds: `value` is asked of each. */
export const figuresOfRounds =
  <R>(rounds: readonly R[]) =>
  (
    name: string,
    unit: string,
    better: Figure['better'],
    about: string,
    value: (round: R) => number | undefined,
  ): Figure =>
    figure(
      name,
      unit,
      better,
      rounds.map((round) => value(round) ?? Number.NaN),
      about,
    );
