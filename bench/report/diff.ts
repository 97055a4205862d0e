/** Two results side by side: what became better, what worse, and whether that is more than two runs of the same thing differ by. */
import { type Spread, spreadOf } from './numbers.ts';
import { mannWhitneyP, smallestP } from './rank-test.ts';
import type { BenchResult, Figure } from './result.ts';

export interface DiffOptions {
  /** Chance of calling noise a difference, for each figure. Default 0.05. */
  readonly alpha?: number;
  /** Changes of the median below this share are nobody's business, however sure. Default 0.05. */
  readonly threshold?: number;
}

/** Something that was not the same in both runs. `blocks`: the load was another one, so figures do not answer the same question. */
export interface Difference {
  readonly what: string;
  readonly a: string;
  readonly b: string;
  readonly blocks: boolean;
}

export type FigureVerdict = 'better' | 'worse' | 'changed' | 'same' | 'cannot_tell';

export interface FigureDiff {
  readonly name: string;
  readonly unit: string;
  readonly better: Figure['better'];
  readonly a: Spread;
  readonly b: Spread;
  /** Of the medians: 0.1 is 10 % more in B. Null from zero. */
  readonly change: number | null;
  /** Of the rank test; null with too few runs for any answer. */
  readonly p: number | null;
  readonly verdict: FigureVerdict;
  readonly why: string;
}

export interface CheckDiff {
  readonly name: string;
  readonly change: 'broke' | 'mended' | 'still_broken';
  readonly detail: string;
}

export interface Diff {
  readonly a: Side;
  readonly b: Side;
  readonly options: Required<DiffOptions>;
  readonly differences: readonly Difference[];
  /** False when a difference blocks. */
  readonly comparable: boolean;
  readonly figures: readonly FigureDiff[];
  readonly checks: readonly CheckDiff[];
  /** Measured in one of them only. */
  readonly onlyInA: readonly string[];
  readonly onlyInB: readonly string[];
  /** A figure is worse above the noise, or a check broke. */
  readonly regression: boolean;
}

export interface Side {
  readonly scenario: string;
  readonly startedAt: string;
  readonly commit: string;
  /** Reasons not to trust this run's numbers. */
  readonly bottlenecks: readonly string[];
}

export function diffResults(a: BenchResult, b: BenchResult, options: DiffOptions = {}): Diff {
  const asked = { alpha: options.alpha ?? 0.05, threshold: options.threshold ?? 0.05 };
  const differences = differencesOf(a, b);
  const figuresOfB = new Map(b.figures.map((figure) => [figure.name, figure]));
  const doubtful = [a, b].some(({ generator }) => (generator?.bottlenecks.length ?? 0) > 0);
  const namesOfA = new Set(a.figures.map(({ name }) => name));
  const figures = a.figures.flatMap((figure) => {
    const other = figuresOfB.get(figure.name);
    const diff = other && diffFigure(figure, other, asked);
    return diff ? [doubtful ? { ...diff, p: null, verdict: 'cannot_tell' as const, why: 'the load generator was the bottleneck: cannot tell' } : diff] : [];
  });
  const checks = diffChecks(a, b);
  return {
    a: sideOf(a),
    b: sideOf(b),
    options: asked,
    differences,
    comparable: !differences.some(({ blocks }) => blocks),
    figures,
    checks,
    onlyInA: [...namesOfA].filter((name) => !figuresOfB.has(name)),
    onlyInB: [...figuresOfB.keys()].filter((name) => !namesOfA.has(name)),
    regression: figures.some(({ verdict }) => verdict === 'worse') || checks.some(({ change }) => change === 'broke'),
  };
}

const sideOf = ({ scenario, startedAt, commit, generator }: BenchResult): Side => ({ scenario, startedAt, commit, bottlenecks: generator?.bottlenecks ?? [] });

function differencesOf(a: BenchResult, b: BenchResult): Difference[] {
  const found: Difference[] = [];
  const compare = (what: string, x: unknown, y: unknown, blocks = false): void => {
    if (x !== y) found.push({ what, a: x === undefined ? '(not set)' : String(x), b: y === undefined ? '(not set)' : String(y), blocks });
  };
  compare('scenario', a.scenario, b.scenario, true);
  for (const name of new Set([...Object.keys(a.parameters), ...Object.keys(b.parameters)]))
    compare(`parameter ${name}`, a.parameters[name], b.parameters[name], true);
  compare('seed', a.seed, b.seed);
  const machine = ({ cpus, model, memoryGiB, platform, node }: BenchResult['machine']): string =>
    `${cpus} x ${model}, ${memoryGiB} GiB, ${platform}, Node ${node}`;
  compare('machine', machine(a.machine), machine(b.machine));
  compare('target', a.target.own ? 'started for the run' : a.target.url, b.target.own ? 'started for the run' : b.target.url);
  compare('Redis', a.target.redis, b.target.redis);
  compare('version', a.version, b.version);
  compare('commit', a.commit, b.commit);
  return found;
}

/** Null when one side measured nothing. */
function diffFigure(a: Figure, b: Figure, { alpha, threshold }: Required<DiffOptions>): FigureDiff | null {
  const [before, after] = [spreadOf(a), spreadOf(b)];
  if (!before || !after) return null;
  const base = { name: a.name, unit: a.unit, better: a.better, a: before, b: after };
  const change = before.median === 0 ? (after.median === 0 ? 0 : null) : (after.median - before.median) / Math.abs(before.median);
  if (a.unit !== b.unit || a.better !== b.better)
    return { ...base, change: null, p: null, verdict: 'cannot_tell', why: `measured in "${a.unit}", then in "${b.unit}": another figure by the same name` };
  if (before.runs === 1 && after.runs === 1) return { ...base, change, p: null, verdict: 'cannot_tell', why: 'one run each: cannot tell' };
  if (smallestP(before.runs, after.runs) > alpha)
    return {
      ...base,
      change,
      p: null,
      verdict: 'cannot_tell',
      why: `${before.runs} and ${after.runs} runs: too few to tell (${runsNeeded(alpha)} each are enough)`,
    };
  const p = mannWhitneyP(a.runs, b.runs);
  if (p > alpha) return { ...base, change, p, verdict: 'same', why: 'within the noise' };
  if (change !== null && Math.abs(change) < threshold) return { ...base, change, p, verdict: 'same', why: 'above the noise, but below the threshold' };
  if (a.better === 'neither') return { ...base, change, p, verdict: 'changed', why: 'above the noise' };
  const improved = a.better === 'higher' ? after.median > before.median : after.median < before.median;
  return { ...base, change, p, verdict: improved ? 'better' : 'worse', why: 'above the noise' };
}

/** Runs a side from which on the rank test can say anything at this level. */
export function runsNeeded(alpha: number): number {
  let runs = 2;
  while (smallestP(runs, runs) > alpha && runs < 100) runs++;
  return runs;
}

function diffChecks(a: BenchResult, b: BenchResult): CheckDiff[] {
  const before = new Map(a.verdict.checks.map(({ name, ok }) => [name, ok]));
  return b.verdict.checks.flatMap(({ name, ok, detail }): CheckDiff[] => {
    const was = before.get(name);
    if (ok) return was === false ? [{ name, change: 'mended', detail }] : [];
    return [{ name, change: was === false ? 'still_broken' : 'broke', detail }];
  });
}
