/**
 * The judge of the lines, held against ledgers that tell of injustice: it must find each of them.
 */
import t from 'tap';
import type { LedgerEntry } from '../../src/domain/ledger.ts';
import { checkWaitlist } from './waitlist-checker.ts';

type Entry = LedgerEntry;

/** Moves of one SKU; only the units that were free before are looked at. */
const line = (qty: number, free = 0): Entry[7] => [['S', qty, free]];
const join = (user: string, qty: number): Entry => [
  'join',
  'drop',
  `w-${user}`,
  user,
  'user',
  `k-${user}`,
  '',
  line(qty),
];
const leave = (user: string, qty: number, reason = 'asked'): Entry => [
  'leave',
  'drop',
  `w-${user}`,
  user,
  'user',
  '',
  reason,
  line(qty),
];
const free = (qty: number): Entry => ['release', 'drop', 'r-old', 'old', 'user', '', 'asked', line(qty)];
const take = (user: string, qty: number, left: number): Entry => [
  'hold',
  'drop',
  `r-${user}`,
  user,
  'user',
  '',
  '',
  line(qty, left),
];
const offer = (user: string, qty: number, left: number): Entry[] => [
  leave(user, qty, 'offer'),
  ['hold', 'drop', `w-${user}`, user, 'waitlist', `k-${user}`, 'offer', line(qty, left)],
];
const found = (...scripts: Entry[][]): readonly string[] => checkWaitlist(scripts).violations;

t.test('a fair line', async (t) => {
  const { violations, standing, offers, joined } = checkWaitlist([
    [join('ann', 2)],
    [join('bob', 1)],
    [join('cyd', 1)],
    // One unit: not enough for the first.
    [free(1), ...offer('bob', 1, 1)],
    [leave('cyd', 1)],
    [free(3), ...offer('ann', 2, 3), take('new', 1, 1)],
    [join('dan', 1)],
    [['sale', 'drop', false, false, 'host', '', 'open', false], ...offer('dan', 1, 1)],
    [join('eve', 1)],
  ]);
  t.same(violations, []);
  t.same([...standing], [['drop/S', [{ user: 'eve', key: 'k-eve', offer: 'w-eve', qty: 1 }]]]);
  t.equal(offers, 3);
  t.ok(joined.has('cyd k-cyd'));
});

t.test('an unfair one', async (t) => {
  const injustices: ReadonlyArray<readonly [what: string, scripts: Entry[][], told: RegExp]> = [
    [
      'passed within the line',
      [[join('ann', 1)], [join('bob', 1)], [free(1), ...offer('bob', 1, 1)]],
      /bob was offered .* before ann/,
    ],
    ['passed by a newcomer', [[join('ann', 1)], [free(2), take('new', 1, 2)]], /new passed ann/],
    ['an offer of nothing', [[join('ann', 1)], offer('ann', 1, 1)], /nothing had come free/],
    [
      'an offer to somebody else',
      [[join('ann', 1)], [free(1), ...offer('bob', 1, 1)]],
      /bob left drop\/S without standing there/,
    ],
    [
      'an offer of something else',
      [[join('ann', 1)], [free(2), ...offer('ann', 2, 2)]],
      /ann was offered 2 .* does not wait for that/,
    ],
    [
      'a place lost',
      [[join('ann', 1)], [free(1), leave('ann', 1, 'offer')]],
      /ann left for the offer w-ann, which was not made/,
    ],
  ];
  for (const [what, scripts, told] of injustices) t.match(found(...scripts)[0], told, what);
});
