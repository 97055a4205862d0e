/** Recordings: parsing, replay, and synthetic ones that imitate the statistics of a recording. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { FlagError } from '../../bench/scenarios/flags.ts';
import { burstyTimes, fanoOf, fitBursts } from '../../bench/traces/arrivals.ts';
import { runTrace, traceLines } from '../../bench/traces/command.ts';
import { graphemeCount, hasEmoji, scriptOf } from '../../bench/traces/graphemes.ts';
import { DEFAULT_PROFILE, profileOf } from '../../bench/traces/profile.ts';
import { replay } from '../../bench/traces/replay.ts';
import { describeTrace, fano } from '../../bench/traces/statistics.ts';
import { syntheticTrace } from '../../bench/traces/synthetic.ts';
import { parseTrace } from '../../bench/traces/trace.ts';
import { LIMITS } from '../../src/limits.ts';

t.test('mistakes are listed with their lines, valid lines are sorted by time', async (t) => {
  const reading = parseTrace(
    '{"at_ms":9,"user":"b","text":"later"}\n\nnot json\n[1]\n{"at_ms":-1,"user":"a","text":"x"}\n' +
      '{"at_ms":3,"user":" a ","text":"hi","more":1}\n',
  );
  t.same(reading.messages, [
    { atMs: 3, user: 'a', text: 'hi' },
    { atMs: 9, user: 'b', text: 'later' },
  ]);
  t.equal(reading.mistakes.length, 3);
  t.match(reading.mistakes, [/^line 3:/, /^line 4:/, /^line 5:/]);
  t.match(parseTrace('nonsense\n'.repeat(30)).mistakes.at(-1), /10 more/);
});

t.test('a replay keeps authors, order and gaps at any speed, and repeats', async (t) => {
  const messages = [
    { atMs: 0, user: 'a', text: '1' },
    { atMs: 100, user: 'b', text: '2' },
    { atMs: 400, user: 'a', text: '3' },
  ];
  const once = [...replay(messages, { speed: 2, loop: false, forMs: 10_000, viewers: 5, viewerOffset: 4 })];
  t.same(once, [
    { dueMs: 0, viewer: 4, text: '1' },
    { dueMs: 50, viewer: 0, text: '2' },
    { dueMs: 200, viewer: 4, text: '3' },
  ]);
  const looped = [...replay(messages, { speed: 1, loop: true, forMs: 1_500, viewers: 1, viewerOffset: 0 })];
  const dueMs = looped.map((message) => message.dueMs);
  t.same(dueMs, [0, 100, 400, 600, 700, 1000, 1200, 1300]);
  t.ok(looped.every(({ viewer }) => viewer === 0));
  t.throws(() => [...replay(messages, { speed: 0, loop: true, forMs: 1, viewers: 1, viewerOffset: 0 })], RangeError);
  t.same([...replay([], { speed: 1, loop: true, forMs: 1_000, viewers: 1, viewerOffset: 0 })], []);
});

t.test('the seed determines the recording', async (t) => {
  const made = (seed: number): string => traceLines(syntheticTrace({ profile: DEFAULT_PROFILE, seconds: 300, seed }));
  t.equal(made(7), made(7));
  t.not(made(7), made(8));
});

t.test('a synthetic recording is valid, in every script, with whole graphemes', async (t) => {
  const made = syntheticTrace({ profile: { ...DEFAULT_PROFILE, perSecond: 5 }, seconds: 1_200, seed: 3 });
  const reading = parseTrace(traceLines(made));
  t.same(reading.mistakes, []);
  t.same(reading.messages, made);
  for (const { text } of made) {
    const isText = text === Buffer.from(text.trim()).toString() && text !== '';
    if (!isText || text.length > LIMITS.chatTextCharsMax) t.fail(`not a chat message: ${JSON.stringify(text)}`);
    if (/^[\u200d\ufe0f\u{1f3fb}-\u{1f3ff}]/u.test(text)) t.fail(`begins inside a character: ${text}`);
  }
  const scripts = new Set(made.map(({ text }) => scriptOf(text)));
  t.same([...scripts].sort(), ['arabic', 'chinese', 'cyrillic', 'japanese', 'korean', 'latin', 'none']);
  t.ok(made.some(({ text }) => text.includes('👨‍👩‍👧‍👦')) && made.some(({ text }) => text.includes('🇵🇭')));
});

t.test('graphemes are counted, not code points', async (t) => {
  t.equal(graphemeCount('👨‍👩‍👧‍👦🇵🇭e\u0301한'), 4);
  t.ok(hasEmoji('ok 👍🏽') && !hasEmoji('1 # *'));
  t.equal(scriptOf('色かわいい'), 'japanese');
  t.equal(scriptOf('🔥 10'), 'none');
});

t.test('a synthetic recording has the statistics of its profile', async (t) => {
  const wanted = { ...DEFAULT_PROFILE, perSecond: 3 };
  const made = describeTrace(syntheticTrace({ profile: wanted, seconds: 3_600, seed: 5 }));
  const near = (name: string, value: number, want: number, part: number): boolean =>
    t.ok(Math.abs(value - want) <= want * part, `${name}: ${value} for ${want}`);
  near('rate', made.perSecond, wanted.perSecond, 0.15);
  near('said before', made.repeatShare, wanted.repeatShare, 0.15);
  near('emoji', made.emojiShare, wanted.emojiShare, 0.25);
  near('median length', made.lengths[3] ?? 0, wanted.lengths[3] ?? 0, 0.15);
  near('95 % length', made.lengths[6] ?? 0, wanted.lengths[6] ?? 0, 0.15);
  near('latin', made.scripts.latin, wanted.scripts.latin, 0.2);
  for (const [i, window] of [1, 10, 60].entries())
    near(`bursts in ${window} s`, made.burstiness[i] ?? 0, fanoOf(wanted.bursts, window), 0.45);
  t.ok(made.busyTenthShare > 0.4, 'a few write most');

  // A recording that imitates this one has the same statistics.
  const again = describeTrace(syntheticTrace({ profile: profileOf(made), seconds: 3_600, seed: 6 }));
  near('people', again.users, made.users, 0.2);
  near('wrote once', again.onceShare, made.onceShare, 0.2);
  near('busiest tenth', again.busyTenthShare, made.busyTenthShare, 0.2);
  near('said before', again.repeatShare, made.repeatShare, 0.15);
});

t.test('the burst formula matches the process, and the fit recovers its parameters', async (t) => {
  const bursts = { branching: 0.6, decayPerSecond: 1 };
  const times = burstyTimes(createPrng(1), bursts, 4, 20_000);
  for (const window of [1, 10, 60]) {
    const [measured, formula] = [fano(times, window), fanoOf(bursts, window)];
    t.ok(Math.abs(measured - formula) < formula * 0.2, `${window} s: ${measured} for ${formula}`);
  }
  const fitted = fitBursts([1, 10, 60].map((window) => fanoOf(bursts, window)));
  t.ok(Math.abs(fitted.branching - 0.6) < 0.05 && Math.abs(fitted.decayPerSecond - 1) < 0.2, JSON.stringify(fitted));
  t.same(fitBursts([1, 1, 1]).branching, 0);
});

t.test('the trace command writes and describes recordings, and reports mistakes', async (t) => {
  const folder = t.testdir();
  const file = join(folder, 'made.jsonl');
  let said = '';
  const output = { write: (text: string) => (said += text) };
  t.equal(runTrace(['--seconds', '120', '--rate', '4', '--seed', '9', '--out', file], output), 0);
  t.match(said, /messages of \d+ people in 120 s/);
  t.ok(parseTrace(readFileSync(file, 'utf8')).messages.length > 100);
  said = '';
  t.equal(runTrace(['--describe', file], output), 0);
  t.match(said, /recorded\s+synthetic/);
  t.match(said, /counts in 10 s: variance \/ mean/);
  said = '';
  runTrace(['--like', file, '--seconds', '30'], output);
  t.same(parseTrace(said).mistakes, []);

  writeFileSync(file, '{"at_ms":0,"user":"a","text":"only one"}\nbroken\n');
  t.throws(() => runTrace(['--describe', file], output), new FlagError(`--describe ${file}, line 2: not JSON`));
  t.throws(() => runTrace(['--like', join(folder, 'none')], output), /cannot be read/);
  t.throws(() => runTrace(['--seconds', '86400', '--rate', '10000'], output), /more than/);
});
