/** Tests of the ledger replay: a right ledger is clean, and each kind of wrong one is found. */
import t from 'tap';
import { compareBooks, type LedgerEntry, LedgerReplay } from '../../src/domain/ledger.ts';
import type { SkuBooks } from '../../src/domain/sale.ts';

type Counts = [available: number, held: number, sold: number, withdrawn: number];
const item = (sku: string, qty: number, before: Counts, after: Counts) => [sku, qty, ...before, ...after];
const entry = (
  kind: LedgerEntry[0],
  reservation: string | false,
  user: string | false,
  lines: LedgerEntry[7],
  reason = '',
  ...extra: Array<Record<string, unknown>>
): LedgerEntry => [kind, 'sale', reservation, user, 'actor', 'key', reason, lines, ...extra] as LedgerEntry;

const details = { perBuyer: 2, state: 'open', skus: [['S', 'p', 100, 2, 1]] };
const created = entry('alloc', false, false, [item('S', 2, [0, 0, 0, 0], [2, 0, 0, 0])] as never, 'created', details);
const moved =
  (kind: 'hold' | 'confirm' | 'release' | 'expire' | 'refund', reason = '') =>
  (id: string, user: string, before: Counts, after: Counts, qty = 1) =>
    entry(kind, id, user, [item('S', qty, before, after)] as never, reason);
const [hold, confirm, release] = [moved('hold'), moved('confirm'), moved('release')];
const [refund, withdrawn] = [moved('refund', 'restocked'), moved('refund', 'withdrawn')];
const state = (to: string) => entry('sale', false, false, false, to);
const refuse = (code: string, user: string, ...details: Array<Record<string, unknown>>) =>
  entry('refuse', 'r9', user, [['S', 1]] as never, code, ...details);

/** One entry for `count` refusals of which these users' are complete. */
const refused = (code: string, count: number, ...users: string[]) => {
  const samples = users.map((user) => ['r9', user, 'sale', [['S', 1]], 'k', {}]);
  return ['gate', 'sale', false, false, 'user', '', code, false, { at: 1, count, samples }] as LedgerEntry;
};

const waits = (kind: 'join' | 'leave', id: string) => entry(kind, id, 'ann', [['S', 1]] as never);
const unknownSku = entry('withdraw', false, false, [item('X', 1, [1, 0, 0, 0], [0, 0, 0, 1])] as never);
const held = hold('r1', 'ann', [2, 0, 0, 0], [1, 1, 0, 0]);
const last = hold('r2', 'bob', [1, 1, 0, 0], [0, 2, 0, 0]);
const confirmed = confirm('r1', 'ann', [1, 1, 0, 0], [1, 0, 1, 0]);
const refunded = refund('r1', 'ann', [1, 0, 1, 0], [2, 0, 0, 0]);

function problemsOf(entries: readonly LedgerEntry[], books?: Partial<SkuBooks>): string[] {
  const replay = new LedgerReplay();
  for (const [i, each] of entries.entries()) replay.apply(each, `entry ${i}`);
  const units = { allocated: 2, available: 2, held: 0, sold: 0, withdrawn: 0, ...books };
  const live = { sku: 'S', product: 'p', price: 100, ...units };
  return books ? [...replay.violations, ...compareBooks(replay, [{ id: 'sale', skus: [live] }])] : replay.violations;
}

t.test('right ledgers', async (t) => {
  const released = release('r1', 'ann', [1, 1, 0, 0], [2, 0, 0, 0]);
  const again = hold('r2', 'ann', [2, 0, 0, 0], [1, 1, 0, 0]);
  const limited = [held, refuse('limit_exceeded', 'ann')];
  const paused = [state('paused'), refuse('sale_paused', 'ann'), state('open')];
  const ended = [state('ended'), refuse('sale_ended', 'bob')];
  const right: Array<[name: string, books: Partial<SkuBooks>, ...LedgerEntry[]]> = [
    ['nothing is held', {}],
    ['an order', { available: 1, sold: 1 }, held, confirmed],
    ['held, released and held again', { available: 1, held: 1 }, held, released, again],
    ['a refund, and another hold', { available: 1, held: 1 }, held, confirmed, refunded, again],
    [
      'a refund of units that are withdrawn',
      { available: 1, withdrawn: 1 },
      ...[held, confirmed, withdrawn('r1', 'ann', [1, 0, 1, 0], [1, 0, 0, 1])],
    ],
    ['justified refusals', { available: 0, held: 2 }, ...limited, last, refuse('sold_out', 'cyd')],
    ['summed refusals', { available: 0, held: 2 }, held, last, refused('sold_out', 9, 'cyd', 'dan')],
    ['a pause and an end', { available: 1, sold: 1 }, ...paused, held, ...ended, confirmed],
  ];
  for (const [name, books, ...entries] of right) t.same(problemsOf([created, ...entries], books), [], name);
});

t.test('wrong ledgers', async (t) => {
  const wrong: Array<[string, RegExp, LedgerEntry[], Partial<SkuBooks>?]> = [
    ['a unit from nowhere', /differ|books/, [created, hold('r1', 'ann', [3, 0, 0, 0], [2, 1, 0, 0])]],
    ['a unit that vanished', /books after/, [created, hold('r1', 'ann', [2, 0, 0, 0], [0, 1, 0, 0])]],
    ['oversold', /I1/, [created, held, last, hold('r3', 'cyd', [0, 2, 0, 0], [-1, 3, 0, 0])]],
    ['over the limit of the SKU', /I2/, [created, hold('r1', 'ann', [2, 0, 0, 0], [0, 2, 0, 0], 2)]],
    ['over the limit by two holds', /I2/, [created, held, hold('r2', 'ann', [1, 1, 0, 0], [0, 2, 0, 0])]],
    ['over the limit after an order', /I2/, [created, held, confirmed, hold('r2', 'ann', [1, 0, 1, 0], [0, 1, 1, 0])]],
    ['made twice', /I4/, [created, held, hold('r1', 'ann', [1, 1, 0, 0], [0, 2, 0, 0])]],
    ['ended twice', /I3/, [created, held, confirmed, release('r1', 'ann', [1, 0, 1, 0], [2, -1, 1, 0])]],
    ['refunded twice', /I3/, [created, held, confirmed, refunded, refund('r1', 'ann', [2, 0, 0, 0], [3, 0, -1, 0])]],
    ['a refund of a hold', /I3/, [created, held, refund('r1', 'ann', [1, 1, 0, 0], [2, 1, -1, 0])]],
    [
      'a refund to the wrong place',
      /books after/,
      [created, held, confirmed, withdrawn('r1', 'ann', [1, 0, 1, 0], [2, 0, 0, 0])],
    ],
    ['an end without a beginning', /never held/, [created, confirm('r7', 'ann', [2, 0, 0, 0], [2, -1, 1, 0])]],
    ['an end by another buyer', /another buyer/, [created, held, release('r1', 'bob', [1, 1, 0, 0], [2, 0, 0, 0])]],
    ['an end of other units', /other units/, [created, held, release('r1', 'ann', [1, 1, 0, 0], [3, -1, 0, 0], 2)]],
    ['a hold in a sale that is not open', /which is paused/, [created, state('paused'), held]],
    ['a sale that reopens after its end', /was ended and became/, [created, state('ended'), state('open')]],
    ['a sale that was never created', /never created/, [held]],
    ['a SKU that was never allocated', /no SKU/, [created, unknownSku]],
    ['an extension of an ended hold', /not held/, [created, held, confirmed, entry('prolong', 'r1', 'ann', false)]],
    ['joined twice', /already waits/, [created, waits('join', 'w1'), waits('join', 'w2')]],
    ['left without joining', /does not wait/, [created, waits('leave', 'w1')]],
    ['"sold out" while there was one', /not justified/, [created, refuse('sold_out', 'ann')]],
    ['"over the limit" while there was room', /not justified/, [created, refuse('limit_exceeded', 'ann')]],
    ['"not open" while it was', /not justified/, [created, refuse('sale_not_open', 'ann')]],
    ['"ended" while it was open', /not justified/, [created, refuse('sale_ended', 'ann')]],
    ['"no such sale" while there was', /not justified/, [created, refuse('sale_not_found', 'ann')]],
    ['"no such SKU" while there was', /not justified/, [created, refuse('sku_not_found', 'ann')]],
    ['a sum with a wrong sample', /not justified/, [created, held, refused('limit_exceeded', 2, 'ann', 'bob')]],
    ['more samples than refusals', /2 of 1 refusals/, [created, held, last, refused('sold_out', 1, 'ann', 'bob')]],
    ['a sum of nothing', /0 of 0 refusals/, [created, refused('sold_out', 0)]],
    ['a conflict with nothing', /not justified/, [created, refuse('idempotency_conflict', 'ann')]],
    ['units reserved for an empty waitlist', /not justified/, [created, refuse('sold_out', 'ann', { promised: 1 })]],
    ['an unknown kind', /unknown kind/, [created, entry('gift' as never, false, false, false)]],
    ['live books that drifted', /differ from the ledger/, [created, held], { available: 2, held: 0 }],
    ['live books with more units', /differ from the ledger/, [created], { allocated: 3, available: 3 }],
  ];
  for (const [name, pattern, entries, books] of wrong) t.match(problemsOf(entries, books).join('\n'), pattern, name);
  const replay = new LedgerReplay();
  replay.apply(created, '1');
  t.match(compareBooks(replay, []), [/in the ledger but not in the books/]);
});

t.test('only the sale that contradicts itself is suspect', async (t) => {
  const replay = new LedgerReplay();
  const other = [...created] as LedgerEntry;
  other[1] = 'sound';
  for (const each of [created, other, held, held]) replay.apply(each, 'x');
  t.same([...replay.suspects], ['sale']);
});
