/** Comparison of results: differences, noise, and inconclusive figures. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { diffResults, renderDiff, runDiff } from '../../bench/report/index.ts';
import { mannWhitneyP, smallestP } from '../../bench/report/rank-test.ts';
import type { BenchResult, Figure } from '../../bench/report/result.ts';
import { exampleResult } from './example-result.ts';

const base = exampleResult({ seconds: 20 });
const withRuns = (runs: readonly number[], more: Partial<Figure> = {}): BenchResult => ({
  ...base,
  figures: [{ name: 'chat p99', unit: 'ms', better: 'lower', ...more, runs }],
});
const verdictOf = (a: readonly number[], b: readonly number[], more: Partial<Figure> = {}): string =>
  diffResults(withRuns(a, more), withRuns(b, more)).figures[0]?.verdict ?? 'none';

t.test('p of the rank test equals published tables and exact counts', async (t) => {
  // Complete separation of m and n: 2 of the C(m + n, m) possible sets of ranks.
  t.ok(Math.abs(mannWhitneyP([1, 2, 3], [4, 5, 6]) - 2 / 20) < 1e-12);
  t.ok(Math.abs(mannWhitneyP([1, 2, 3, 4], [5, 6, 7, 8]) - 2 / 70) < 1e-12);
  // U = 1 with 4 and 4: tabled two-sided p 0.057. U = 2 with 5 and 5: 0.032.
  t.ok(Math.abs(mannWhitneyP([1, 2, 3, 5], [4, 6, 7, 8]) - 4 / 70) < 1e-12);
  t.ok(Math.abs(mannWhitneyP([1, 2, 3, 4, 7], [5, 6, 8, 9, 10]) - 8 / 252) < 1e-12);
  t.equal(mannWhitneyP([5, 5, 5], [5, 5, 5]), 1, 'equal values are no difference');
  t.equal(mannWhitneyP([], [1]), 1);
  t.equal(mannWhitneyP([1, 2, 9], [3, 4]), mannWhitneyP([3, 4], [1, 2, 9]), 'the order of the sides does not matter');
  t.equal(smallestP(4, 4), 2 / 70);
  t.equal(smallestP(1, 1), 1);
});

t.test('p with ties is counted exactly', async (t) => {
  // Ranks 1.5 1.5 3 4.5 4.5. Of the 10 pairs, {1.5, 1.5} and {4.5, 4.5} have the rank sums that are
  // farthest from the mean, 6.
  t.ok(Math.abs(mannWhitneyP([1, 1], [2, 3, 3]) - 2 / 10) < 1e-12);
  t.ok(mannWhitneyP([2, 2, 2, 2, 2], [3, 3, 3, 3, 3]) < 0.01, 'two constants that differ');
});

t.test('p of large samples is high for a small shift and low for a large one', async (t) => {
  const values = Array.from({ length: 100 }, (_, nth) => nth);
  const shifted = (by: number): number[] => values.map((value) => value + by);
  t.ok(mannWhitneyP(values, shifted(0.5)) > 0.5);
  t.ok(mannWhitneyP(values, shifted(60)) < 1e-6);
});

t.test('better, worse, the same, and changes below the threshold', async (t) => {
  const before = [40, 41, 42, 43, 44];
  t.equal(verdictOf(before, [60, 61, 62, 63, 64]), 'worse');
  t.equal(verdictOf(before, [20, 21, 22, 23, 24]), 'better');
  t.equal(verdictOf(before, [60, 61, 62, 63, 64], { better: 'higher' }), 'better');
  t.equal(verdictOf(before, [60, 61, 62, 63, 64], { better: 'neither' }), 'changed');
  t.equal(verdictOf(before, [38, 43, 41, 47, 42]), 'same', 'within the noise');
  const barely = verdictOf([100, 100.1, 100.2, 100.3], [101, 101.1, 101.2, 101.3]);
  t.equal(barely, 'same', 'significant, but 1 % is below the threshold');
  t.equal(verdictOf([0, 0, 0, 0], [1, 2, 3, 4]), 'worse', 'from zero');
});

t.test('too few runs are inconclusive', async (t) => {
  const why = (a: number[], b: number[]): string => diffResults(withRuns(a), withRuns(b)).figures[0]?.why ?? '';
  t.equal(why([40], [80]), 'inconclusive: one run each');
  t.equal(why([40, 41, 42], [80, 81, 82]), '3 and 3 runs: inconclusive (4 each are enough)');
  t.equal(verdictOf([40], [80, 81, 82]), 'inconclusive');
  t.same(diffResults(withRuns([]), withRuns([1])).figures, []);
});

t.test('differences are listed, and different loads are not compared', async (t) => {
  const machine = { ...base.machine, cpus: 4 };
  const parameters = { ...base.parameters, viewers: 9_000, extra: true };
  const diff = diffResults(base, { ...base, seed: 8, commit: 'abc', machine, parameters });
  const differences = diff.differences.map(({ what, blocks }) => `${what} ${blocks ? 'blocks' : 'is listed'}`);
  const blocking = ['parameter viewers blocks', 'parameter extra blocks'];
  t.same(differences, [...blocking, 'seed is listed', 'machine is listed', 'commit is listed']);
  t.equal(diff.comparable, false);
  t.match(renderDiff(diff), /parameter viewers +5000 -> 9000[\s\S]*NOT COMPARED/);
  t.notMatch(renderDiff(diff), /A, median/);
  t.match(renderDiff(diff, { anyway: true }), /A, median/);
  t.equal(diffResults(base, { ...base, scenario: 'rush' }).comparable, false);
});

t.test('figures and checks of older results are compared by their present names', async (t) => {
  const old = withRuns([40, 41, 42, 43], { name: 'decisions, bare sketch' });
  const present = withRuns([60, 61, 62, 63], { name: 'decisions, bare server' });
  t.match(diffResults(old, present).figures, [{ name: 'decisions, bare server', verdict: 'worse' }]);
});

t.test('a broken check is a regression for any figures; an overloaded generator is inconclusive', async (t) => {
  const failing = { ...base, verdict: exampleResult({ kind: 'failing' }).verdict };
  const diff = diffResults(base, failing);
  const checks = diff.checks.map(({ name, change }) => `${name}: ${change}`);
  t.same([checks, diff.regression], [['Every unit is accounted for: broke'], true]);
  t.match(renderDiff(diff), /BROKE +Every unit is accounted for: sale 2/);
  t.equal(diffResults(failing, failing).regression, false, 'a check that failed before is no regression');
  t.match(renderDiff(diffResults(failing, base)), /fixed/);
  const { seconds, parameters } = base;
  const untrusted = diffResults(base, { ...exampleResult({ kind: 'untrusted', slower: 3 }), seconds, parameters });
  t.ok(untrusted.figures.every(({ verdict }) => verdict === 'inconclusive'));
  t.match(renderDiff(untrusted), /In B the load generator was the bottleneck/);
});

async function run(...argv: string[]): Promise<{ code: number; text: string }> {
  const written: string[] = [];
  const code = await runDiff(argv, { write: (text) => written.push(text) });
  return { code, text: written.join('') };
}

t.test('exit codes and output of the diff command', async (t) => {
  const folder = t.testdir({ nothing: {} });
  const save = (name: string, result: BenchResult): string => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(result));
    return path;
  };
  const a = save('a.json', base);
  const slower = save('slower.json', exampleResult({ seconds: 20, slower: 2 }));
  const single = save('single.json', exampleResult({ seconds: 20, runs: 1 }));
  const other = save('other.json', { ...base, scenario: 'rush' });
  const worse = await run(a, slower);
  t.equal(worse.code, 1);
  for (const part of [
    /chat delivered +507,341\/s +\+-[\d.]+ % +253,670\/s +\+-[\d.]+ % +-50 % +p = 0\.008 +5 \+ 5 +WORSE/,
    /^REGRESSION {2}4 worse, 5 within the noise or the threshold\.$/m,
    /rank test, two-sided and exact, at 5 %; changes below 5 % are ignored\. Of 9 tested figures, about/,
  ])
    t.match(worse.text, part);
  t.equal((await run(slower, a)).code, 0, 'an improvement is no regression');
  t.match(await run(a, a), { code: 0, text: /^NO REGRESSION/m });
  const one = await run(single, single);
  t.match(one, { code: 0, text: /inconclusive: one run each/ });
  t.match(one.text, /^INCONCLUSIVE/m);
  t.equal((await run(a, other)).code, 2);
  t.equal((await run(a, other, '--anyway')).code, 0);
  t.equal((await run(a, slower, '--threshold', '1000')).code, 0);
  t.equal((JSON.parse((await run(a, slower, '--json')).text) as { regression: boolean }).regression, true);
  for (const [argv, message] of [
    [[a], /expected two results, got 1/],
    [[a, a, a], /expected two results, got 3; separate several results per side with a bare --/],
    [[a, '--'], /a side has no result/],
    [[a, a, '--', slower], /named twice on one side/],
    [[a, '--', join(folder, 'nothing')], /a folder without results/],
    [[a, a, '--threshold', 'x'], /--threshold is a percentage/],
    [[a, a, '--alpha', '0'], /--alpha is a percentage/],
    [[a, a, '--nonsense'], /nonsense/],
    [[a, join(folder, 'none.json')], /no such file/],
    [[a, save('bad.json', {} as BenchResult)], /no "schema"/],
  ] as const)
    t.match(await run(...argv), { code: 2, text: message });
  t.match(await run('--help'), { code: 0, text: /^Usage: stampede bench diff <A\.json> <B\.json>/ });
});

t.test('several results per side: every round of every result is a run', async (t) => {
  const side = (...values: number[]): BenchResult[] =>
    values.map((value, nth) => ({ ...withRuns([value]), startedAt: `2026-01-01T00:00:0${nth}.000Z` }));
  const figureOf = (a: BenchResult[], b: BenchResult[]) => diffResults(a, b).figures[0];
  const worse = figureOf(side(40, 41, 42, 43), side(60, 61, 62, 63));
  t.match(worse, { a: { median: 41.5, lowest: 40, highest: 43, runs: 4 }, b: { runs: 4 }, verdict: 'worse' });
  t.equal(worse?.p, 2 / 70, 'the exact test over four runs and four');
  t.equal(figureOf(side(40, 60, 42, 62), side(41, 61, 43, 63))?.verdict, 'same');
  const three = figureOf([withRuns([40, 41]), withRuns([42])], side(60, 61, 62));
  t.equal(three?.why, '3 and 3 runs: inconclusive (4 each are enough)');
  const few = renderDiff(diffResults(side(40, 41, 42), side(60, 61, 62)));
  for (const part of [
    /^INCONCLUSIVE/m,
    /Too few runs to separate a difference from noise: at 5 % each side needs 4\. Repeat with --rounds/,
    /A {2}.*, 3 results from 2026-01-01T00:00:00\.000Z to 2026-01-01T00:00:02\.000Z, commit/,
    /chat p99 +41 ms +\+-2\.4 % +61 ms +\+-1\.6 % /,
  ])
    t.match(few, part);

  const { generator } = exampleResult({ kind: 'untrusted' });
  const full = { ...withRuns([9_000]), startedAt: '2026-01-02T00:00:00.000Z', generator };
  const without = diffResults(side(40, 41, 42, 43), [...side(60, 61, 62, 63), full]);
  t.match(without.figures[0], { b: { runs: 4 }, verdict: 'worse' });
  t.match(renderDiff(without), /Left out of B, because the load generator was the bottleneck: 2026-01-02/);
  t.equal(diffResults(side(40, 41, 42, 43), [full]).figures[0]?.verdict, 'inconclusive');

  const failed = { ...base, verdict: exampleResult({ kind: 'failing' }).verdict };
  t.equal(diffResults([base, base], [base, failed]).regression, true, 'one broken check is enough');
  t.equal(diffResults([base, failed], [base, failed]).regression, false);
  const other = { ...base, parameters: { ...base.parameters, viewers: 9_000 } };
  t.equal(diffResults([base, other], [base, other]).comparable, false, 'results of one side are of one load');
  const elsewhere = { ...base, parameters: { ...base.parameters, out: 'elsewhere', rounds: 7 } };
  t.equal(diffResults([base], [elsewhere]).comparable, true);
  const many = withRuns(Array(101).fill(1));
  t.throws(() => diffResults(base, many), { message: /101 runs on one side; 100 can be compared/ });
});

t.test('the command with several results per side, and with folders', async (t) => {
  const value = (runs: number[]): string => JSON.stringify(withRuns(runs));
  const folder = t.testdir({
    a: { '1.json': value([40, 41]), '2.json': value([42, 43]), 'page.html': '' },
    b: { '1.json': value([60, 61]), '2.json': value([62, 63]) },
  });
  const [a1 = '', a2 = '', b1 = '', b2 = ''] = ['a/1', 'a/2', 'b/1', 'b/2'].map((name) => join(folder, `${name}.json`));
  const listed = await run('--threshold', '1', a1, a2, '--', b1, b2, '--alpha', '5');
  t.match(listed, { code: 1, text: /chat p99 .*p = 0\.029 +4 \+ 4 +WORSE/ });
  t.same(await run(join(folder, 'a'), join(folder, 'b'), '--threshold', '1'), listed, 'folders give the same');
  t.match(await run(a1, '--', b1), { code: 0, text: /^INCONCLUSIVE/m });
});
