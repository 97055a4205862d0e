/** The checker of the waitlists finds each violation in forged ledgers. */
import t from 'tap';
import type { LedgerEntry } from '../../src/domain/ledger.ts';
import { checkWaitlist } from './waitlist-checker.ts';

type Ledger = LedgerEntry;

/** Moves of one SKU; only the units that were free before matter. */
const items = (qty: number, free = 0): Ledger[7] => [['S', qty, free]];
const entry = (kind: Ledger[0], id: string, user: string, key: string, reason: string, moved: Ledger[7]): Ledger => {
  const actor = reason === 'offer' && kind === 'hold' ? 'waitlist' : 'user';
  return [kind, 'drop', id, user, actor, key, reason, moved];
};
const join = (user: string, qty: number): Ledger => entry('join', `w-${user}`, user, `k-${user}`, '', items(qty));
const leave = (user: string, qty: number, reason = 'asked'): Ledger =>
  entry('leave', `w-${user}`, user, '', reason, items(qty));
const free = (qty: number): Ledger => entry('release', 'r-old', 'old', '', 'asked', items(qty));
const take = (user: string, qty: number, left: number): Ledger =>
  entry('hold', `r-${user}`, user, '', '', items(qty, left));
const offer = (user: string, qty: number, left: number): Ledger[] => [
  leave(user, qty, 'offer'),
  entry('hold', `w-${user}`, user, `k-${user}`, 'offer', items(qty, left)),
];

t.test('a correct waitlist has no violation', async (t) => {
  const { violations, waiting, offers, joined } = checkWaitlist([
    [join('ann', 2)],
    [join('bob', 1)],
    [join('cyd', 1)],
    // One unit is not enough for the first entry.
    [free(1), ...offer('bob', 1, 1)],
    [leave('cyd', 1)],
    [free(3), ...offer('ann', 2, 3), take('new', 1, 1)],
    [join('dan', 1)],
    [['sale', 'drop', false, false, 'host', '', 'open', false], ...offer('dan', 1, 1)],
    [join('eve', 1)],
  ]);
  t.same(violations, []);
  t.same([...waiting], [['drop/S', [{ user: 'eve', key: 'k-eve', offer: 'w-eve', qty: 1 }]]]);
  t.equal(offers, 3);
  t.ok(joined.has('cyd k-cyd'));
});

t.test('each violation is found', async (t) => {
  const cases: ReadonlyArray<readonly [what: string, scripts: Ledger[][], violation: RegExp]> = [
    [
      'an offer to a later entry',
      [[join('ann', 1)], [join('bob', 1)], [free(1), ...offer('bob', 1, 1)]],
      /bob was offered .* before ann/,
    ],
    ['a hold from outside the waitlist', [[join('ann', 1)], [free(2), take('new', 1, 2)]], /new passed ann/],
    ['an offer without free units', [[join('ann', 1)], offer('ann', 1, 1)], /nothing had come free/],
    [
      'an offer without an entry',
      [[join('ann', 1)], [free(1), ...offer('bob', 1, 1)]],
      /bob left drop\/S without an entry/,
    ],
    [
      'an offer of another quantity',
      [[join('ann', 1)], [free(2), ...offer('ann', 2, 2)]],
      /ann was offered 2 .* does not wait for that/,
    ],
    [
      'an entry that was lost',
      [[join('ann', 1)], [free(1), leave('ann', 1, 'offer')]],
      /ann left for the offer w-ann, which was not made/,
    ],
  ];
  for (const [what, scripts, violation] of cases) t.match(checkWaitlist(scripts).violations[0], violation, what);
});
