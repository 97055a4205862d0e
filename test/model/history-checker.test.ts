/** Tests of the checker: right histories pass, and every kind of wrong one is found. */
import t from 'tap';
import type { Entry, FinalState, Operation, Outcome, Rules, ViolationKind } from '../support/history-checker.ts';
import { checkHistory } from '../support/history-checker.ts';

type Step = readonly [invoke: Operation, done: Outcome];
const rules: Rules = { allocated: { sale: { S: 2, M: 1 } }, perBuyer: { sale: 2 } };
const done: Outcome = { type: 'ok', replayed: false };
const unknown: Outcome = { type: 'unknown' };
const refused = (code: string): Outcome => ({ type: 'fail', code });
const granted = (reservation: string, replayed = false): Outcome => ({ type: 'ok', reservation, replayed });

const reserve = (user: string, qty = 1, sku = 'S', key = 'k'): Operation => ({
  ...{ do: 'reserve', user, key, sale: 'sale', lines: [{ sku, qty }] },
});
const reserved = (user: string, outcome: Outcome | string, qty = 1, sku = 'S', key = 'k'): Step => [
  reserve(user, qty, sku, key),
  typeof outcome === 'string' ? granted(outcome) : outcome,
];
const confirmed = (id: string, key = 'pay', end: Outcome = done): Step => [
  { do: 'confirm', reservation: id, key },
  end,
];
const released = (id: string, end: Outcome = done): Step => [{ do: 'release', reservation: id, key: 'drop' }, end];
const units = (delta: number, end: Outcome = done): Step => [{ do: 'units', sale: 'sale', sku: 'S', delta }, end];

/** One request after another. */
const sequence = (...steps: Step[]): Entry[] =>
  steps.flatMap(([invoke, outcome], id) => [
    { id, invoke },
    { id, done: outcome },
  ]);

/** All requests before the first reply; replies in order. */
const concurrent = (...steps: Step[]): Entry[] => [
  ...steps.map(([invoke], i) => ({ id: 100 + i, invoke })),
  ...steps.map(([, outcome], i) => ({ id: 100 + i, done: outcome })),
];

/** Reads reservations such as `r1 ann held 2 M`. */
const finalState = (reservations: readonly string[]): FinalState => ({
  reservations: new Map(
    reservations.map((text) => {
      const [id = '', user = '', state = '', qty = 1, sku = 'S'] = text.split(' ');
      return [id, { user, sale: 'sale', state, lines: [{ sku, qty: Number(qty) }] }];
    }),
  ),
});

t.test('right histories', async (t) => {
  const right = (name: string, history: Entry[], ...final: string[]): void =>
    void t.same(checkHistory(history, rules, finalState(final)), [], name);
  const two = [reserved('a', 'r1'), reserved('b', 'r2')];
  right('nothing happened', []);
  const third = reserved('c', refused('sold_out'));
  right('two holds, the third is refused', sequence(...two, third), 'r1 a held', 'r2 b held');
  const soldAgain = ['r1 a released', 'r2 b held', 'r3 c held'];
  right('a freed unit is sold again', sequence(...two, released('r1'), reserved('c', 'r3')), ...soldAgain);
  const release: Entry[] = [{ id: 10, invoke: released('r1')[0] }, ...sequence(reserved('c', 'r3')), { id: 10, done }];
  const overlapping = [...sequence(...two), ...release];
  right('a unit may be sold again before the reply to its release arrives', overlapping, ...soldAgain);
  const replays = [reserved('a', granted('r1', true)), confirmed('r1'), confirmed('r1', 'pay', granted('r1', true))];
  right('a repeated key gets its first result', sequence(reserved('a', 'r1'), ...replays), 'r1 a confirmed');
  right('a lost reply to a hold that was made', sequence(reserved('a', unknown)), 'r1 a held');
  right('a lost reply to a hold that was not made', sequence(reserved('a', unknown)));
  const replayed = sequence(reserved('a', unknown), reserved('a', granted('r1', true)));
  right('a lost reply, then a replayed one', replayed, 'r1 a held');
  right('a lost release that did not happen', sequence(reserved('a', 'r1'), released('r1', unknown)), 'r1 a held');
  right('a request without a reply', [{ id: 1, invoke: reserve('a') }], 'r1 a held');
  const race = concurrent(released('r1', refused('reservation_confirmed')), confirmed('r1'));
  const raced = [...sequence(reserved('a', 'r1')), ...race];
  right('confirm and release race, one wins and the other gets its state', raced, 'r1 a confirmed');
  const expired: Entry[] = [
    { id: 1, invoke: reserve('a', 2) },
    { id: 2, invoke: { do: 'expire', reservation: 'r1' } },
    { id: 2, done },
    { id: 3, invoke: reserve('b') },
    { id: 3, done: granted('r2') },
    { id: 1, done: granted('r1') },
  ];
  right('a hold that expired before its reply arrived', expired, 'r1 a expired 2', 'r2 b held');
  const changes = [units(1), reserved('b', 'r2', 2), units(-1, refused('insufficient_units'))];
  const added = sequence(reserved('a', 'r1'), ...changes);
  right('added units are sold, withdrawn units were free', added, 'r1 a held', 'r2 b held 2');
});

t.test('wrong histories', async (t) => {
  const wrong = (kind: ViolationKind, name: string, history: Entry[], ...final: string[]): void => {
    const found = checkHistory(history, rules, finalState(final));
    const kinds = found.map((violation) => violation.kind);
    t.ok(kinds.includes(kind), `${kind}: ${name} (${JSON.stringify(found)})`);
  };
  const [a, b] = [reserved('a', 'r1'), reserved('b', 'r2')];
  const both = reserved('a', 'r1', 2);
  const taken = ['r1 a held 2', 'r2 b held'];
  const last = ['r1 a held', 'r2 b held', 'r3 c released'];
  wrong('oversell', 'three of two units', sequence(a, b, reserved('c', 'r3')), ...last);
  const lastOfM = concurrent(reserved('a', 'r1', 1, 'M'), reserved('b', 'r2', 1, 'M'));
  wrong('oversell', 'concurrently', lastOfM, 'r1 a held 1 M', 'r2 b held 1 M');
  const late = [confirmed('r1'), released('r1', refused('reservation_confirmed'))];
  wrong('oversell', 'an order keeps its unit', sequence(both, ...late, b), 'r1 a confirmed 2', 'r2 b held');
  const notHeld = released('r1', refused('reservation_not_held'));
  wrong('oversell', 'a refused release frees nothing', sequence(both, notHeld, b), ...taken);
  wrong('oversell', 'visible only in the end', sequence(both, reserved('b', unknown)), ...taken);
  wrong('oversell', 'held units are withdrawn', sequence(both, units(-1)), 'r1 a held 2');
  const refusedUnits = sequence(units(5, refused('limit_reached')), both, b);
  wrong('oversell', 'units that were refused to the host are sold', refusedUnits, ...taken);

  const first = reserved('a', 'r1', 2, 'S', 'k1');
  const third = reserved('a', 'r2', 1, 'M', 'k2');
  wrong('limit', 'three units of two', sequence(first, third), 'r1 a held 2', 'r2 a held 1 M');
  const ordered = sequence(first, confirmed('r1'), third);
  wrong('limit', 'an order counts too', ordered, 'r1 a confirmed 2', 'r2 a held 1 M');

  wrong('double end', 'confirmed and released', sequence(a, confirmed('r1'), released('r1')), 'r1 a confirmed');
  const twice = sequence(a, confirmed('r1', 'pay1'), confirmed('r1', 'pay2'));
  wrong('double end', 'confirmed twice', twice, 'r1 a confirmed');
  const race = concurrent(confirmed('r1', 'pay1'), confirmed('r1', 'pay2', refused('reservation_expired')));
  wrong('double end', 'confirmed, and another reply says expired', [...sequence(a), ...race], 'r1 a confirmed');

  wrong('lost accept', 'missing', sequence(a));
  wrong('lost accept', 'refused on repetition', sequence(a, reserved('a', refused('sold_out'))), 'r1 a held');
  wrong('lost accept', 'an order that is a hold again', sequence(a, confirmed('r1')), 'r1 a held');
  wrong('lost accept', 'ended, though no client requested it', sequence(a), 'r1 a released');
  const missing = confirmed('r1', 'pay', refused('reservation_not_found'));
  wrong('lost accept', 'not found', sequence(a, missing), 'r1 a held');

  wrong('unrequested', 'a hold that no reply granted', sequence(reserved('a', refused('sold_out'))), 'r1 a held');
  wrong('unrequested', 'one lost reply, two holds', sequence(reserved('a', unknown)), 'r1 a held', 'r2 a held');

  wrong('key', 'one key, two reservations', sequence(a, reserved('a', 'r2')), 'r1 a held', 'r2 a held');
  wrong('key', 'one key, decided twice', sequence(a, a), 'r1 a held');
  wrong('key', 'one reservation for two buyers', sequence(a, reserved('b', 'r1')), 'r1 a held');
  wrong('key', 'one confirm, decided twice', sequence(a, confirmed('r1'), confirmed('r1')), 'r1 a confirmed');
});

t.test('a long history is checked in one pass', async (t) => {
  const users = Array.from({ length: 50_000 }, (_, i) => i);
  const history = sequence(...users.flatMap((i) => [reserved(`u${i}`, `r${i}`), released(`r${i}`)]));
  t.same(checkHistory(history, rules, finalState(users.map((i) => `r${i} u${i} released`))), []);
});
