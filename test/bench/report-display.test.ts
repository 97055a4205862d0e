/** Progress with and without a terminal. */
import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import t from 'tap';
import { sparkline } from '../../bench/report/display.ts';
import { createDisplay, type DisplayProgress } from '../../bench/report/index.ts';

function screen(more: { isTTY?: boolean; columns?: number; rows?: number }) {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(stream, more), text: () => text };
}

const progress = (more: Partial<DisplayProgress> = {}): DisplayProgress => ({
  phase: 'first flash sale',
  elapsedMs: 65_000,
  totalMs: 180_000,
  rates: [{ name: 'chat delivered', perSecond: 512_340.4 }],
  gauges: [{ name: 'viewers', value: 5_000 }],
  latencies: [{ name: 'chat', p50Ms: 3.21, p99Ms: 41.2 }],
  errors: [
    { code: 'rate_limited', count: 12 },
    { code: 'sold_out', count: 12_034 },
  ],
  generator: { cpuShare: 0.42, loopDelayP99Ms: 3.1, lateSends: 1 },
  ...more,
});

t.test('without a terminal: a plain line every few seconds and at each phase', async (t) => {
  const { stream, text } = screen({});
  const display = createDisplay({ stream, lineEveryMs: 2_000 });
  display.phase('joining');
  for (const elapsedMs of [1_000, 2_000, 3_000, 4_000]) display.progress(progress({ phase: 'joining', elapsedMs }));
  display.progress(progress({ elapsedMs: 4_500 }));
  display.line('a remark\u001b[2J');
  display.done();
  const lines = text().trimEnd().split('\n');
  t.equal(text(), stripVTControlCharacters(text()), 'no control sequences');
  t.match(lines, [/^-- joining$/, /^1 s of/, /^3 s of/, /^-- first flash sale$/, /^4\.5 s of/, /^a remark$/]);
  t.equal(
    lines[1],
    '1 s of 3:00 min | viewers 5,000 | chat delivered 512,340/s | chat p50 3.21 ms p99 41.2 ms | ' +
      'refused: sold_out 12,034, rate_limited 12 | generator: 42 % of a core, loop p99 3.1 ms, 1 late send',
  );
});

t.test('CI and dumb terminals get lines', async (t) => {
  for (const env of [{ CI: '1' }, { TERM: 'dumb' }]) {
    const { stream, text } = screen({ isTTY: true, columns: 80, rows: 24 });
    const display = createDisplay({ stream, env });
    display.progress(progress());
    display.done();
    t.match(text(), /^-- first flash sale\n65 s of 3:00 min \|/);
    t.notOk(text().includes('\u001b'));
  }
});

t.test('on a terminal: one block, redrawn, with colours unless NO_COLOR', async (t) => {
  const { stream, text } = screen({ isTTY: true, columns: 90, rows: 30 });
  const display = createDisplay({ stream, env: { TERM: 'xterm' } });
  display.progress(progress({ rates: [{ name: 'chat delivered', perSecond: 100 }] }));
  display.progress(progress({ rates: [{ name: 'chat delivered', perSecond: 200 }], elapsedMs: 90_000 }));
  const shown = stripVTControlCharacters(text());
  t.match(shown, /first flash sale {2}1:05 of 3:00 {2}━+─+ {2}36 %/);
  t.match(shown, /━+─+ {2}50 %/);
  t.match(shown, /chat delivered +200\/s {2}▄█/);
  t.match(shown, /chat +3\.21 ms p50 {2}41\.2 ms p99/);
  t.match(shown, /refused +sold_out 12,034, rate_limited 12/);
  t.match(shown, /generator +42 % of a core/);
  t.ok(text().includes('\u001b[1m'), 'bold');
  display.line('a remark that stays');
  display.done();
  t.match(stripVTControlCharacters(text()), /a remark that stays/);

  const plain = screen({ isTTY: true, columns: 90, rows: 30 });
  const quiet = createDisplay({ stream: plain.stream, env: { TERM: 'xterm', NO_COLOR: '1' } });
  quiet.progress(progress());
  quiet.done();
  t.notMatch(plain.text().replaceAll('\u001b', 'ESC'), /ESC\[\d+m/);
});

const LONG = 'a very long name of a rate that is cut off here';
const LONG_NAMES = [LONG, '直播间的聊天消息', '👩‍👩‍👧‍👦 family', 'x\u001b[31m\ny'];

t.test('no line is wider than a narrow terminal for any name', async (t) => {
  for (const columns of [10, 24, 40, 60]) {
    const { stream, text } = screen({ isTTY: true, columns, rows: 40 });
    const display = createDisplay({ stream, env: { TERM: 'xterm' } });
    const rates = [...LONG_NAMES, ...LONG_NAMES].map((name, nth) => ({ name, perSecond: 10 ** nth }));
    display.progress(progress({ rates, errors: LONG_NAMES.map((code, count) => ({ code, count })) }));
    const lines = stripVTControlCharacters(text()).split('\n');
    const widths = lines.map((line) => stringWidth(line));
    t.ok(Math.max(...widths) <= columns, `${columns} columns: ${Math.max(...widths)}`);
    t.ok(widths.length < 20, 'long lists end');
    display.done();
  }
});

t.test('a run of unknown length', async (t) => {
  const { stream, text } = screen({ isTTY: true, columns: 60, rows: 30 });
  const display = createDisplay({ stream, env: {} });
  display.progress(progress({ totalMs: null, errors: [], latencies: [] }));
  display.phase('leaving');
  display.done();
  t.notMatch(stripVTControlCharacters(text()), / of 3|%.*─/);
  t.match(stripVTControlCharacters(text()), /leaving/);
});

t.test('sparklines start at zero', async (t) => {
  t.equal(sparkline([0, 50, 100]), '▁▄█');
  t.equal(sparkline([0, 0]), '▁▁');
  t.equal(sparkline([]), '');
});
