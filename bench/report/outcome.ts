/** The verdict in plain words, shared by the terminal and the page. */
import { plural } from './numbers.ts';
import type { BenchResult } from './result.ts';

export interface Outcome {
  readonly status: 'PASS' | 'FAIL' | 'UNTRUSTED';
  /** The verdict in a few words. */
  readonly headline: string;
  /** One sentence about what the verdict is based on. */
  readonly sentence: string;
  /** What went wrong, one entry each; empty for a pass. */
  readonly reasons: readonly string[];
}

/** False if the load generator was the bottleneck: then times and rates describe the generator. */
export const isTrusted = ({ generator }: Pick<BenchResult, 'generator'>): boolean =>
  (generator?.bottlenecks.length ?? 0) === 0;

/** A broken promise fails the run. With an overloaded generator, levels mean nothing. */
export function outcomeOf(result: BenchResult): Outcome {
  const { verdict, generator, scenario } = result;
  const { checks, levels } = verdict;
  const broken = checks.filter(({ ok }) => !ok);
  const missed = isTrusted(result) ? levels.filter(({ ok }) => !ok) : [];
  const reasons = [
    ...broken.map(({ name, detail }) => `Check failed: ${name}${detail === '' ? '' : ` (${detail})`}`),
    ...(generator?.bottlenecks ?? []).map((reason) => `The load generator was the bottleneck: ${reason}`),
    ...missed.map(({ flag, wanted, measured }) => `Service level missed: ${flag} ${wanted}, measured ${measured}`),
  ];
  if (broken.length === 0 && !isTrusted(result)) {
    const why = 'The load generator could not keep up, so the times and rates of this run describe the generator';
    const sentence = `${why}, not the engine. ${passed(checks.length)}`;
    return { status: 'UNTRUSTED', headline: 'This run is inconclusive.', sentence, reasons };
  }
  if (broken.length === 0 && missed.length === 0 && verdict.ok) {
    const met = levels.length === 0 ? 'No service level was requested.' : `${all(levels.length, 'service level')} met.`;
    return { status: 'PASS', headline: 'It held.', sentence: `${passed(checks.length)} ${met}`, reasons };
  }
  const counts = [
    ...(broken.length > 0 ? [`${broken.length} of ${plural(checks.length, 'check')} failed`] : []),
    ...(missed.length > 0 ? [`${missed.length} of ${plural(levels.length, 'service level')} missed`] : []),
  ];
  const unexplained = 'reports this run as failed, without a failed check or a missed service level';
  const sentence = counts.length > 0 ? `${counts.join(', ')}.` : `The ${scenario} scenario ${unexplained}.`;
  return { status: 'FAIL', headline: 'It did not hold.', sentence, reasons };
}

const all = (count: number, what: string): string =>
  count === 1 ? `The one ${what} was` : count === 2 ? `Both ${what}s were` : `All ${count} ${what}s were`;

function passed(checks: number): string {
  if (checks === 0) return 'No promise was checked.';
  return checks === 1 ? 'The one check passed.' : `All ${checks} checks passed.`;
}
