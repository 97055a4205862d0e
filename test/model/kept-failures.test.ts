/** Steps that once failed, shrunk, and steps that a wrong engine would fail. */
import type { Test } from 'tap';
import type { SaleMove } from '../../src/domain/sale.ts';
import { StoreFixture } from '../support/store-fixture.ts';
import { replay, startRun } from './commands.ts';
import type { Step } from './steps.ts';

const fixture = await StoreFixture.open('kept:');
const stores = [fixture.store, await fixture.connectAnother()] as const;

function kept(name: string, ...steps: Parameters<typeof replay>): void {
  fixture.test(name, async (t: Test) => {
    const { model, run } = await startRun(fixture, stores);
    for (const step of replay(...steps, { do: 'tick' })) await step.run(model, run);
    t.ok(run.history.length > steps.length / 2, `${run.history.length} steps`);
  });
}

const take = (user: string, key: string, qty: number, sku = 'S', sale = 'a') =>
  ({ do: 'reserve', asks: [{ user, key, sale, lines: [{ sku, qty }] }] }) satisfies Step;
const move = (key: string, move: SaleMove, sale = 'a') => ({ do: 'move', key, sale, move }) satisfies Step;
const race = (...both: [Step, Step]) => ({ do: 'race' as const, both });
const inA = { do: 'join', sale: 'a', sku: 'S' } as const;
const wait = (user: string, key: string, qty: number) => ({ ...inA, user, key, qty });

kept(
  'a waitlist entry has no position after the end of the sale, and its buyer may still leave',
  take('u1', 'k0', 3),
  wait('u0', 'w0', 1),
  move('s0', { op: 'end' }),
  { do: 'leave', user: 'u0', key: 'w1', sale: 'a', sku: 'S', qty: 1 },
);
kept(
  'units that are freed during a pause are offered when the sale resumes',
  take('u1', 'k0', 3),
  wait('u0', 'w0', 2),
  move('s0', { op: 'pause' }),
  { do: 'release', key: 'f0', of: 'r:u1:k0', by: 'u1' },
  move('s1', { op: 'resume' }),
  { do: 'confirm', key: 'f1', of: 'w:u0:w0', orderRef: 'o0', amount: 2 * 1999 },
);
kept(
  'an entry that wants more than is free is passed over, and served later',
  take('u2', 'k0', 2),
  take('u3', 'k0', 1),
  wait('u0', 'w0', 2),
  wait('u1', 'w0', 1),
  { do: 'release', key: 'f0', of: 'r:u3:k0', by: null },
  { do: 'expire', of: 'r:u2:k0' },
  { do: 'tick' },
);
kept(
  'an offer that expires goes to the next entry, in the next script call',
  take('u3', 'k0', 3),
  wait('u0', 'w0', 2),
  wait('u1', 'w0', 2),
  { do: 'expire', of: 'r:u3:k0' },
  take('u2', 'k0', 2),
  { do: 'expire', of: 'w:u0:w0' },
  take('u2', 'k1', 1),
);
kept(
  'late duplicates of all steps change nothing',
  take('u0', 'k0', 1),
  { do: 'confirm', key: 'f0', of: 'r:u0:k0', orderRef: 'o0', amount: 1999 },
  take('u1', 'k0', 2),
  { do: 'release', key: 'f1', of: 'r:u1:k0', by: 'u1' },
  move('s0', { op: 'units', sku: 'S', delta: 1 }),
  move('s1', { op: 'pause' }),
  move('s2', { op: 'resume' }),
  ...Array.from({ length: 9 }, (_, pick) => ({ do: 'repeat' as const, pick })),
);
kept(
  'another server takes over with expired holds, a waitlist and a moment that has come',
  take('u3', 'k0', 3),
  wait('u0', 'w0', 1),
  move('s0', { op: 'schedule', opensInMs: 600_000 }, 'b'),
  { do: 'expire', of: 'r:u3:k0' },
  { do: 'arrive', sale: 'b', moment: 'opensAt' },
  { do: 'failover' },
  take('u3', 'k1', 1, 'S', 'b'),
);
kept(
  'a cancel releases holds and offers, keeps orders, and offers nothing',
  take('u3', 'k0', 1),
  take('u2', 'k0', 2),
  wait('u0', 'w0', 2),
  { do: 'confirm', key: 'f0', of: 'r:u3:k0', orderRef: 'o0', amount: 1999 },
  { do: 'release', key: 'f1', of: 'r:u2:k0', by: null },
  wait('u1', 'w0', 1),
  move('s0', { op: 'cancel' }),
  move('s0', { op: 'cancel' }),
  { do: 'confirm', key: 'f2', of: 'w:u0:w0', orderRef: 'o1', amount: 3998 },
);
kept(
  'a race for the last units, and a race of two ends',
  race(take('u0', 'k0', 3), take('u1', 'k0', 3)),
  take('u2', 'k0', 1, 'M'),
  race(
    { do: 'confirm', key: 'f0', of: 'r:u2:k0', orderRef: 'o0', amount: 250 },
    { do: 'release', key: 'f1', of: 'r:u2:k0', by: 'u2' },
  ),
  race(move('s0', { op: 'units', sku: 'S', delta: 2 }), move('s1', { op: 'pause' })),
);
