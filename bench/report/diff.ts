/** Compares two sides (results of the same load): better or worse, and whether it is noise. */
import { readFileSync } from 'node:fs';
import { machineOf, spreadOf } from './numbers.ts';
import { isTrusted } from './outcome.ts';
import { mannWhitneyP, smallestP } from './rank-test.ts';
import { type BenchResult, type Check, FIGURE_RUNS_MAX, type Figure } from './result.ts';

export interface DiffOptions {
  /** Probability, per figure, of reporting noise as a difference. Default 0.05. */
  readonly alpha?: number;
  /** Smaller relative changes of the median are ignored, however certain. Default 0.05. */
  readonly threshold?: number;
}

type Results = BenchResult | readonly BenchResult[];
type FigureVerdict = 'better' | 'worse' | 'changed' | 'same' | 'inconclusive';
export type Diff = ReturnType<typeof diffResults>;
export type Side = ReturnType<typeof sideOf>['side'];
export type FigureDiff = Diff['figures'][number];

/** Compares the figures over all runs of a side. Throws RangeError for too many runs. */
export function diffResults(a: Results, b: Results, options: DiffOptions = {}) {
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
    /** False when a difference blocks. */
    comparable: !differences.some(({ blocks }) => blocks),
    figures,
    checks,
    /** Measured on one side only. */
    onlyInA: [...before.figures.keys()].filter((name) => !after.figures.has(name)),
    onlyInB: [...after.figures.keys()].filter((name) => !before.figures.has(name)),
    /** A figure became worse by more than the noise, or a check broke. */
    regression: figures.some(({ verdict }) => verdict === 'worse') || checks.some(({ change }) => change === 'broke'),
  };
}

function sideOf(results: readonly BenchResult[]) {
  const trusted = results.filter(isTrusted);
  const bottlenecks =
    trusted.length > 0 ? [] : [...new Set(results.flatMap(({ generator }) => generator?.bottlenecks ?? []))];
  const counted = trusted.length > 0 ? trusted : results;
  const side = {
    scenario: distinct(results.map(({ scenario }) => scenario)),
    startedAt: results.map(({ startedAt }) => startedAt),
    commit: distinct(results.map(({ commit }) => commit)),
    /** Reasons not to trust this side: the generator was the bottleneck in all its results. */
    bottlenecks,
    /** Ignored results: their generator was the bottleneck, and other results can be trusted. */
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

/** `blocks`: the load differs, so figures are not comparable. */
function differencesOf(a: readonly BenchResult[], b: readonly BenchResult[]) {
  const found: Array<{ readonly what: string; readonly a: string; readonly b: string; readonly blocks: boolean }> = [];
  /** Results of one side that differ in a blocking value are no repetitions of each other. */
  const compare = (what: string, of: (result: BenchResult) => unknown, blocks = false): void => {
    const say = (results: readonly BenchResult[]) => distinct(results.map((result) => `${of(result) ?? '(not set)'}`));
    const mixed = [a, b].some((results) => new Set(results.map(of)).size > 1);
    if (say(a) !== say(b) || (blocks && mixed)) found.push({ what, a: say(a), b: say(b), blocks });
  };
  compare('scenario', ({ scenario }) => scenario, true);
  for (const name of new Set([...a, ...b].flatMap(({ parameters }) => Object.keys(parameters))))
    if (!NOT_LOAD.has(name))
      compare(`parameter ${name}`, ({ parameters }) => parameters[name], !NOT_BLOCKING.has(name));
  compare('seed', ({ seed }) => seed);
  compare('machine', ({ machine }) => machineOf(machine));
  compare('target', ({ target }) => (target.own ? 'started for the run' : target.url));
  compare('Redis', ({ target }) => target.redis);
  compare('version', ({ version }) => version);
  compare('commit', ({ commit }) => commit);
  return found;
}

/**
 * Returns null if one side measured nothing. `change` is of the medians (0.1: 10 % more in B; null
 * if A is zero), `p` of the rank test (null with too few runs).
 */
function diffFigure(a: Figure, b: Figure, { alpha, threshold }: Required<DiffOptions>) {
  const [before, after] = [spreadOf(a), spreadOf(b)];
  if (!before || !after) return null;
  const growth = after.median - before.median;
  const relative = before.median === 0 ? (growth === 0 ? 0 : null) : growth / Math.abs(before.median);
  const { name, unit, better } = a;
  const common = { name, unit, better, a: before, b: after };
  const found = (verdict: FigureVerdict, why: string, p: number | null = null, change = relative) => {
    return { ...common, change, p, verdict, why };
  };
  if (unit !== b.unit || better !== b.better) {
    const why = `measured in "${unit}", then in "${b.unit}": a different figure with the same name`;
    return found('inconclusive', why, null, null);
  }
  if (before.runs === 1 && after.runs === 1) return found('inconclusive', 'inconclusive: one run each');
  if (smallestP(before.runs, after.runs) > alpha) {
    const runs = `${before.runs} and ${after.runs} runs`;
    return found('inconclusive', `${runs}: inconclusive (${runsNeeded(alpha)} each are enough)`);
  }
  const p = mannWhitneyP(a.runs, b.runs);
  if (p > alpha) return found('same', 'within the noise', p);
  if (relative !== null && Math.abs(relative) < threshold)
    return found('same', 'above the noise, but below the threshold', p);
  if (better === 'neither') return found('changed', 'above the noise', p);
  return found((better === 'higher') === growth > 0 ? 'better' : 'worse', 'above the noise', p);
}

/** The runs per side that the rank test needs at this level. */
export function runsNeeded(alpha: number): number {
  let runs = 2;
  while (smallestP(runs, runs) > alpha && runs < 100) runs++;
  return runs;
}

function diffChecks(a: readonly Check[], b: readonly Check[]) {
  const before = new Map(a.map(({ name, ok }) => [name, ok]));
  return b.flatMap(({ name, ok, detail }) => {
    const wasBroken = before.get(name) === false;
    if (ok && !wasBroken) return [];
    const change = ok ? ('fixed' as const) : wasBroken ? ('still_broken' as const) : ('broke' as const);
    return [{ name, change, detail }];
  });
}
