import t from 'tap';
import { tickLiveShows, tickShow } from '../../src/jobs/due-work.ts';
import { momentJobId, momentsOf } from '../../src/jobs/moments.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok } from '../../src/protocol/codes.ts';

t.test('the moments ahead depend on the state', async (t) => {
  const window = { opensAt: 1000, closesAt: 2000 };
  t.strictSame(momentsOf({ ...window, state: 'scheduled' }), { opens: 1000, closes: 2000 });
  for (const state of ['open', 'paused'] as const)
    t.strictSame(momentsOf({ ...window, state }), { opens: null, closes: 2000 });
  for (const state of ['draft', 'ended', 'cancelled'] as const)
    t.strictSame(momentsOf({ ...window, state }), { opens: null, closes: null });
  t.strictSame(momentsOf({ state: 'open', opensAt: 1000, closesAt: null }), { opens: null, closes: null });
  t.notMatch(momentJobId('a', 'b', 'opens'), ':');
});

t.test('I9: ticks go on while a call has left something that is due', async (t) => {
  const replies = [
    { done: 1, nextDueAt: 900 },
    { done: 1, nextDueAt: 1_004 },
    { done: 2, nextDueAt: 60_000 },
    { done: 9, nextDueAt: 900 },
  ];
  const store = { now: () => 1_000, nowErrorMs: () => 5, liveShows: async () => ok([]) };
  await tickShow({ ...store, tick: async () => ok(replies.shift() ?? { done: 0, nextDueAt: null }) }, 'show');
  t.equal(replies.length, 1, 'until the next thing is due later');
  let calls = 0;
  await tickShow({ ...store, tick: async () => ok({ done: 0, nextDueAt: 900 + calls++ }) }, 'show');
  t.equal(calls, 1, 'a clock that is ahead does not spin');
});

t.test('due work is done in slices, and an error of one show does not stop the others', async (t) => {
  const due = new Map(Object.entries({ big: LIMITS.sweepSliceMax * 2 + 5, small: 3, empty: 0 }));
  const calls: string[] = [];
  const store: Parameters<typeof tickShow>[0] = {
    now: () => 1_000,
    nowErrorMs: () => 5,
    async tick(showId) {
      calls.push(showId);
      if (showId === 'gone') return fail('show_not_found');
      if (showId === 'broken') return fail('redis_unavailable');
      const done = Math.min(LIMITS.sweepSliceMax, due.get(showId) ?? 0);
      due.set(showId, (due.get(showId) ?? 0) - done);
      return ok({ done, nextDueAt: null });
    },
    liveShows: async () => ok(['big', 'broken', 'gone', 'small', 'empty']),
  };
  await tickShow(store, 'gone');
  await t.rejects(tickLiveShows(store), { message: /redis_unavailable/ });
  t.strictSame([...due.values()], [0, 0, 0]);
  t.equal(calls.filter((id) => id === 'big').length, 3);
});
