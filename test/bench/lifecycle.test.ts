/** The soak of whole lives of shows, small. */
// slow: waits for jobs that archive shows and delete their keys
// heavy: a load tester and an engine of four processes
import t from 'tap';
import { bench, unlessBuilt } from './run-bench.ts';

t.test('20 shows leave no key in Redis, and archives that verify (I9)', { skip: unlessBuilt }, async (t) => {
  const flags = '--shows 20 --warm-up 0 --samples 1 --memory-growth 1000 --heap-growth 100';
  const { result } = await bench(t, 'lifecycle', flags, [0]);
  const { checks } = result.verdict;
  t.match(
    checks.find(({ name }) => name === 'every archive verifies'),
    { ok: true, detail: '40 orders' },
  );
  const keys = checks.find(({ name }) => name.startsWith('Redis has as many keys'));
  t.notMatch(keys?.detail, /\{show\}/, 'no key is of a show');
});
