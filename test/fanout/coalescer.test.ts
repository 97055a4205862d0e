import t from 'tap';
import { Coalescer } from '../../src/fanout/coalescer.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** `left`: bytes that each flush leaves queued. */
function setUp(left: number[] = []) {
  const clock = new ManualClock();
  const flushes: number[] = [];
  const ticks = { tickMinMs: 20, tickMaxMs: 250, sparseBytes: 1_000, tickSparseMaxMs: 500 };
  const coalescer = new Coalescer({
    clock,
    ...ticks,
    fullBytes: 15_000,
    flushShare: 0.5,
    afterWrites: (run) => clock.afterWrites(run),
    flush: () => {
      flushes.push(clock.time);
      return left.shift() ?? 0;
    },
  });
  /** Rounds of a flush whose writes take `writeMs`, and a pause. */
  const run = (rounds: number, writeMs: number, pauseMs: number): void => {
    clock.writeMs = writeMs;
    for (let i = 0; i < rounds; i += 1) {
      coalescer.poke(100);
      clock.write();
      clock.advance(pauseMs);
    }
  };
  return { clock, coalescer, flushes, run };
}

t.test('the first message of a quiet room is flushed at once', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  coalescer.poke(50);
  t.same(flushes, [1_000]);
  clock.write();
  clock.advance(1_000);
  t.same(flushes, [1_000], 'nothing is flushed when nothing is queued');
  t.equal(clock.armed, 0);
  coalescer.poke(50);
  t.same(flushes, [1_000, 2_000]);
});

t.test('what arrives within a tick is flushed together at its end', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  coalescer.poke(50);
  clock.write();
  for (let i = 0; i < 5; i += 1) {
    clock.advance(3);
    coalescer.poke(50 * i);
  }
  t.same(flushes, [1_000]);
  t.equal(clock.armed, 1, 'one timer for all messages');
  clock.advance(20);
  t.same(flushes, [1_000, 1_020]);
});

t.test('slow writes make the tick longer, up to its maximum, and fast ones shorter again', async (t) => {
  const { coalescer, run } = setUp();
  run(30, 60, 300);
  const intervalMs = coalescer.intervalMs();
  t.ok(intervalMs > 110 && intervalMs < 130, `a flush of 60 ms may take half of the time: ${intervalMs}`);
  t.equal(coalescer.intervalMs(15_000), 0, 'a full queue waits only for the writes before it');
  run(30, 400, 600);
  t.equal(coalescer.intervalMs(), 500, 'few bytes wait longest');
  t.equal(coalescer.intervalMs(1_000), 250);
  run(60, 0, 300);
  t.equal(coalescer.intervalMs(), 20);
});

t.test('a queue that grows beyond a few bytes does not wait for the longest pause', async (t) => {
  const { clock, coalescer, flushes, run } = setUp();
  run(30, 200, 600);
  const before = flushes.length;
  coalescer.poke(100);
  clock.write();
  const flushedMs = flushes.at(-1) ?? 0;
  t.equal(flushes.length, before + 1);
  coalescer.poke(100);
  clock.advance(flushedMs + 220 - clock.time);
  t.equal(flushes.length, before + 1);
  coalescer.poke(1_500);
  clock.advance(40);
  t.equal(flushes.at(-1), flushedMs + 250);
});

t.test('a full queue is flushed when the flush before is written; the rest waits for its tick', async (t) => {
  const { clock, coalescer, flushes } = setUp([20_000, 40_000, 15_000, 700]);
  clock.writeMs = 30;
  coalescer.poke(50_000);
  t.same(flushes, [1_000]);
  coalescer.poke(55_000);
  t.same(flushes, [1_000], 'one at a time');
  clock.write();
  t.same(flushes, [1_000, 1_030]);
  clock.write();
  clock.write();
  t.same(flushes, [1_000, 1_030, 1_060, 1_090]);
  clock.write();
  t.same(flushes.length, 4, 'the rest is not full');
  clock.advance(1_000);
  t.equal(flushes.length, 5);
  t.ok((flushes[4] ?? 0) - 1_090 > 20);
  t.equal(clock.armed, 0);
});

t.test('a late event loop makes the tick longer, too', async (t) => {
  const { clock, coalescer } = setUp();
  for (let i = 0; i < 30; i += 1) {
    coalescer.poke(100);
    clock.write();
    coalescer.poke(100);
    clock.time += coalescer.intervalMs() + 40;
    clock.advance(0);
  }
  t.ok(coalescer.intervalMs() > 60, String(coalescer.intervalMs()));
});

t.test('flushNow flushes what is queued and clears the timer', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  coalescer.poke(1);
  clock.advance(1);
  coalescer.poke(1);
  coalescer.flushNow();
  t.equal(clock.armed, 0);
  t.same(flushes, [1_000, 1_001]);
});
