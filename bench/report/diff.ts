/**
 * Two sides, each of one result or of several of the same load: what became better, what worse, and
 * whether that is more than runs of the same thing differ by.
 */
import { type Spread, spreadOf } from './numbers.ts';
import { mannWhitneyP, smallestP } from './rank-test.ts';
import { type BenchResult, type Check, FIGURE_RUNS_MAX, type Figure } from './result.ts';

export interface DiffOptions {
  /** Chance of calling noise a difference, for each figure. Default 0.05. */
  readonly alpha?: number;
  /** Changes of the median below this share are nobody's business, however sure. Default 0.05. */
  readonly threshold?: number;
}

/**
 * Something that was not the same in both runs. `blocks`: the load was another one, so figures do
 * not answer the same question.
 */
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
  /** Of its results, in their order. */
  readonly startedAt: readonly string[];
  readonly commit: string;
  /** Reasons not to trust this side's numbers: every result of it had one. */
  readonly bottlenecks: readonly string[];
  /**
   * Results whose generator was the bottleneck, beside others that can be trusted: they count in no
   * figure.
   */
  readonly leftOut: readonly string[];
}

/**
 * More results of a side mean more runs of each figure: every round of every result is one. Throws
 * RangeError for a side without a result or with too many runs.
 */
export function diffResults(
  a: BenchResult | readonly BenchResult[],
  b: BenchResult | readonly BenchResult[],
  options: DiffOptions = {},
): Diff {
  const asked = { alpha: options.alpha ?? 0.05, threshold: options.threshold ?? 0.05 };
  const [before, after] = [sideOf([a].flat()), sideOf([b].flat())];
  const differences = differencesOf([a].flat(), [b].flat());
  const doubtful = before.bottlenecks.length > 0 || after.bottlenecks.length > 0;
  const figures = [...before.figures.values()].flatMap((figure) => {
    const other = after.figures.get(figure.name);
    const diff = other && diffFigure(figure, other, asked);
    return diff
      ? [
          doubtful
            ? {
                ...diff,
                p: null,
                verdict: 'cannot_tell' as const,
                why: 'the load generator was the bottleneck: cannot tell',
              }
            : diff,
        ]
      : [];
  });
  const checks = diffChecks(before.checks, after.checks);
  return {
    a: before.side,
    b: after.side,
    options: asked,
    differences,
    comparable: !differences.some(({ blocks }) => blocks),
    figures,
    checks,
    onlyInA: [...before.figures.keys()].filter((name) => !after.figures.has(name)),
    onlyInB: [...after.figures.keys()].filter((name) => !before.figures.has(name)),
    regression: figures.some(({ verdict }) => verdict === 'worse') || checks.some(({ change }) => change === 'broke'),
  };
}

interface Pooled {
  readonly side: Side;
  readonly bottlenecks: readonly string[];
  /** By name, with the runs of all results. */
  readonly figures: ReadonlyMap<string, Figure>;
  readonly checks: readonly Check[];
}

function sideOf(results: readonly BenchResult[]): Pooled {
  const trusted = results.filter(({ generator }) => (generator?.bottlenecks.length ?? 0) === 0);
  const bottlenecks =
    trusted.length > 0 ? [] : [...new Set(results.flatMap(({ generator }) => generator?.bottlenecks ?? []))];
  const counted = trusted.length > 0 ? trusted : results;
  const side = {
    scenario: distinct(results.map(({ scenario }) => scenario)),
    startedAt: results.map(({ startedAt }) => startedAt),
    commit: distinct(results.map(({ commit }) => commit)),
    bottlenecks,
    leftOut: results.filter((result) => !counted.includes(result)).map(({ startedAt }) => startedAt),
  };
  return { side, bottlenecks, figures: pool(counted), checks: worstChecks(results) };
}

/**
 * A figure of another unit or direction stays another figure: it begins anew, and the newest
 * definition counts.
 */
function pool(results: readonly BenchResult[]): Map<string, Figure> {
  const figures = new Map<string, Figure>();
  for (const { figures: own } of results)
    for (const figure of own) {
      const known = figures.get(figure.name);
      const same = known !== undefined && known.unit === figure.unit && known.better === figure.better;
      figures.set(figure.name, same ? { ...figure, runs: [...known.runs, ...figure.runs] } : figure);
    }
  for (const { name, runs } of figures.values())
    if (runs.length > FIGURE_RUNS_MAX)
      throw new RangeError(`"${name}" has ${runs.length} runs on one side; ${FIGURE_RUNS_MAX} can be compared`);
  return figures;
}

/** A check that failed in one result failed. */
function worstChecks(results: readonly BenchResult[]): Check[] {
  const checks = new Map<string, Check>();
  for (const { verdict } of results)
    for (const check of verdict.checks) if (checks.get(check.name)?.ok !== false) checks.set(check.name, check);
  return [...checks.values()];
}

const distinct = (values: readonly string[]): string => [...new Set(values)].join(', ');

/** Where a result is written and how it is shown changes nothing that was measured. */
const NOT_LOAD: ReadonlySet<string> = new Set(['out', 'json', 'help']);
/** More repetitions, or levels to judge by: the load is the same. */
const NOT_BLOCKING: ReadonlySet<string> = new Set(['rounds', 'p50', 'p90', 'p99', 'p999', 'p9999', 'max']);

function differencesOf(a: readonly BenchResult[], b: readonly BenchResult[]): Difference[] {
  const found: Difference[] = [];
  /** Results of one side that differ in what blocks are no repetitions of each other. */
  const compare = (what: string, of: (result: BenchResult) => unknown, blocks = false): void => {
    const say = (results: readonly BenchResult[]): string =>
      distinct(results.map((result) => String(of(result) ?? '(not set)')));
    const mixed = [a, b].some((results) => new Set(results.map(of)).size > 1);
    if (say(a) !== say(b) || (blocks && mixed)) found.push({ what, a: say(a), b: say(b), blocks });
  };
  compare('scenario', ({ scenario }) => scenario, true);
  for (const name of new Set([...a, ...b].flatMap(({ parameters }) => Object.keys(parameters))))
    if (!NOT_LOAD.has(name))
      compare(`parameter ${name}`, ({ parameters }) => parameters[name], !NOT_BLOCKING.has(name));
  compare('seed', ({ seed }) => seed);
  compare(
    'machine',
    ({ machine: { cpus, model, memoryGiB, platform, node } }) =>
      `${cpus} x ${model}, ${memoryGiB} GiB, ${platform}, Node ${node}`,
  );
  compare('target', ({ target }) => (target.own ? 'started for the run' : target.url));
  compare('Redis', ({ target }) => target.redis);
  compare('version', ({ version }) => version);
  compare('commit', ({ commit }) => commit);
  return found;
}

/** Null when one side measured nothing. */
function diffFigure(a: Figure, b: Figure, { alpha, threshold }: Required<DiffOptions>): FigureDiff | null {
  const [before, after] = [spreadOf(a), spreadOf(b)];
  if (!before || !after) return null;
  const base = { name: a.name, unit: a.unit, better: a.better, a: before, b: after };
  const change =
    before.median === 0 ? (after.median === 0 ? 0 : null) : (after.median - before.median) / Math.abs(before.median);
  if (a.unit !== b.unit || a.better !== b.better)
    return {
      ...base,
      change: null,
      p: null,
      verdict: 'cannot_tell',
      why: `measured in "${a.unit}", then in "${b.unit}": another figure by the same name`,
    };
  if (before.runs === 1 && after.runs === 1)
    return { ...base, change, p: null, verdict: 'cannot_tell', why: 'one run each: cannot tell' };
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
  if (change !== null && Math.abs(change) < threshold)
    return { ...base, change, p, verdict: 'same', why: 'above the noise, but below the threshold' };
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

function diffChecks(a: readonly Check[], b: readonly Check[]): CheckDiff[] {
  const before = new Map(a.map(({ name, ok }) => [name, ok]));
  return b.flatMap(({ name, ok, detail }): CheckDiff[] => {
    const was = before.get(name);
    if (ok) return was === false ? [{ name, change: 'mended', detail }] : [];
    return [{ name, change: was === false ? 'still_broken' : 'broke', detail }];
  });
}
