import t from 'tap';
import { RequestPace } from '../../src/fanout/request-pace.ts';
import { LIMITS } from '../../src/limits.ts';

const PER_SECOND = 20;
const pace = () => new RequestPace({ perSecond: PER_SECOND, burst: 2 * PER_SECOND }, () => {});

/** Sends ten times the rate, and returns how many requests were accepted. */
function flood(of: RequestPace, user: string, fromMs: number, seconds: number): number {
  let accepted = 0;
  for (let ms = 0; ms < seconds * 1000; ms += 5) if (of.take(user, fromMs + ms) === 0) accepted += 1;
  return accepted;
}

t.test('L-1.7 who sends at the full rate for 50 s may then send one in five seconds', async (t) => {
  const burst = PER_SECOND * LIMITS.lastingRequestsBurstSeconds;
  const requests = pace();
  t.equal(flood(requests, 'eve', 0, 40), 40 + 40 * PER_SECOND - 1, 'as L-1.5 allows');
  flood(requests, 'eve', 40_000, 60);
  const hour = flood(requests, 'eve', 100_000, 3_600);
  const most = 3_600 * PER_SECOND * LIMITS.lastingRequestsPart;
  t.ok(hour <= most + 1 && hour > most - 5, `${hour} in an hour, of ${burst} at once`);
  t.equal(requests.take('bob', 100_000), 0, 'others are not concerned');
});

t.test('L-1.7 L-3.4 what other nodes accepted counts, and a buyer who taps now and then never waits', async (t) => {
  const requests = pace();
  for (let second = 0; second < 60; second += 1) requests.charge('eve', PER_SECOND, second * 1000);
  t.ok(requests.take('eve', 61_000) > 1_000);
  for (let ms = 0; ms < 2 * 3_600_000; ms += 6_000) if (requests.take('ann', ms) > 0) t.fail(`${ms}`);
});
