import t from 'tap';
import { rateOf } from '../../src/domain/token-bucket.ts';
import { UserPace } from '../../src/fanout/user-pace.ts';
import { LIMITS } from '../../src/limits.ts';
import { packValue } from '../../src/protocol/codec.ts';

const rate = rateOf(LIMITS.chatRatePerSecond);
const { burst, perSecond } = rate;
const countAccepted = (pace: UserPace, user: string, nowMs: number): number => {
  let count = 0;
  while (pace.take(user, nowMs, 0) === 0) count += 1;
  return count;
};

t.test('chat on other nodes is charged here, down into debt (L-3.1, L-3.2)', async (t) => {
  const pace = new UserPace(rate);
  pace.chargeChat(packValue(['ann', 'ann', 'bob']), 0, 0);
  t.strictSame([countAccepted(pace, 'ann', 0), countAccepted(pace, 'bob', 0)], [burst - 2, burst - 1]);
  t.equal(countAccepted(pace, 'cyd', 0), burst);
  pace.chargeChat(packValue(Array(burst).fill('ann')), 0, 0);
  t.equal(pace.take('ann', 0, 0), Math.ceil(((burst + 1) / perSecond) * 1000), 'all of it is owed');
  const longRun = new UserPace(rate);
  let written = 0;
  for (let ms = 0; ms < 60_000; ms += 10) {
    if (longRun.take('ann', ms, 0) === 0) written += 1;
    // Another node accepts as much, and neither knows of the other's message in time.
    if (ms % 660 !== 0) continue;
    longRun.chargeChat(packValue(['ann']), ms, 0);
    written += 1;
  }
  t.ok(written <= 60 * perSecond + burst + 2, `${written} per minute`);
});

t.test('what busy users did is shared, and what other nodes accepted is charged (L-3.4)', async (t) => {
  const shared: Array<[string, number]> = [];
  const pace = new UserPace(rateOf(20), (user, count) => shared.push([user, count]));
  const from = LIMITS.sharedRequestsMin;
  for (let i = 0; i < from + 1; i += 1) pace.take('eve', 0);
  for (let i = 0; i < from - 1; i += 1) pace.take('ann', 0);
  t.same(shared.splice(0), [
    ['eve', from],
    ['eve', 1],
  ]);
  for (let i = 0; i < from - 1; i += 1) pace.take('ann', 1_000);
  t.same(shared, [], 'few requests in each second are not shared');
  pace.charge('ann', 60, 1_000);
  t.ok(pace.take('ann', 2_000) > 0, 'into debt');
  t.same(shared, []);
});

t.test('L-2: slow mode counts from the last message on any node', async (t) => {
  const pace = new UserPace(rate);
  t.equal(pace.slowModeWaitMs('ann', 10_000, 0), 0, 'no message yet');
  pace.take('ann', 1_000, 10_000);
  t.equal(pace.slowModeWaitMs('ann', 10_000, 1_500), 9_500);
  pace.chargeChat(packValue(['ann']), 4_000, 10_000);
  t.equal(pace.slowModeWaitMs('ann', 10_000, 4_000), 10_000);
  for (let i = 0; i < 100; i += 1) pace.take(`u${i}`, 13_000, 10_000);
  t.equal(pace.slowModeWaitMs('ann', 10_000, 13_000), 1_000, 'kept as long as it matters');
  t.equal(pace.slowModeWaitMs('ann', 10_000, 14_000), 0);
});

t.test('a refused message charges nothing and delays nothing', async (t) => {
  const pace = new UserPace(rate);
  countAccepted(pace, 'ann', 0);
  for (let i = 0; i < 50; i += 1) pace.take('ann', 0, 0);
  t.equal(pace.take('ann', 1_000 / perSecond + 1, 0), 0);
});

t.test('writers are evicted when their last message no longer matters, and above a maximum', async (t) => {
  const pace = new UserPace(rate);
  const kept = (): number => (pace as unknown as { users: Map<string, unknown> }).users.size;
  for (let i = 0; i < 1_000; i += 1) pace.take(`early${i}`, 0, 0);
  t.equal(kept(), 1_000);
  pace.take('late', 60_000, 0);
  t.equal(kept(), 1);
  const users = Array.from({ length: LIMITS.pacedUsersKeptMax + 500 }, (_, i) => `u${i}`);
  for (let from = 0; from < users.length; from += 500)
    pace.chargeChat(packValue(users.slice(from, from + 500)), 60_000, 3_600_000);
  t.equal(kept(), LIMITS.pacedUsersKeptMax);
  t.ok(pace.slowModeWaitMs(users.at(-1) ?? '', 3_600_000, 60_000) > 0, 'the newest are kept');
});

t.test('an empty list of authors charges nothing', async (t) => {
  const pace = new UserPace(rate);
  pace.chargeChat(packValue([]), 0, 0);
  pace.chargeChat(new Uint8Array(), 0, 0);
  t.equal(countAccepted(pace, 'ann', 0), burst);
});
