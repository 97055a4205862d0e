/** The demo in small size: its books are correct, and it leaves no process behind. */
// slow: plays a show in real time
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { programArguments, ROOT } from '../support/root.ts';
import { until } from '../support/until.ts';

if (!existsSync(join(ROOT, 'dist/src/cli/main.js')))
  spawnSync('env', ['-u', 'NODE_OPTIONS', process.execPath, 'scripts/build.mjs'], { cwd: ROOT, stdio: 'inherit' });

// The tests mostly wait.
t.jobs = 4;

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

/** Without what the test runner adds to a Node.js process. */
function start(t: Test, ...flags: string[]): Run {
  const child = spawn(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, ...programArguments('bench/demo/main'), ...flags],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  return { child, output: () => text, ended: new Promise((resolve) => child.once('close', (code) => resolve(code))) };
}

function dataFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-demo-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

const small = (folder: string, ...more: string[]): string[] => [
  ...'--viewers 20 --opens-in 3 --gateway-port 0 --control-port 0 --data-dir'.split(' '),
  folder,
  ...more,
];

/** Processes of the demo of this data folder, by their environment. */
function leftovers(folder: string): string[] {
  const found = spawnSync('ps', ['eww', '-A', '-o', 'pid=,args='], { encoding: 'utf8' }).stdout.split('\n');
  return found.filter((line) => line.includes(folder) && /redis-server|main\.js serve/.test(line));
}

t.test('a whole show ends by itself, with orders, expired holds and correct books', async (t) => {
  const folder = dataFolder(t);
  const run = start(t, ...small(folder, '--seconds', '22'));
  t.equal(await run.ended, 0, run.output());
  for (const part of [
    /viewer page +http:\/\/127\.0\.0\.1:\d+\/watch\/market-/,
    /violations +0\n/,
    /gaps 0, viewers behind 0/,
    /orders +[1-9]\d* confirmed over HTTP/,
    /reservations +[1-9]\d* requested, [1-9]\d* accepted/,
    /delivery +p50 [\d.]+ ms, p99 [\d.]+ ms/,
    / {4}total +\d+ +\d+ +\d+ +\d+/,
  ])
    t.match(run.output(), part);
  t.same(leftovers(folder), []);
});

t.test('the next start finds the data again, replays a recording, and ends by Ctrl-C', async (t) => {
  const folder = dataFolder(t);
  const first = start(t, ...small(folder, '--seconds', '6'));
  t.equal(await first.ended, 0, first.output());
  const keyOf = (run: Run): string | undefined => /API key +(\S+)/.exec(run.output())?.[1];
  const trace = join(folder, 'chat.jsonl');
  const messages = Array.from({ length: 40 }, (_, i) => ({ at_ms: i * 200, user: `u${i % 7}`, text: `line ${i}` }));
  writeFileSync(trace, messages.map((message) => JSON.stringify(message)).join('\n'));
  const second = start(t, ...small(folder, '--trace', trace, '--speed', '4'));
  await until(() => /Ctrl-C ends the show/.test(second.output()), 'the second show runs', 40_000);
  t.ok(keyOf(first) !== undefined && keyOf(second) === keyOf(first), 'the same key');
  const [, engineUrl] = /viewer page +(http\S+)\/watch\//.exec(second.output()) ?? [];
  const { shows } = (await (await fetch(`${engineUrl}/v1/public/shows`)).json()) as { shows: { posterUrl: string }[] };
  t.equal(shows.length, 1, 'the show of the first run is over');
  t.equal((await fetch(shows[0]?.posterUrl ?? '')).status, 200, 'and this one has its poster');
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  second.child.kill('SIGINT');
  t.equal(await second.ended, 0, second.output());
  t.match(second.output(), /[1-9]\d* of 40 recorded messages replayed/);
  t.match(second.output(), /violations +0\n/);
  t.same(leftovers(folder), []);
});

t.test('the engine and its Redis end when the demo is killed', async (t) => {
  const folder = dataFolder(t);
  const run = start(t, ...small(folder));
  await until(() => run.output().includes('Stampede is live'), 'the show runs', 40_000);
  const running = leftovers(folder).join('\n');
  t.match(running, /main\.js serve/, 'the engine is among the processes');
  t.match(running, /redis-server/, 'and its Redis');
  run.child.kill('SIGKILL');
  await until(() => leftovers(folder).length === 0, 'both end', 40_000);
});

t.test('wrong flags are reported before anything starts', async (t) => {
  const folder = dataFolder(t);
  const trace = join(folder, 'bad.jsonl');
  writeFileSync(trace, '{"at_ms":0,"user":"a","text":"fine"}\n{"at_ms":5,"user":"a"}\nnot json\n');
  const wrong = start(t, '--viewers', 'many', '--trace', trace, '--gateway-port', '99999');
  t.equal(await wrong.ended, 2);
  for (const part of [
    /--viewers must be a whole number/,
    /--gateway-port must be/,
    /line 2: "text" must be/,
    /line 3: not JSON/,
  ])
    t.match(wrong.output(), part);

  const taken = createServer().listen(0, '127.0.0.1');
  t.teardown(() => taken.close());
  await new Promise((resolve) => taken.once('listening', resolve));
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const clash = start(t, '--gateway-port', String(port), '--control-port', '0', '--data-dir', folder);
  t.equal(await clash.ended, 1);
  t.match(clash.output(), new RegExp(`Port ${port} is taken.*--gateway-port`));
});
