/**
 * Runs that failed once, shrunk, and runs that a wrong engine would fail: played again every time.
 */
import type { Test } from 'tap';
import { StoreFixture } from '../support/store-fixture.ts';
import { open, replay, USERS, type World } from './commands.ts';
import { EngineModel } from './engine-model.ts';
import { RealEngine } from './real-engine.ts';

const fixture = await StoreFixture.open('kept:');
const stores = [fixture.store, await fixture.connectAnother()] as const;

function kept(name: string, ...steps: Parameters<typeof replay>): void {
  fixture.test(name, async (t: Test) => {
    const show = await fixture.newShow();
    const world: World = { real: new RealEngine(show, fixture.time, USERS), stores, history: [], tally: new Map() };
    const model = new EngineModel();
    await open(model, world);
    for (const step of replay(...steps, { do: 'tick' })) await step.run(model, world);
    t.ok(world.history.length > steps.length / 2, `${world.history.length} steps`);
  });
}

const take = (user: string, key: string, qty: number, sku = 'S', sale = 'a') => ({
  do: 'reserve' as const,
  asks: [{ user, key, sale, lines: [{ sku, qty }] }],
});
const wait = (user: string, key: string, qty: number, sku = 'S', sale = 'a') => ({
  do: 'join' as const,
  user,
  key,
  sale,
  sku,
  qty,
});

kept(
  'somebody in line when the sale ends has no place any more, and may still leave',
  take('u1', 'k0', 3),
  wait('u0', 'w0', 1),
  { do: 'move', key: 's0', sale: 'a', move: { op: 'end' } },
  { do: 'leave', user: 'u0', key: 'w1', sale: 'a', sku: 'S', qty: 1 },
);
kept(
  'units that come back in a pause are offered when the sale goes on',
  take('u1', 'k0', 3),
  wait('u0', 'w0', 2),
  { do: 'move', key: 's0', sale: 'a', move: { op: 'pause' } },
  { do: 'release', key: 'f0', of: 'r:u1:k0', by: 'u1' },
  { do: 'move', key: 's1', sale: 'a', move: { op: 'resume' } },
  { do: 'confirm', key: 'f1', of: 'w:u0:w0', orderRef: 'o0', amount: 2 * 1999 },
);
kept(
  'who wants more than is free is passed over, and served when enough is',
  take('u2', 'k0', 2),
  take('u3', 'k0', 1),
  wait('u0', 'w0', 2),
  wait('u1', 'w0', 1),
  { do: 'release', key: 'f0', of: 'r:u3:k0', by: null },
  { do: 'lapse', of: 'r:u2:k0' },
  { do: 'tick' },
);
kept(
  'an offer that lapses goes to the next in line, in the call of whoever comes first',
  take('u3', 'k0', 3),
  wait('u0', 'w0', 2),
  wait('u1', 'w0', 2),
  { do: 'lapse', of: 'r:u3:k0' },
  take('u2', 'k0', 2),
  { do: 'lapse', of: 'w:u0:w0' },
  take('u2', 'k1', 1),
);
kept(
  'a late duplicate of everything changes nothing',
  take('u0', 'k0', 1),
  { do: 'confirm', key: 'f0', of: 'r:u0:k0', orderRef: 'o0', amount: 1999 },
  take('u1', 'k0', 2),
  { do: 'release', key: 'f1', of: 'r:u1:k0', by: 'u1' },
  { do: 'move', key: 's0', sale: 'a', move: { op: 'units', sku: 'S', delta: 1 } },
  { do: 'move', key: 's1', sale: 'a', move: { op: 'pause' } },
  { do: 'move', key: 's2', sale: 'a', move: { op: 'resume' } },
  ...Array.from({ length: 9 }, (_, pick) => ({ do: 'repeat' as const, pick })),
);
kept(
  'another server takes over with lapsed holds, people in line and a moment that has come',
  take('u3', 'k0', 3),
  wait('u0', 'w0', 1),
  { do: 'move', key: 's0', sale: 'b', move: { op: 'schedule', opensInMs: 600_000 } },
  { do: 'lapse', of: 'r:u3:k0' },
  { do: 'arrive', sale: 'b', moment: 'opensAt' },
  { do: 'failover' },
  take('u3', 'k1', 1, 'S', 'b'),
);
kept(
  'a cancel releases holds and offers, keeps orders, and frees nothing for anybody',
  take('u3', 'k0', 1),
  take('u2', 'k0', 2),
  wait('u0', 'w0', 2),
  { do: 'confirm', key: 'f0', of: 'r:u3:k0', orderRef: 'o0', amount: 1999 },
  { do: 'release', key: 'f1', of: 'r:u2:k0', by: null },
  wait('u1', 'w0', 1),
  { do: 'move', key: 's0', sale: 'a', move: { op: 'cancel' } },
  { do: 'move', key: 's0', sale: 'a', move: { op: 'cancel' } },
  { do: 'confirm', key: 'f2', of: 'w:u0:w0', orderRef: 'o1', amount: 3998 },
);
kept(
  'a race for the last units, and a race of two ends',
  { do: 'race', both: [take('u0', 'k0', 3), take('u1', 'k0', 3)] },
  take('u2', 'k0', 1, 'M'),
  {
    do: 'race',
    both: [
      { do: 'confirm', key: 'f0', of: 'r:u2:k0', orderRef: 'o0', amount: 250 },
      { do: 'release', key: 'f1', of: 'r:u2:k0', by: 'u2' },
    ],
  },
  {
    do: 'race',
    both: [
      { do: 'move', key: 's0', sale: 'a', move: { op: 'units', sku: 'S', delta: 2 } },
      { do: 'move', key: 's1', sale: 'a', move: { op: 'pause' } },
    ],
  },
);
