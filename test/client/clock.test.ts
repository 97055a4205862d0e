import t from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { Backoff } from '../../src/client/backoff.ts';
import { ServerClock } from '../../src/client/clock.ts';

/** A clock whose machine is never suspended. */
const clockAt = (localNow: () => number): ServerClock => new ServerClock(localNow, localNow);

t.test('without an exchange the error is infinite', async (t) => {
  const clock = clockAt(() => 1_000);
  t.same(clock.read(), { now: 1_000, errorMs: Infinity });
});

t.test('the true time is within the stated error for any asymmetric delay (I5, T-1.2, T-2.2)', async (t) => {
  const random = createPrng(7);
  for (let round = 0; round < 200; round += 1) {
    let local = 1_000_000;
    const skewMs = random.int(-100_000, 100_000);
    const clock = clockAt(() => local);
    for (let i = 0; i < 6; i += 1) {
      const sentAt = local;
      local += random.int(0, 300);
      const received = Math.floor(local + skewMs);
      local += random.int(0, 20);
      const replied = Math.floor(local + skewMs);
      local += random.int(0, 300);
      clock.add(sentAt, received, replied, local);
      const { now, errorMs } = clock.read();
      if (Math.abs(now - (local + skewMs)) > errorMs + 1) t.fail(`off by ${now - (local + skewMs)}, stated ${errorMs}`);
    }
  }
  t.pass('200 rounds');
});

t.test('the exchange with the smallest error is used, and errors grow with drift (T-2.1)', async (t) => {
  let local = 10;
  const clock = clockAt(() => local);
  clock.add(0, 505, 505, 10);
  t.equal(clock.read().errorMs, 5.5);
  local = 1_000;
  clock.add(400, 1_300, 1_300, 1_000);
  t.ok(clock.read().errorMs < 6, 'a longer round trip is ignored');
  local = 10_000_000;
  clock.add(9_999_980, 10_000_490, 10_000_490, 10_000_000);
  t.equal(clock.read().errorMs, 10.5);
  clock.add(5, 4, 100, 0);
  t.equal(clock.read().errorMs, 10.5, 'an impossible exchange is ignored');
});

t.test('the error has the time by which the wall clock and the monotonic one differ (I5, T-2.3)', async (t) => {
  let [local, wall] = [1_000, 50_000];
  const clock = new ServerClock(
    () => local,
    () => wall,
  );
  clock.add(1_000, 9_000, 9_000, 1_000);
  t.ok(clock.read().errorMs < 2);
  wall += 10;
  t.ok(clock.read().errorMs < 2, 'a small difference is noise');
  wall += 60_000;
  local += 5_000;
  const { now, errorMs } = clock.read();
  const [stopped, went] = [9_000 + 5_000, 9_000 + 60_000];
  t.ok(now - errorMs <= stopped && now + errorMs >= went, 'both clocks are within the error');
  clock.add(local, 69_000, 69_000, local);
  t.ok(clock.read().errorMs < 2, 'the next exchange decides');
  t.ok(Math.abs(clock.read().now - 69_000) < 2);
});

t.test('waits double up to a bound, are jittered, and start again after a reset (X-2.2)', async (t) => {
  let drawn = 0.999;
  const backoff = new Backoff(() => drawn);
  const next = (): number => Math.round(backoff.nextMs() / 100) * 100;
  for (const waitMs of [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]) t.equal(next(), waitMs);
  drawn = 0;
  t.equal(backoff.nextMs(), 0);
  t.equal(backoff.nextMs(2_500), 2_500, 'not before the time of the server');
  backoff.attempts = 0;
  drawn = 0.999;
  t.equal(next(), 500);
});
