/** Compares two sides (results of the same load): better or worse, and whether it is noise. */
import { readFileSync } from 'node:fs';
import { type Spread, spreadOf } from './numbers.ts';
import { isTrusted } from './outcome.ts';
import { mannWhitneyP, smallestP } from './rank-test.ts';
import { type BenchResult, type Check, FIGURE_RUNS_MAX, type Figure } from './result.ts';

export interface DiffOptions {
  /** Probability, per figure, of reporting noise as a difference. Default 0.05. */
  readonly alpha?: number;
  /** Smaller relative changes of the median are ignored, however certain. Default 0.05. */
  readonly threshold?: number;
}

/** A difference between the sides. `blocks`: the load differs, so figures are not comparable. */
export interface Difference {
  readonly what: string;
  readonly a: string;
  readonly b: string;
  readonly blocks: boolean;
}

export type FigureVerdict = 'better' | 'worse' | 'changed' | 'same' | 'inconclusive';

export interface FigureDiff {
  readonly name: string;
  readonly unit: string;
  readonly better: Figure['better'];
  readonly a: Spread;
  readonly b: Spread;
  /** Of the medians: 0.1 is 10 % more in B. Null if A is zero. */
  readonly change: number | null;
  /** Of the rank test; null with too few runs. */
  readonly p: number | null;
  readonly verdict: FigureVerdict;
  readonly why: string;
}

export interface CheckDiff {
  readonly name: string;
  readonly change: 'broke' | 'fixed' | 'still_broken';
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
  /** Measured on one side only. */
  readonly onlyInA: readonly string[];
  readonly onlyInB: readonly string[];
  /** A figure became worse by more than the noise, or a check broke. */
  readonly regression: boolean;
}

export interface Side {
  readonly scenario: string;
  readonly startedAt: readonly string[];
  readonly commit: string;
  /** Reasons not to trust this side: the generator was the bottleneck in all its results. */
  readonly bottlenecks: readonly string[];
  /** Ignored results: their generator was the bottleneck, and other results can be trusted. */
  readonly leftOut: readonly string[];
}

/** Compares the figures over all runs of a side. Throws RangeError for too many runs. */
export function diffResults(
  a: BenchResult | readonly BenchResult[],
  b: BenchResult | readonly BenchResult[],
  options: DiffOptions = {},
): Diff {
  const asked = { alpha: options.alpha ?? 0.05, threshold: options.threshold ?? 0.05 };
  const [before, after] = [sideOf([a].flat()), sideOf([b].flat())];
  const differences = differencesOf([a].flat(), [b].flat());
  const isUntrusted = before.side.bottlenecks.length > 0 || after.side.bottlenecks.length > 0;
  const figures = [...before.figures.values()].flatMap((figure) => {
    const other = after.figures.get(figure.name);
    const diff = other && diffFigure(figure, other, asked);
    if (!diff) return [];
    const why = 'inconclusive: the load generator was the bottleneck';
    return [isUntrusted ? { ...diff, p: null, verdict: 'inconclusive' as const, why } : diff];
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
  /** By name, with the runs of all results. */
  readonly figures: ReadonlyMap<string, Figure>;
  readonly checks: readonly Check[];
}

function sideOf(results: readonly BenchResult[]): Pooled {
  const trusted = results.filter(isTrusted);
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
  return { side, figures: pool(counted), checks: worstChecks(results) };
}

/** Figures and checks of older results by their present names. */
const RENAMED = JSON.parse(readFileSync(new URL('./renamed.json', import.meta.url), 'utf8')) as Array<[string, string]>;
const presentName = (name: string): string => RENAMED.reduce((text, [from, to]) => text.replace(from, to), name);

/** If unit or direction of a figure changed, only the newest definition counts. */
function pool(results: readonly BenchResult[]): Map<string, Figure> {
  const figures = new Map<string, Figure>();
  for (const { figures: own } of results)
    for (const { runs, ...rest } of own) {
      const figure = { ...rest, name: presentName(rest.name) };
      const known = figures.get(figure.name);
      const isSame = known !== undefined && known.unit === figure.unit && known.better === figure.better;
      figures.set(figure.name, { ...figure, runs: isSame ? [...known.runs, ...runs] : runs });
    }
  for (const { name, runs } of figures.values())
    if (runs.length > FIGURE_RUNS_MAX)
      throw new RangeError(`"${name}" has ${runs.length} runs on one side; ${FIGURE_RUNS_MAX} can be compared`);
  return figures;
}

/** A check that failed in one result counts as failed. */
function worstChecks(results: readonly BenchResult[]): Check[] {
  const checks = new Map<string, Check>();
  for (const { verdict } of results)
    for (const check of verdict.checks) {
      const name = presentName(check.name);
      if (checks.get(name)?.ok !== false) checks.set(name, { ...check, name });
    }
  return [...checks.values()];
}

const distinct = (values: readonly string[]): string => [...new Set(values)].join(', ');

/** Parameters that do not affect what was measured. */
const NOT_LOAD: ReadonlySet<string> = new Set(['out', 'json', 'help']);
/** Repetitions and service levels: the load is the same. */
const NOT_BLOCKING: ReadonlySet<string> = new Set(['rounds', 'p50', 'p90', 'p99', 'p999', 'p9999', 'max']);

function differencesOf(a: readonly BenchResult[], b: readonly BenchResult[]): Difference[] {
  const found: Difference[] = [];
  /** Results of one side that differ in a blocking value are no repetitions of each other. */
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

/** Returns null if one side measured nothing. */
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
      verdict: 'inconclusive',
      why: `measured in "${a.unit}", then in "${b.unit}": a different figure with the same name`,
    };
  if (before.runs === 1 && after.runs === 1)
    return { ...base, change, p: null, verdict: 'inconclusive', why: 'inconclusive: one run each' };
  if (smallestP(before.runs, after.runs) > alpha)
    return {
      ...base,
      change,
      p: null,
      verdict: 'inconclusive',
      why: `${before.runs} and ${after.runs} runs: inconclusive (${runsNeeded(alpha)} each are enough)`,
    };
  const p = mannWhitneyP(a.runs, b.runs);
  if (p > alpha) return { ...base, change, p, verdict: 'same', why: 'within the noise' };
  if (change !== null && Math.abs(change) < threshold)
    return { ...base, change, p, verdict: 'same', why: 'above the noise, but below the threshold' };
  if (a.better === 'neither') return { ...base, change, p, verdict: 'changed', why: 'above the noise' };
  const improved = a.better === 'higher' ? after.median > before.median : after.median < before.median;
  return { ...base, change, p, verdict: improved ? 'better' : 'worse', why: 'above the noise' };
}

/** The runs per side that the rank test needs at this level. */
export function runsNeeded(alpha: number): number {
  let runs = 2;
  while (smallestP(runs, runs) > alpha && runs < 100) runs++;
  return runs;
}

function diffChecks(a: readonly Check[], b: readonly Check[]): CheckDiff[] {
  const before = new Map(a.map(({ name, ok }) => [name, ok]));
  return b.flatMap(({ name, ok, detail }): CheckDiff[] => {
    const was = before.get(name);
    if (ok) return was === false ? [{ name, change: 'fixed', detail }] : [];
    return [{ name, change: was === false ? 'still_broken' : 'broke', detail }];
  });
}
