/** The scenarios behind the fan-out targets, small: they run, promises hold, counts add up. */
// slow: measures real time under load
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { builtProgram } from '../../bench/launch/program.ts';
import type { BenchResult } from '../../bench/report/result.ts';
import { programArguments, ROOT } from '../support/root.ts';

/** They mostly wait, so they run in parallel. */
t.jobs = 3;
const small = { skip: builtProgram() === null ? 'the engine is not built' : false, buffered: true };

interface Ran {
  readonly result: BenchResult;
  /** First value of the figure whose name starts with this. */
  figure(name: string): number;
}

async function bench(t: Test, scenario: string, flags: string): Promise<Ran> {
  const out = mkdtempSync(join(tmpdir(), `stampede-${scenario}-`));
  t.teardown(() => rmSync(out, { recursive: true, force: true }));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [...programArguments('bench/main'), scenario, ...flags.split(' '), '--out', out],
    {
      cwd: ROOT,
      env,
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const code = await new Promise<number | null>((ended) => child.once('exit', ended));
  // 1 and 3 are about times, which mean nothing on a busy machine. Promises must hold.
  if (code !== 0 && code !== 1 && code !== 3) t.fail(`exit code ${code}\n${output}`);
  const [file = ''] = readdirSync(out).filter((name) => name.endsWith('.json'));
  const result = JSON.parse(readFileSync(join(out, file), 'utf8')) as BenchResult;
  t.same(
    result.verdict.checks.filter(({ ok }) => !ok),
    [],
    'every promise is kept',
  );
  t.ok(result.verdict.checks.length >= 3);
  return {
    result,
    figure: (name) => result.figures.find((figure) => figure.name.startsWith(name))?.runs[0] ?? Number.NaN,
  };
}

t.test('ingest: accepted messages are counted by replies and by message numbers', small, async (t) => {
  const flags = '--sockets 40 --shows 4 --rate 200 --bunch 4 --warm-up 1 --seconds 1 --accepted 1';
  const { result, figure } = await bench(t, 'ingest', flags);
  t.ok(figure('accepted, flat out') > figure('accepted, at 200/s'));
  t.ok(Math.abs(figure('accepted, at 200/s') - 200) < 100, `${figure('accepted, at 200/s')} of 200/s`);
  t.match(
    result.verdict.levels.map(({ flag, ok }) => [flag, ok]),
    [['--accepted', true]],
  );
  t.same(result.refusals, []);
  for (const name of ['gateway CPU', 'Redis commands', 'reply p99']) t.ok(figure(name) > 0, name);
});

t.test('events: each is timed at each probe', small, async (t) => {
  const flags = '--viewers 20 --rate 200 --writers 10 --warm-up 1 --seconds 2 --every 100';
  const { result, figure } = await bench(t, 'events', flags);
  const event = result.latencies.find(({ name }) => name === 'event');
  t.ok(event !== undefined && event.count > 0 && event.count % 5 === 0, `${event?.count} by 5 probes`);
  t.ok(Math.abs((event?.count ?? 0) - 2 * 10 * 5) <= 4 * 5);
  t.ok(figure('event p99 from its request') >= figure('event p50'));
});

t.test('stalled: the others are measured with and without stalled viewers', small, async (t) => {
  const flags = '--viewers 40 --rate 50 --writers 10 --stalled 10% --warm-up 1 --recover 1 --seconds 1 --rounds 1';
  const { result } = await bench(t, 'stalled', flags);
  const runs = (name: string): number =>
    result.figures.find((figure) => figure.name.startsWith(name))?.runs.length ?? 0;
  t.equal(runs('p99 of the others'), 1, 'one ratio per round');
  t.equal(runs('demoted'), 1);
  t.same(
    result.phases.map(({ name }) => name).filter((name) => name.includes('round')),
    ['all read, round 1', '4 stalled, round 1'],
  );
  t.equal(result.verdict.levels[0]?.flag, '--others-share');
});
