import t from 'tap';
import { Coalescer } from '../../src/fanout/coalescer.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** `left`: what each flush leaves waiting. */
function setUp(left: number[] = []): { clock: ManualClock; coalescer: Coalescer; flushes: number[] } {
  const clock = new ManualClock();
  const flushes: number[] = [];
  const coalescer = new Coalescer({
    clock,
    afterWrites: (run) => clock.afterWrites(run),
    tickMinMs: 20,
    tickMaxMs: 250,
    sparseBytes: 1_000,
    tickSparseMaxMs: 500,
    fullBytes: 15_000,
    flushShare: 0.5,
    flush: () => {
      flushes.push(clock.time);
      return left.shift() ?? 0;
    },
  });
  return { clock, coalescer, flushes };
}

t.test('the first message of a quiet room leaves at once', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  coalescer.poke(50);
  t.same(flushes, [1_000]);
  clock.write();
  clock.advance(1_000);
  t.same(flushes, [1_000], 'and nothing runs when nothing waits');
  t.equal(clock.armed, 0);
  coalescer.poke(50);
  t.same(flushes, [1_000, 2_000]);
});

t.test('what comes within a tick leaves together at its end', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  coalescer.poke(50);
  clock.write();
  for (let i = 0; i < 5; i += 1) {
    clock.advance(3);
    coalescer.poke(50 * i);
  }
  t.same(flushes, [1_000]);
  t.equal(clock.armed, 1, 'one timer, however many messages');
  clock.advance(20);
  t.same(flushes, [1_000, 1_020]);
});

t.test('costly flushes stretch the tick up to its maximum, cheap ones bring it back', async (t) => {
  const { clock, coalescer } = setUp();
  clock.writeMs = 60;
  for (let i = 0; i < 30; i += 1) {
    coalescer.poke(100);
    clock.write();
    clock.advance(300);
  }
  const stretched = coalescer.intervalMs();
  t.ok(stretched > 110 && stretched < 130, `a flush of 60 ms may take half of the time: ${stretched}`);
  t.equal(coalescer.intervalMs(15_000), 0, 'what is full waits for nothing but the writes before it');
  clock.writeMs = 400;
  for (let i = 0; i < 30; i += 1) {
    coalescer.poke(100);
    clock.write();
    clock.advance(600);
  }
  t.equal(coalescer.intervalMs(), 500, 'little waits until the share is kept, or this long');
  t.equal(coalescer.intervalMs(1_000), 250, 'more does not');
  clock.writeMs = 0;
  for (let i = 0; i < 60; i += 1) {
    coalescer.poke(100);
    clock.write();
    clock.advance(300);
  }
  t.equal(coalescer.intervalMs(), 20);
});

t.test('what makes enough to write is not kept for the long pause', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  clock.writeMs = 200;
  for (let i = 0; i < 30; i += 1) {
    coalescer.poke(100);
    clock.write();
    clock.advance(600);
  }
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

t.test(
  'what is full leaves as soon as the flush before is written, and what a flush leaves waits its turn',
  async (t) => {
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
    t.same(flushes.length, 4, 'the rest is not enough to be full');
    clock.advance(1_000);
    t.equal(flushes.length, 5);
    t.ok((flushes[4] ?? 0) - 1_090 > 20, 'and waits for its tick');
    t.equal(clock.armed, 0);
  },
);

t.test('a late event loop stretches the tick too', async (t) => {
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

t.test('a flush on demand takes along what waits, and stops the timer', async (t) => {
  const { clock, coalescer, flushes } = setUp();
  coalescer.poke(1);
  clock.advance(1);
  coalescer.poke(1);
  coalescer.flushNow();
  t.equal(clock.armed, 0);
  t.same(flushes, [1_000, 1_001]);
});
