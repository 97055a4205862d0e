/** The parts of an evening, and a small rush against a real engine. */
import t from 'tap';
import { arrivalTimes } from '../../bench/evening/arrival-times.ts';
import { eveningChat } from '../../bench/evening/chat.ts';
import { LIMITS } from '../../src/limits.ts';
import { bench, unlessBuilt } from './run-bench.ts';

t.test('viewers arrive at a constant, growing or falling rate', async (t) => {
  for (const shape of ['even', 'ramp', 'fade'] as const) {
    const offsets = [...arrivalTimes(shape, 100, 1_000)];
    t.equal(offsets.length, 100);
    t.ok(offsets[0] === 0 && (offsets.at(-1) ?? 0) < 1_000, shape);
    t.notOk(offsets.some((offset, i) => offset < (offsets[i - 1] ?? 0)));
  }
  t.equal([...arrivalTimes('even', 4, 1_000)][1], 250);
  t.equal([...arrivalTimes('ramp', 4, 1_000)][1], 500, 'a quarter has joined at half time');
});

t.test('chat of an evening depends on the seed, is denser around openings, and fits the limit', async (t) => {
  const options = { file: null, seed: 7, perSecond: 10, forMs: 60_000, openings: [30_000] };
  const { messages } = eveningChat(options);
  t.same(messages, eveningChat(options).messages);
  t.not(messages.length, eveningChat({ ...options, seed: 8 }).messages.length);
  const within = (fromMs: number, toMs: number): number =>
    messages.filter(([atMs]) => atMs >= fromMs && atMs < toMs).length / ((toMs - fromMs) / 1000);
  t.ok(within(28_000, 32_000) > 2 * within(0, 28_000));
  t.ok(messages.every(([, text]) => text.trim() !== '' && text.length < LIMITS.chatTextCharsMax));
  t.throws(() => eveningChat({ ...options, file: '/no/such/file' }), { message: /--trace .* cannot be read/ });
});

t.test('a small rush keeps every promise', { skip: unlessBuilt }, async (t) => {
  const flags = '--buyers 60 --units 20 --join-rate 100 --within 300 --processes 2';
  const { result, figure } = await bench(t, 'rush', flags, [0, 3]);
  const { checks } = result.verdict;
  const promises = checks.map(({ promise }) => promise).join();
  for (const promise of ['I1', 'I2', 'I3', 'I4', 'I5', 'I7', 'I8']) t.match(promises, new RegExp(`${promise}\\b`));
  t.equal(figure('replies'), 60, 'every press at zero got a reply');
  t.ok(figure('accepted') >= 10 && figure('accepted') <= 20);
  const phases = result.phases.map(({ name }) => name);
  t.match(phases, ['preparing', 'joining', 'countdown', 'rush', 'paying']);
});
