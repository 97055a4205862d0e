/** Tests of the checker: right histories pass, and every kind of wrong one is found. */
import t from 'tap';
import {
  checkHistory,
  type Entry,
  type FinalState,
  type Operation,
  type Outcome,
  type Rules,
  type ViolationKind,
} from '../support/history-checker.ts';

const rules: Rules = { allocated: { sale: { S: 2, M: 1 } }, perBuyer: { sale: 2 } };

const reserve = (user: string, key = 'k', qty = 1, sku = 'S'): Operation => ({
  do: 'reserve',
  user,
  key,
  sale: 'sale',
  lines: [{ sku, qty }],
});
const confirm = (reservation: string, key = 'pay'): Operation => ({ do: 'confirm', reservation, key });
const release = (reservation: string, key = 'drop'): Operation => ({ do: 'release', reservation, key });
const granted = (reservation: string, replayed = false): Outcome => ({ type: 'ok', reservation, replayed });
const done: Outcome = { type: 'ok', replayed: false };
const refused = (code: string): Outcome => ({ type: 'fail', code });
const unknown: Outcome = { type: 'unknown' };

/** One request after another. */
function sequence(...steps: Array<[Operation, Outcome]>): Entry[] {
  return steps.flatMap(([invoke, outcome], id) => [
    { id, invoke },
    { id, done: outcome },
  ]);
}
/** All requests before the first reply; replies in order. */
function concurrent(...steps: Array<[Operation, Outcome]>): Entry[] {
  return [...steps.map(([invoke], id) => ({ id, invoke })), ...steps.map(([, outcome], id) => ({ id, done: outcome }))];
}
const after = (first: readonly Entry[], second: readonly Entry[]): Entry[] => [
  ...first,
  ...second.map((entry) => ({ ...entry, id: entry.id + 1000 * first.length })),
];
const finalState = (
  ...found: Array<[id: string, user: string, state: string, qty?: number, sku?: string]>
): FinalState => ({
  reservations: new Map(
    found.map(([id, user, state, qty = 1, sku = 'S']) => [id, { user, sale: 'sale', state, lines: [{ sku, qty }] }]),
  ),
});

t.test('right histories', async (t) => {
  const right: Array<[string, Entry[], FinalState]> = [
    ['nothing happened', [], finalState()],
    [
      'two holds, the third is refused',
      sequence([reserve('a'), granted('r1')], [reserve('b'), granted('r2')], [reserve('c'), refused('sold_out')]),
      finalState(['r1', 'a', 'held'], ['r2', 'b', 'held']),
    ],
    [
      'a freed unit is sold again',
      sequence(
        [reserve('a'), granted('r1')],
        [reserve('b'), granted('r2')],
        [release('r1'), done],
        [reserve('c'), granted('r3')],
      ),
      finalState(['r1', 'a', 'released'], ['r2', 'b', 'held'], ['r3', 'c', 'held']),
    ],
    [
      'a unit may be sold again before the reply to its release arrives',
      [
        ...sequence([reserve('a'), granted('r1')], [reserve('b'), granted('r2')]),
        { id: 10, invoke: release('r1') },
        { id: 11, invoke: reserve('c') },
        { id: 11, done: granted('r3') },
        { id: 10, done },
      ],
      finalState(['r1', 'a', 'released'], ['r2', 'b', 'held'], ['r3', 'c', 'held']),
    ],
    [
      'a repeated key gets its first result',
      sequence(
        [reserve('a'), granted('r1')],
        [reserve('a'), granted('r1', true)],
        [confirm('r1'), done],
        [confirm('r1'), { type: 'ok', replayed: true }],
      ),
      finalState(['r1', 'a', 'confirmed']),
    ],
    ['a lost reply to a hold that was made', sequence([reserve('a'), unknown]), finalState(['r1', 'a', 'held'])],
    ['a lost reply to a hold that was not made', sequence([reserve('a'), unknown]), finalState()],
    [
      'a lost reply, then a replayed one',
      sequence([reserve('a'), unknown], [reserve('a'), granted('r1', true)]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'a lost release that did not happen',
      sequence([reserve('a'), granted('r1')], [release('r1'), unknown]),
      finalState(['r1', 'a', 'held']),
    ],
    ['a request without a reply', [{ id: 1, invoke: reserve('a') }], finalState(['r1', 'a', 'held'])],
    [
      'confirm and release race, one wins and the other gets its state',
      after(
        sequence([reserve('a'), granted('r1')]),
        concurrent([release('r1'), refused('reservation_confirmed')], [confirm('r1'), done]),
      ),
      finalState(['r1', 'a', 'confirmed']),
    ],
    [
      'a hold that expired before its reply arrived',
      [
        { id: 1, invoke: reserve('a', 'k', 2) },
        { id: 2, invoke: { do: 'expire', reservation: 'r1' } },
        { id: 2, done },
        { id: 3, invoke: reserve('b') },
        { id: 3, done: granted('r2') },
        { id: 1, done: granted('r1') },
      ],
      finalState(['r1', 'a', 'expired', 2], ['r2', 'b', 'held']),
    ],
    [
      'units added are sold, units withdrawn were free',
      sequence(
        [reserve('a'), granted('r1')],
        [{ do: 'units', sale: 'sale', sku: 'S', delta: 1 }, done],
        [reserve('b', 'k', 2), granted('r2')],
        [{ do: 'units', sale: 'sale', sku: 'S', delta: -1 }, refused('insufficient_units')],
      ),
      finalState(['r1', 'a', 'held'], ['r2', 'b', 'held', 2]),
    ],
  ];
  for (const [name, history, final] of right) t.same(checkHistory(history, rules, final), [], name);
});

t.test('wrong histories', async (t) => {
  const wrong: Array<[ViolationKind, string, Entry[], FinalState]> = [
    [
      'oversell',
      'three of two units',
      sequence([reserve('a'), granted('r1')], [reserve('b'), granted('r2')], [reserve('c'), granted('r3')]),
      finalState(['r1', 'a', 'held'], ['r2', 'b', 'held'], ['r3', 'c', 'released']),
    ],
    [
      'oversell',
      'at once',
      concurrent([reserve('a', 'k', 1, 'M'), granted('r1')], [reserve('b', 'k', 1, 'M'), granted('r2')]),
      finalState(['r1', 'a', 'held', 1, 'M'], ['r2', 'b', 'held', 1, 'M']),
    ],
    [
      'oversell',
      'an order keeps its unit',
      sequence(
        [reserve('a', 'k', 2), granted('r1')],
        [confirm('r1'), done],
        [release('r1'), refused('reservation_confirmed')],
        [reserve('b'), granted('r2')],
      ),
      finalState(['r1', 'a', 'confirmed', 2], ['r2', 'b', 'held']),
    ],
    [
      'oversell',
      'a refused release gives nothing back',
      sequence(
        [reserve('a', 'k', 2), granted('r1')],
        [release('r1'), refused('reservation_not_held')],
        [reserve('b'), granted('r2')],
      ),
      finalState(['r1', 'a', 'held', 2], ['r2', 'b', 'held']),
    ],
    [
      'oversell',
      'visible only in the end',
      sequence([reserve('a', 'k', 2), granted('r1')], [reserve('b'), unknown]),
      finalState(['r1', 'a', 'held', 2], ['r2', 'b', 'held']),
    ],
    [
      'oversell',
      'withdrawn from under a hold',
      sequence([reserve('a', 'k', 2), granted('r1')], [{ do: 'units', sale: 'sale', sku: 'S', delta: -1 }, done]),
      finalState(['r1', 'a', 'held', 2]),
    ],
    [
      'oversell',
      'units that were refused to the host are sold',
      sequence(
        [{ do: 'units', sale: 'sale', sku: 'S', delta: 5 }, refused('limit_reached')],
        [reserve('a', 'k', 2), granted('r1')],
        [reserve('b'), granted('r2')],
      ),
      finalState(['r1', 'a', 'held', 2], ['r2', 'b', 'held']),
    ],
    [
      'limit',
      'three units of two',
      sequence([reserve('a', 'k1', 2), granted('r1')], [reserve('a', 'k2', 1, 'M'), granted('r2')]),
      finalState(['r1', 'a', 'held', 2], ['r2', 'a', 'held', 1, 'M']),
    ],
    [
      'limit',
      'an order counts too',
      sequence(
        [reserve('a', 'k1', 2), granted('r1')],
        [confirm('r1'), done],
        [reserve('a', 'k2', 1, 'M'), granted('r2')],
      ),
      finalState(['r1', 'a', 'confirmed', 2], ['r2', 'a', 'held', 1, 'M']),
    ],
    [
      'double end',
      'confirmed and released',
      sequence([reserve('a'), granted('r1')], [confirm('r1'), done], [release('r1'), done]),
      finalState(['r1', 'a', 'confirmed']),
    ],
    [
      'double end',
      'confirmed twice',
      sequence([reserve('a'), granted('r1')], [confirm('r1', 'pay1'), done], [confirm('r1', 'pay2'), done]),
      finalState(['r1', 'a', 'confirmed']),
    ],
    [
      'double end',
      'confirmed, and another reply says that it expired',
      after(
        sequence([reserve('a'), granted('r1')]),
        concurrent([confirm('r1', 'pay1'), done], [confirm('r1', 'pay2'), refused('reservation_expired')]),
      ),
      finalState(['r1', 'a', 'confirmed']),
    ],
    ['lost accept', 'gone', sequence([reserve('a'), granted('r1')]), finalState()],
    [
      'lost accept',
      'refused on repetition',
      sequence([reserve('a'), granted('r1')], [reserve('a'), refused('sold_out')]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'lost accept',
      'an order that is a hold again',
      sequence([reserve('a'), granted('r1')], [confirm('r1'), done]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'lost accept',
      'ended, though no client requested it',
      sequence([reserve('a'), granted('r1')]),
      finalState(['r1', 'a', 'released']),
    ],
    [
      'lost accept',
      'not found',
      sequence([reserve('a'), granted('r1')], [confirm('r1'), refused('reservation_not_found')]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'unrequested',
      'a hold that no reply granted',
      sequence([reserve('a'), refused('sold_out')]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'unrequested',
      'one lost reply, two holds',
      sequence([reserve('a'), unknown]),
      finalState(['r1', 'a', 'held'], ['r2', 'a', 'held']),
    ],
    [
      'key',
      'one key, two reservations',
      sequence([reserve('a'), granted('r1')], [reserve('a'), granted('r2')]),
      finalState(['r1', 'a', 'held'], ['r2', 'a', 'held']),
    ],
    [
      'key',
      'one key, decided twice',
      sequence([reserve('a'), granted('r1')], [reserve('a'), granted('r1')]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'key',
      'one reservation for two buyers',
      sequence([reserve('a'), granted('r1')], [reserve('b'), granted('r1')]),
      finalState(['r1', 'a', 'held']),
    ],
    [
      'key',
      'one confirm, decided twice',
      sequence([reserve('a'), granted('r1')], [confirm('r1'), done], [confirm('r1'), done]),
      finalState(['r1', 'a', 'confirmed']),
    ],
  ];
  for (const [kind, name, history, final] of wrong) {
    const found = checkHistory(history, rules, final);
    t.ok(
      found.some((violation) => violation.kind === kind),
      `${kind}: ${name} (${JSON.stringify(found)})`,
    );
  }
});

t.test('a long history is judged in one pass', async (t) => {
  const many = Array.from({ length: 100_000 }, (_, i): [Operation, Outcome] =>
    i % 2 === 0 ? [reserve(`u${i}`), granted(`r${i}`)] : [release(`r${i - 1}`), done],
  );
  const final = finalState(
    ...many.flatMap(
      ([operation, outcome]): Array<[string, string, string]> =>
        operation.do === 'reserve' && outcome.type === 'ok'
          ? [[outcome.reservation ?? '', operation.user, 'released']]
          : [],
    ),
  );
  t.same(checkHistory(sequence(...many), rules, final), []);
});
