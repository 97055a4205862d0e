import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import { KeyedCalls } from '../../src/selling/keyed-calls.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** Runs a call that returns these results, one after the other; the last one repeatedly. */
async function outcomeOf(...results: Result<number>[]): Promise<string> {
  const clock = new ManualClock();
  let calls = 0;
  const running = new KeyedCalls(clock).run(async () => results[Math.min(calls++, results.length - 1)]!);
  const done = running.then((result) => (result.ok ? 'ok' : result.error.code));
  while (clock.time < 2 * LIMITS.redisRetryMaxMs) {
    await turn();
    await clock.pass(200);
  }
  return done;
}

t.test('Q-9: a refusal by Redis after a lost reply is no decision, and is never returned as one', async (t) => {
  const lost = fail('redis_unavailable');
  t.equal(await outcomeOf(fail('redis_readonly')), 'redis_readonly', 'nothing was sent before');
  t.equal(await outcomeOf(lost, fail('redis_readonly'), fail('redis_full'), ok(1)), 'ok');
  t.equal(await outcomeOf(lost, fail('redis_readonly')), 'redis_unavailable', 'its outcome stays unknown');
  t.equal(await outcomeOf(lost, fail('reservation_not_found')), 'reservation_not_found', 'a decision');
});
