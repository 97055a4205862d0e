/** The estimate of the server's clock, and the waits between connections. */
import t from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { Backoff } from '../../src/client/backoff.ts';
import { ServerClock } from '../../src/client/clock.ts';

t.test('without an exchange nothing is promised', async (t) => {
  const clock = new ServerClock(() => 1_000);
  t.same(clock.read(), { now: 1_000, errorMs: Infinity });
});

t.test('the true time lies within the stated error, however lopsided the way (T-1.2, T-2.2)', async (t) => {
  const random = createPrng(7);
  for (let round = 0; round < 200; round += 1) {
    let local = 1_000_000;
    const skewMs = random.int(-100_000, 100_000);
    const clock = new ServerClock(() => local);
    for (let i = 0; i < 6; i += 1) {
      const sentAt = local;
      local += random.int(0, 300);
      const received = Math.floor(local + skewMs);
      local += random.int(0, 20);
      const answered = Math.floor(local + skewMs);
      local += random.int(0, 300);
      clock.add(sentAt, received, answered, local);
      const { now, errorMs } = clock.read();
      if (Math.abs(now - (local + skewMs)) > errorMs + 1) t.fail(`off by ${now - (local + skewMs)}, stated ${errorMs}`);
    }
  }
  t.pass('200 rounds');
});

t.test('the shortest round trip wins, until drift has made it the worse one (T-2.1)', async (t) => {
  let local = 0;
  const clock = new ServerClock(() => local);
  local = 10;
  clock.add(0, 505, 505, 10);
  t.equal(clock.read().errorMs, 5.5);
  local = 1_000;
  clock.add(400, 1_300, 1_300, 1_000);
  t.ok(clock.read().errorMs < 6, 'the longer trip does not spoil it');
  local = 10_000_000;
  clock.add(9_999_980, 10_000_490, 10_000_490, 10_000_000);
  t.equal(clock.read().errorMs, 10.5);
  clock.add(5, 4, 100, 0);
  t.equal(clock.read().errorMs, 10.5, 'an impossible exchange is ignored');
});

t.test(
  'waits double up to a bound, spread from nothing to the ceiling, and start over after a stable connection (X-2.2)',
  async (t) => {
    let drawn = 0.999;
    const backoff = new Backoff({ firstMs: 500, maxMs: 30_000, random: () => drawn });
    t.same(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => Math.round(backoff.nextMs() / 100) * 100),
      [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000],
    );
    drawn = 0;
    t.equal(backoff.nextMs(), 0);
    t.equal(backoff.nextMs(2_500), 2_500, 'never before the server said');
    backoff.reset();
    drawn = 0.999;
    t.equal(Math.round(backoff.nextMs() / 100) * 100, 500);
  },
);
