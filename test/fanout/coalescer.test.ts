import t from 'tap';
import { Coalescer } from '../../src/fanout/coalescer.ts';
import { ManualClock } from './manual-clock.ts';

function setUp(options: { fullBytes?: number } = {}): { clock: ManualClock; coalescer: Coalescer; flushes: number[] } {
  const clock = new ManualClock();
  const flushes: number[] = [];
  const coalescer = new Coalescer({
    clock,
    afterWrites: (run) => clock.afterWrites(run),
    tickMinMs: 20,
    tickMaxMs: 250,
    sparseBytes: 1_000,
    tickSparseMaxMs: 500,
    fullBytes: options.fullBytes ?? 15_000,
    flushShare: 0.5,
    flushShareFull: 0.8,
    flush: () => flushes.push(clock.time),
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
  t.ok(coalescer.intervalMs(15_000) < stretched, 'a full frame waits less');
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
