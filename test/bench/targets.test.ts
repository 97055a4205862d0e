/** The scenarios behind the fan-out targets, small: they run, promises hold, counts add up. */
// heavy: starts many processes and measures time
// slow: measures real time under load
import t from 'tap';
import { bench, unlessBuilt } from './run-bench.ts';

/** They mostly wait, so they run in parallel. */
t.jobs = 3;
const small = { skip: unlessBuilt, buffered: true, timeout: 80_000 };

t.test('ingest: accepted messages are counted by replies and by message numbers', { ...small }, async (t) => {
  const flags = '--sockets 40 --shows 4 --rate 200 --bunch 4 --warm-up 1 --seconds 1 --accepted 1';
  const { result, figure } = await bench(t, 'ingest', flags);
  t.ok(figure('accepted, flat out') > figure('accepted, at 200/s'));
  t.ok(Math.abs(figure('accepted, at 200/s') - 200) < 100, `${figure('accepted, at 200/s')} of 200/s`);
  t.match(result.verdict.levels, [{ flag: '--accepted', ok: true }]);
  t.same(result.refusals, []);
  for (const name of ['gateway CPU', 'Redis commands', 'reply p99']) t.ok(figure(name) > 0, name);
});

t.test('events: each is timed at each probe', { ...small }, async (t) => {
  const flags = '--viewers 20 --rate 200 --writers 10 --warm-up 1 --seconds 2 --every 100';
  const { result, figure } = await bench(t, 'events', flags);
  const event = result.latencies.find(({ name }) => name === 'event');
  t.ok(event !== undefined && event.count > 0 && event.count % 5 === 0, `${event?.count} by 5 probes`);
  t.ok(Math.abs((event?.count ?? 0) - 2 * 10 * 5) < 50, `${event?.count} of 100`);
  t.ok(figure('event p99 from its request') >= figure('event p50'));
});

t.test('stalled: the others are measured with and without stalled viewers', { ...small }, async (t) => {
  const flags = '--viewers 40 --rate 50 --writers 10 --stalled 10% --warm-up 1 --recover 1 --seconds 1 --rounds 1';
  const { result } = await bench(t, 'stalled', flags);
  for (const name of ['p99 of the others', 'demoted'])
    t.equal(result.figures.find((figure) => figure.name.startsWith(name))?.runs.length, 1, 'one value per round');
  const rounds = result.phases.map(({ name }) => name).filter((name) => name.includes('round'));
  t.same(rounds, ['all read, round 1', '4 stalled, round 1']);
  t.equal(result.verdict.levels[0]?.flag, '--others-share');
});
