/** The verdict in plain words. One place, so that terminal and page never disagree. */
import { plural } from './numbers.ts';
import type { BenchResult } from './result.ts';

export interface Outcome {
  readonly status: 'PASS' | 'FAIL' | 'UNTRUSTED';
  /** A few words: the answer. */
  readonly headline: string;
  /** One sentence: what the answer rests on. */
  readonly sentence: string;
  /** What went wrong, one line each; empty for a pass. */
  readonly reasons: readonly string[];
}

/**
 * A broken promise is a fact whoever was slow, so it fails the run. A service level is a number,
 * and numbers of a generator that was itself the bottleneck say nothing: then there is no answer,
 * met or missed.
 */
export function outcomeOf({ verdict, generator, scenario }: BenchResult): Outcome {
  const broken = verdict.checks.filter(({ ok }) => !ok);
  const missed = verdict.levels.filter(({ ok }) => !ok);
  const bottlenecks = generator?.bottlenecks ?? [];
  const reasons = [
    ...broken.map(({ name, detail }) => `Check failed: ${name}${detail === '' ? '' : ` (${detail})`}`),
    ...bottlenecks.map((reason) => `The load generator was the bottleneck: ${reason}`),
    ...(bottlenecks.length > 0
      ? []
      : missed.map(({ flag, wanted, measured }) => `Service level missed: ${flag} ${wanted}, measured ${measured}`)),
  ];
  if (broken.length === 0 && bottlenecks.length > 0) {
    const sentence = `The load generator could not keep up, so the times and rates of this run describe the generator, not the engine. ${kept(verdict.checks.length)}`;
    return { status: 'UNTRUSTED', headline: 'This run gives no answer.', sentence: sentence.trim(), reasons };
  }
  if (broken.length === 0 && missed.length === 0 && verdict.ok) {
    const levels =
      verdict.levels.length === 0
        ? 'No service level was asked for.'
        : `${all(verdict.levels.length, 'service level')} met.`;
    return {
      status: 'PASS',
      headline: 'It held.',
      sentence: `${kept(verdict.checks.length)} ${levels}`.trim(),
      reasons: [],
    };
  }
  const counts = [
    ...(broken.length > 0
      ? [`${broken.length} of ${plural(verdict.checks.length, 'check')} of what the engine promises failed`]
      : []),
    ...(missed.length > 0 && bottlenecks.length === 0
      ? [`${missed.length} of ${plural(verdict.levels.length, 'service level')} missed`]
      : []),
  ];
  const sentence =
    counts.length > 0
      ? `${counts.join(', ')}.`
      : `The ${scenario} scenario counts this run as failed, without a failed check or a missed service level.`;
  return { status: 'FAIL', headline: 'It did not hold.', sentence, reasons };
}

const all = (count: number, what: string): string =>
  count === 1 ? `The one ${what} was` : count === 2 ? `Both ${what}s were` : `All ${count} ${what}s were`;
const kept = (checks: number): string => {
  if (checks === 0) return 'No promise was checked.';
  return checks === 1
    ? 'The one check of what the engine promises passed.'
    : `All ${checks} checks of what the engine promises passed.`;
};
