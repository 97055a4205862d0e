import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok } from '../../src/protocol/codes.ts';
import { CountsReporter } from '../../src/rooms/counts.ts';
import { ManualClock } from '../support/manual-clock.ts';

type Report = { atMs: number; viewers: number; hearts: number; newcomers: readonly string[]; busy?: unknown };

function setUp() {
  const clock = new ManualClock();
  const reports: Report[] = [];
  const redis = { isAway: false, hasWaiting: false };
  const counts = new CountsReporter({
    showId: 's',
    node: 'n',
    clock,
    onGone: () => {},
    onResult: () => {},
    areResultsNeeded: () => redis.hasWaiting,
    onUnexpected: (error) => {
      throw error;
    },
    log: {
      reportCounts: async (_show, _node, viewers, hearts, newcomers = [], busy = []) => {
        reports.push({ atMs: clock.time, viewers, hearts, newcomers, ...(busy.length > 0 ? { busy } : {}) });
        if (redis.isAway) return fail('redis_unavailable');
        return ok({ counts: { viewers, peak: viewers, hearts, unique: 0 }, epoch: 'e1', rev: 1, endedWaits: 0 });
      },
    },
  });
  return { clock, reports, redis, counts };
}

t.test('new users are reported once, in slices, and again if a report failed (S-3.4)', async (t) => {
  const { clock, reports, redis, counts } = setUp();
  const newcomers = (): unknown => reports.splice(0).map((report) => report.newcomers);
  redis.isAway = true;
  counts.addNewcomer('ann');
  counts.addNewcomer('ann');
  await clock.pass(10);
  t.same(newcomers(), [['ann']]);
  redis.isAway = false;
  await clock.pass(LIMITS.countsTickMs);
  t.same(newcomers(), [['ann']]);
  await clock.pass(LIMITS.countsTickMs * 3);
  t.same(newcomers(), []);
  for (let i = 0; i < LIMITS.uniquesPerReportMax + 5; i += 1) counts.addNewcomer(`u${i}`);
  await clock.pass(LIMITS.countsTickMs * 3);
  t.match(reports.splice(0), [{ newcomers: { length: LIMITS.uniquesPerReportMax } }, { newcomers: { length: 5 } }]);
  counts.addNewcomer('last');
  await counts.close();
  t.same(newcomers(), [['last']]);
  t.equal(clock.armed, 0);
});

t.test('at most one report per second, only after a change, repeated before it expires (S-3.1)', async (t) => {
  const { clock, reports, redis, counts } = setUp();
  const startMs = clock.time;
  counts.setViewers(1);
  await clock.pass(10);
  counts.setViewers(2);
  counts.addHearts(3);
  counts.addHearts(4);
  await clock.pass(1_100);
  const sent = reports.map(({ viewers, hearts }) => `viewers ${viewers}, hearts ${hearts}`);
  t.strictSame(sent, ['viewers 1, hearts 0', 'viewers 2, hearts 7']);
  t.ok((reports[1]?.atMs ?? 0) - startMs >= LIMITS.countsTickMs);
  await clock.pass(LIMITS.nodeCountsTtlMs);
  t.ok(reports.length >= 4 && reports.length <= 6, `${reports.length} reports`);
  reports.length = 0;
  redis.hasWaiting = true;
  counts.schedule();
  await clock.pass(5 * LIMITS.countsTickMs);
  t.ok(reports.length >= 4 && reports.length <= 6, `${reports.length} reports where members wait (W-9.2)`);
  reports.length = 0;
  await counts.close();
  t.match(reports, [{ viewers: 0 }], 'closing reports 0 viewers once');
  t.equal(reports.length, 1);
  counts.setViewers(5);
  t.equal(clock.armed, 0);
});

t.test('requests of the busiest users are reported once, with their sums (L-3.4)', async (t) => {
  const { clock, reports, counts } = setUp();
  counts.addRequests('eve', 3);
  counts.addRequests('eve', 1);
  await clock.pass(10);
  await clock.pass(LIMITS.countsTickMs * 3);
  t.match(reports.splice(0), [{ busy: [['eve', 4]] }]);
  for (let i = 1; i <= LIMITS.busyUsersWaitingMax + 1; i += 1) counts.addRequests(`u${i}`, i);
  await clock.pass(LIMITS.countsTickMs * 3);
  const [{ busy } = {}, ...more] = reports.splice(0) as Array<{ busy?: unknown[][] }>;
  t.same(
    [busy?.length, busy?.[0], more],
    [LIMITS.busyUsersPerReportMax, [`u${LIMITS.busyUsersWaitingMax}`, LIMITS.busyUsersWaitingMax], []],
  );
});

t.test('I9: many connections of a user are reported at a change, repeated, and end with 0 (H-9.1)', async (t) => {
  const { clock, reports, counts } = setUp();
  const connections = () => reports.splice(0).flatMap(({ busy = [] }) => busy as unknown[][]);
  counts.setViewers(7);
  counts.setConnections('ann', 0);
  counts.setConnections('eve', 6);
  counts.setConnections('eve', 7);
  await clock.pass(LIMITS.countsTickMs * 2);
  t.same(connections(), [['eve', 0, 7]]);
  await clock.pass(LIMITS.nodeCountsTtlMs);
  const repeated = connections();
  t.ok(repeated.length >= 2 && repeated.length <= 4, `repeated ${repeated.length} times`);
  counts.setConnections('eve', 0);
  await clock.pass(LIMITS.countsTickMs * 2);
  t.same(connections(), [['eve', 0, 0]]);
  await clock.pass(LIMITS.nodeCountsTtlMs);
  t.same(connections(), []);
});
