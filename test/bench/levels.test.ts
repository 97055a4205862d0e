/** Service levels: their flags, and when they are met. */
import t from 'tap';
import type { Latency } from '../../bench/report/result.ts';
import { COMMON_FLAGS } from '../../bench/scenarios/common-flags.ts';
import { readFlags } from '../../bench/scenarios/flags.ts';
import { commonLevels, latencyLevel, mostLevel, percent, share, shareLevel } from '../../bench/verdict/levels.ts';

const percentiles = { p50Ms: 3, p90Ms: 8, p99Ms: 151, p999Ms: 180, p9999Ms: 190, maxMs: 200 };
const latency: Latency = { name: 'decision', count: 10, ...percentiles, histogram: '' };
const table = { ...COMMON_FLAGS, deliveredShare: share<number | null>(null, 'of chat') };

t.test('flags with units', async (t) => {
  const flags = readFlags(table, ['--p99', '150ms', '--max', '1.5s', '--delivered-share', '99.9%']);
  t.match(flags, { p99: 150, max: 1_500, p50: null });
  t.ok(Math.abs(Number(flags.deliveredShare) - 0.999) < 1e-9);
  t.equal(readFlags(table, ['--delivered-share', '0.5']).deliveredShare, 0.5);
  for (const [flag, values] of Object.entries({
    '--p99': ['fast', '-3ms'],
    '--delivered-share': ['150%', '99', 'most'],
  }))
    for (const value of values)
      t.throws(() => readFlags(table, [flag, value]), { message: new RegExp(`^${flag} must be`) }, value);
});

t.test('a level is met or missed; a latency without measurements misses it', async (t) => {
  const common = readFlags(COMMON_FLAGS, ['--p99', '150ms', '--p50', '5']);
  t.match(commonLevels(common, latency), [
    { flag: '--p50', wanted: '<= 5.0 ms', measured: '3.0 ms (decision)', ok: true },
    { flag: '--p99', wanted: '<= 150 ms', measured: '151 ms (decision)', ok: false },
  ]);
  t.match(commonLevels(common, undefined), [{ ok: false, measured: 'never happened' }, { ok: false }]);
  t.match(latencyLevel('decisionP99', 151, latency), [{ flag: '--decision-p99', ok: true }]);
  t.same(latencyLevel('decisionP99', null, latency), []);
  t.match(shareLevel('deliveredShare', 0.999, 999, 1000), [{ ok: true }]);
  t.match(shareLevel('deliveredShare', 0.999, 998, 1000), [{ ok: false, measured: '99.800 %' }]);
  t.match(shareLevel('deliveredShare', 0.999, 0, 0), [{ ok: false, measured: 'nothing was due' }]);
  t.match(mostLevel('zeroSpread', 50, 51, String), [{ flag: '--zero-spread', ok: false }]);
  t.equal(percent(0.999999), '99.999 %', 'not rounded up to 100 %');
});
