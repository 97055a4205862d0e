/** The load tester archives a show, and moves it. */
import t from 'tap';
import { bench } from './run-bench.ts';

t.test('archive measures each step of the end of a show', async (t) => {
  const { figure, result } = await bench(t, 'archive', '--reservations 300', [0, 1], 1);
  for (const name of [
    'archive and import',
    'export and import',
    'longest call of Redis',
    'archive',
    'export',
    'import',
  ])
    t.ok(figure(name) > 0, name);
  t.equal(result.verdict.levels.length, 3);
});
