import type { Figure } from '../report/result.ts';

/** Builds figures with one value per round; rounds without a value are left out. */
export function figuresOver<R>(rounds: readonly R[]) {
  const builder =
    (better: Figure['better']) =>
    (name: string, unit: string, value: (round: R) => number | undefined, about: string): Figure => {
      const runs = rounds.map((round) => value(round) ?? Number.NaN).filter(Number.isFinite);
      return { name, unit, better, runs, about };
    };
  return { higher: builder('higher'), lower: builder('lower'), neither: builder('neither') };
}

/** Figures of the whole run. */
export const runFigures = figuresOver([null]);

/** Names the checks of later rounds. */
export const ofRound = (name: string, index: number): string => (index === 0 ? name : `${name}, round ${index + 1}`);
