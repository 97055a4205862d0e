import t from 'tap';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import { DueTimer } from '../../src/selling/due-timer.ts';
import { ManualClock } from '../support/manual-clock.ts';

t.test('calls at the due moment, again while there is more to do, and backs off instead of spinning', async (t) => {
  const clock = new ManualClock();
  const calls: number[] = [];
  const results: Array<Result<{ done: number; nextDueAt: number | null }>> = [];
  const timer = new DueTimer({
    showId: 's',
    clock,
    delayMs: 3,
    rev: () => 1,
    onNextDue: () => {},
    store: {
      now: () => clock.time,
      tick: async () => {
        calls.push(clock.time);
        return results.shift() ?? ok({ done: 0, nextDueAt: null });
      },
    },
  });
  results.push(ok({ done: 100, nextDueAt: 2_000 }), ok({ done: 5, nextDueAt: null }));
  timer.set(2_000);
  await clock.pass(999);
  t.same(calls, []);
  await clock.pass(60);
  t.strictSame([calls.length, calls[0]], [2, 2_003]);
  t.equal(clock.armed, 0, 'nothing planned, no timer');
  for (let i = 0; i < 200; i += 1) results.push(i % 2 ? fail('redis_unavailable') : ok({ done: 0, nextDueAt: 3_000 }));
  timer.set(3_000);
  await clock.pass(3_000);
  t.ok(calls.length < 40, `${calls.length} calls`);
  timer.stop();
  t.equal(clock.armed, 0);
});

t.test(
  'a step of the Redis clock, or a suspend of this host, delays a due moment by five seconds at most',
  async (t) => {
    const clock = new ManualClock();
    let calledAt = 0;
    let aheadMs = 0;
    const timer = new DueTimer({
      showId: 's',
      clock,
      delayMs: 0,
      rev: () => 1,
      onNextDue: () => {},
      store: {
        now: () => clock.time + aheadMs,
        tick: async () => {
          calledAt = clock.time;
          return ok({ done: 1, nextDueAt: null });
        },
      },
    });
    timer.set(clock.time + 3_600_000);
    clock.advance(7_000);
    aheadMs = 3_600_000;
    await clock.pass(3_001);
    t.equal(calledAt, 11_000);
  },
);
