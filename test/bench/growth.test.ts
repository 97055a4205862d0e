/** The growth check of the soak test on series with known growth. */
import t from 'tap';
import {
  checkableMs,
  checkGrowth,
  type GrowthRule,
  growthOf,
  leastSquares,
  lowest,
  middle,
  type Point,
} from '../../bench/evening/growth.ts';

const MINUTE_MS = 60_000;
const RULE: GrowthRule = { unit: 'MiB', pick: lowest, allowedPerHour: 64, warmUpMs: 5 * MINUTE_MS };
const noise = (second: number, of: number): number => of * Math.sin(second * 7.3) * Math.cos(second * second);

/** One value a second. */
const series = (minutes: number, at: (second: number) => number): Point[] =>
  Array.from({ length: minutes * 60 }, (_, s): Point => [s * 1000, at(s)]);
const checkSeries = (minutes: number, at: (second: number) => number, change: Partial<GrowthRule> = {}) =>
  checkGrowth(series(minutes, at), { ...RULE, ...change });
/** Garbage piles up for 10 s and is collected. */
const sawtooth = (s: number): number => (s % 10) * 3;
/** Rises by 40 MiB and stays, nearly all of it within the first minutes. */
const warmUp = (s: number, tauMinutes: number): number => 40 * (1 - Math.exp(-s / (60 * tauMinutes)));

t.test('memory that warms up and then stays passes', async (t) => {
  const { verdict, growth, detail } = checkSeries(15, (s) => 80 + warmUp(s, 1) + sawtooth(s) + noise(s, 1));
  t.equal(verdict, 'steady', detail);
  t.ok(growth !== null && Math.abs(growth.perHour) < 10, detail);
  t.match(detail, /over the last 8 min, allowed 64\.0 MiB\/h/);
});

t.test('a leak fails, with its warm-up and without', async (t) => {
  for (const start of [() => 80, (s: number) => 80 + warmUp(s, 1)]) {
    const { verdict, growth, detail } = checkSeries(15, (s) => start(s) + sawtooth(s) + noise(s, 1) + s * 0.05);
    t.equal(verdict, 'grows', detail);
    t.ok(growth !== null && Math.abs(growth.perHour - 180) < 20, `180 MiB an hour, found ${detail}`);
  }
});

t.test('a run that is too short to distinguish a warm-up from a leak reports the necessary length', async (t) => {
  t.equal(checkableMs(RULE.warmUpMs, 1_000), 7 * MINUTE_MS);
  t.equal(checkableMs(RULE.warmUpMs, 30_000), 10 * MINUTE_MS, 'seldom looked at');
  for (const leak of [0, 0.05, 1]) {
    const { verdict, detail } = checkSeries(2.5, (s) => 80 + warmUp(s, 1) + s * leak);
    t.equal(verdict, 'inconclusive');
    t.match(detail, /^inconclusive: run at least 7 min \(the first 5 min, and always the first half, are warm-up/);
  }
  t.equal(checkGrowth([], RULE).verdict, 'inconclusive');
  const long = checkSeries(7, (s) => s * 0.05);
  t.equal(long.verdict, 'grows', 'a run of the necessary length is checked');
});

t.test('a long warm-up is not reported as a leak', async (t) => {
  const run = (minutes: number) => checkSeries(minutes, (s) => 80 + 2 * warmUp(s, 5) + noise(s, 0.1));
  t.match(run(15), { verdict: 'inconclusive', detail: /run at least 30 min \(it slows down/ });
  t.equal(run(30).verdict, 'steady', 'a run of the necessary length is conclusive');
});

t.test('noise is not reported as growth: steady when it is small, otherwise inconclusive', async (t) => {
  const small = checkSeries(15, (s) => 100 + noise(s, 3));
  t.equal(small.verdict, 'steady');
  const rule = { pick: middle, allowedPerHour: 20 };
  const wild = (minutes: number) => checkSeries(minutes, (s) => 100 + noise(s, 40), rule);
  const short = wild(8);
  t.equal(short.verdict, 'inconclusive', short.detail);
  const needed = Number(/run at least (\d+) min/.exec(short.detail)?.[1]);
  t.ok(needed > 8 && needed <= 160, short.detail);
  t.equal(wild(160).verdict, 'steady');
});

t.test('few exact values are enough, such as the heap after each full collection', async (t) => {
  const every = (leakPerHour: number): Point[] =>
    Array.from({ length: 45 }, (_, i): Point => [i * 20_000, 30 + noise(i, 0.2) + (leakPerHour * i) / 180]);
  t.equal(checkGrowth(every(3), { ...RULE, allowedPerHour: 16 }).verdict, 'steady');
  t.equal(checkGrowth(every(40), { ...RULE, allowedPerHour: 16 }).verdict, 'grows');
  t.equal(growthOf(every(0).slice(0, 9), lowest), null, 'with nine there is no interval worth the name');
});

t.test('windows and lines', async (t) => {
  t.equal(middle([9, 1, 5]), 5);
  const points = [0, 1, 2].map((x): Point => [x, 1 + 2 * x]);
  t.match(leastSquares(points), { slope: 2, slopeError: 0, level: 3 });
});
