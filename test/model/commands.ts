/**
 * Random steps: first a draft that knows nothing, then a step that fits what has happened so far.
 */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { SaleMove } from '../../src/domain/sale.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { EngineModel } from './engine-model.ts';
import { differences, type RealEngine } from './real-engine.ts';
import type { Answer, Handle, Step } from './steps.ts';

export const USERS = ['u0', 'u1', 'u2', 'u3'];
const FAR_MS = 600_000;

/** A reservation is named by its number, because nobody knows what will have been made by then. */
type Numbered = { pick: number };
type Draft =
  | Step
  | (Numbered & { do: 'confirm'; key: string; orderRef: string; short: number })
  | (Numbered & { do: 'release'; key: string; by: string | null | 'owner' })
  | (Numbered & { do: 'prolong'; key: string; byMs: number })
  | (Numbered & { do: 'lapse' })
  /** Somebody who is in a line leaves it. */
  | (Numbered & { do: 'step out'; key: string })
  /** An earlier step again, byte for byte: a duplicate, a retry, a late arrival. */
  | (Numbered & { do: 'repeat' })
  /** Two steps at once over two connections. */
  | { do: 'race'; both: [Draft, Draft] };

export interface World {
  real: RealEngine;
  stores: readonly [ConnectedStore, ConnectedStore];
  history: Step[];
  /** How often each kind of step was answered how. */
  tally: Map<string, number>;
}

/** What cannot happen now is null: nothing to repeat, no moment to come. */
function resolve(draft: Exclude<Draft, { do: 'race' }>, model: EngineModel, { real, history }: World): Step | null {
  if ('of' in draft) return draft;
  switch (draft.do) {
    case 'repeat':
      return history[draft.pick % Math.max(1, history.length)] ?? null;
    case 'step out': {
      const waits = Object.entries(model.sales).flatMap(([sale, { line }]) =>
        line.map(({ user, sku }) => ({ sale, user, sku })),
      );
      const wait = waits[draft.pick % Math.max(1, waits.length)];
      return wait ? { do: 'leave', key: draft.key, qty: 1, ...wait } : null;
    }
    case 'confirm':
    case 'release':
    case 'prolong':
    case 'lapse': {
      // An offer can come and go within one step (a cancel after a lapse): its id was shown to
      // nobody.
      const handles = (Object.keys(model.reservations) as Handle[]).filter((handle) => real.ids.has(handle));
      const of = handles[draft.pick % Math.max(1, handles.length)] ?? 'none';
      const r = model.reservations[of];
      if (draft.do === 'confirm')
        return { do: 'confirm', key: draft.key, of, orderRef: draft.orderRef, amount: (r?.amount ?? 0) - draft.short };
      if (draft.do === 'release')
        return { do: 'release', key: draft.key, of, by: draft.by === 'owner' ? (r?.user ?? null) : draft.by };
      if (draft.do === 'prolong') return { do: 'prolong', key: draft.key, of, byMs: draft.byMs };
      return r?.state === 'held' ? { do: 'lapse', of } : null;
    }
    case 'arrive': {
      const sale = model.sales[draft.sale];
      const planned =
        draft.moment === 'opensAt'
          ? sale?.state === 'scheduled' && sale.opens !== 'never'
          : (sale?.state === 'open' || sale?.state === 'paused') && sale.closes !== 'never';
      return planned ? draft : null;
    }
    default:
      return draft;
  }
}

const travels = (step: Step): boolean => step.do === 'lapse' || step.do === 'arrive' || step.do === 'failover';
/** A cancel is several scripts, a time travel is no script: neither has one place in an order. */
const mayRace = (step: Step): boolean => !travels(step) && !(step.do === 'move' && step.move.op === 'cancel');

class Play implements fc.AsyncCommand<EngineModel, World> {
  readonly #draft: Draft;
  #steps: Step[] = [];

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  check(): boolean {
    return true;
  }

  async run(model: EngineModel, world: World): Promise<void> {
    const drafts = this.#draft.do === 'race' ? this.#draft.both : [this.#draft];
    const steps = drafts
      .map((draft) => (draft.do === 'race' ? null : resolve(draft, model, world)))
      .filter((step) => step !== null);
    if (steps.length === 0 || (steps.length > 1 && !steps.every(mayRace))) return;
    this.#steps = steps;
    const answers = await Promise.all(
      steps.map((step, i) => world.real.apply(step, world.stores[i] ?? world.stores[0])),
    );
    for (const [i, step] of steps.entries()) {
      for (const { code, replayed } of answers[i] ?? [])
        count(world.tally, `${step.do === 'move' ? step.move.op : step.do} ${replayed ? 'replayed' : code}`);
    }
    world.history.push(...steps.filter((step) => !travels(step)));
    const observed = await world.real.observe(world.stores[0]);
    // Raced steps may have come in either order; one of them must explain the answers and the
    // books.
    const orders =
      steps.length > 1
        ? [
            [0, 1],
            [1, 0],
          ]
        : [[0]];
    const complaints: string[][] = [];
    for (const order of orders) {
      const tried = model.clone();
      const expected: Answer[][] = [];
      for (const i of order) expected[i] = tried.apply(steps[i] as Step);
      const ids = new Map(world.real.ids);
      const problems = [
        ...steps.flatMap((step, i) => answerProblems(step, expected[i] ?? [], answers[i] ?? [])),
        ...differences(tried, observed, ids),
      ];
      if (problems.length === 0) {
        Object.assign(model, tried);
        for (const [handle, id] of ids) world.real.ids.set(handle, id);
        return;
      }
      complaints.push(problems);
    }
    throw new Error(
      `after ${this}:\n${complaints.map((problems) => problems.join('\n')).join('\n-- or in the other order --\n')}`,
    );
  }

  toString(): string {
    return JSON.stringify(this.#steps.length > 1 ? { race: this.#steps } : (this.#steps[0] ?? this.#draft));
  }
}

const count = (tally: Map<string, number>, what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1);

function answerProblems(step: Step, expected: readonly Answer[], found: readonly Answer[]): string[] {
  return isDeepStrictEqual(expected, found)
    ? []
    : [`${step.do}: expected the answer ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`];
}

const name = (prefix: string, count: number): fc.Arbitrary<string> =>
  fc.nat({ max: count - 1 }).map((n) => `${prefix}${n}`);
const sale = fc.constantFrom('a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'c');
const user = fc.constantFrom(...USERS);
const sku = fc.oneof(
  { weight: 6, arbitrary: fc.constant('S') },
  { weight: 4, arbitrary: fc.constant('M') },
  { weight: 1, arbitrary: fc.constant('ghost') },
);
const line = fc.record({ sku, qty: fc.integer({ min: 1, max: 2 }) });
const ask = fc.record({ user, key: name('k', 6), sale, lines: fc.array(line, { minLength: 1, maxLength: 3 }) });
const length = fc.option(fc.constant({ durationMs: FAR_MS }), { nil: {} });
const units = fc.record(
  {
    quantity: fc.integer({ min: 1, max: 4 }),
    price: fc.constantFrom(0, 250, 1999),
    perBuyer: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: ['quantity', 'price'] },
);
const move: fc.Arbitrary<SaleMove> = fc.oneof(
  { weight: 3, arbitrary: length.map((more) => ({ op: 'schedule' as const, opensInMs: FAR_MS, ...more })) },
  { weight: 3, arbitrary: length.map((more) => ({ op: 'open' as const, ...more })) },
  { weight: 3, arbitrary: fc.constant({ op: 'pause' as const }) },
  { weight: 5, arbitrary: fc.constant({ op: 'resume' as const }) },
  { weight: 1, arbitrary: fc.constantFrom<SaleMove>({ op: 'extend', byMs: 1_000 }, { op: 'end' }, { op: 'cancel' }) },
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant('units' as const), sku, delta: fc.constantFrom(-2, -1, 1, 1, 2) }),
  },
);
const plan = fc
  .record({
    sale,
    opens: fc.constantFrom('draft' as const, 'later' as const, 'now' as const, 'now' as const),
    ends: fc.boolean(),
    perBuyer: fc.integer({ min: 3, max: 5 }),
    S: units,
    M: units,
  })
  .map(({ S, M, ...rest }) => ({ ...rest, units: { S, M } }));
const pick = fc.nat({ max: 30 });

/**
 * Whoever waits, waits for one SKU only: the order in which two lines of one sale are served is
 * nobody's promise.
 */
const lineOf = (who: string): string => (who < 'u2' ? 'S' : 'M');
const waiting = (what: 'join' | 'leave'): fc.Arbitrary<Draft> =>
  fc
    .record({ user, key: name('w', 4), sale, qty: what === 'join' ? fc.integer({ min: 1, max: 2 }) : fc.constant(1) })
    .map((rest) => ({ do: what, sku: lineOf(rest.user), ...rest }));

const single: Array<[weight: number, draft: fc.Arbitrary<Exclude<Draft, { do: 'race' }>>]> = [
  [1, fc.record({ do: fc.constant('create' as const), key: name('s', 12), plan })],
  [4, fc.record({ do: fc.constant('move' as const), key: name('s', 12), sale, move })],
  [9, fc.record({ do: fc.constant('reserve' as const), asks: fc.array(ask, { minLength: 1, maxLength: 4 }) })],
  [
    4,
    fc.record({
      do: fc.constant('confirm' as const),
      pick,
      key: name('f', 12),
      orderRef: name('o', 2),
      short: fc.constantFrom(0, 0, 0, 1),
    }),
  ],
  [
    4,
    fc.record({
      do: fc.constant('release' as const),
      pick,
      key: name('f', 12),
      by: fc.oneof({ weight: 3, arbitrary: fc.constantFrom('owner' as const, null) }, { weight: 1, arbitrary: user }),
    }),
  ],
  [
    1,
    fc.record({
      do: fc.constant('prolong' as const),
      pick,
      key: name('f', 12),
      byMs: fc.constantFrom(1_000, 200_000, 900_000),
    }),
  ],
  [6, waiting('join') as fc.Arbitrary<Exclude<Draft, { do: 'race' }>>],
  [1, waiting('leave') as fc.Arbitrary<Exclude<Draft, { do: 'race' }>>],
  [1, fc.record({ do: fc.constant('step out' as const), pick, key: name('w', 4) })],
  [1, fc.constant({ do: 'tick' as const })],
  [1, fc.constant({ do: 'failover' as const })],
  [3, fc.record({ do: fc.constant('lapse' as const), pick })],
  [
    1,
    fc.record({
      do: fc.constant('arrive' as const),
      sale,
      moment: fc.constantFrom('opensAt' as const, 'closesAt' as const),
    }),
  ],
  [3, fc.record({ do: fc.constant('repeat' as const), pick })],
];
const anySingle = fc.oneof(...single.map(([weight, arbitrary]) => ({ weight, arbitrary })));
const race = fc.tuple(anySingle, anySingle).map((both): Draft => ({ do: 'race', both }));
/**
 * One sale everybody can buy from and one that is only planned, so that runs begin where it
 * matters.
 */
const openings: Step[] = [
  {
    do: 'create',
    key: 'opening a',
    plan: {
      sale: 'a',
      opens: 'now',
      ends: true,
      perBuyer: 4,
      units: { S: { quantity: 3, price: 1999 }, M: { quantity: 3, price: 250, perBuyer: 2 } },
    },
  },
  {
    do: 'create',
    key: 'opening b',
    plan: {
      sale: 'b',
      opens: 'draft',
      ends: false,
      perBuyer: 3,
      units: { S: { quantity: 2, price: 100 }, M: { quantity: 1, price: 0 } },
    },
  },
];

export async function open(model: EngineModel, world: World): Promise<void> {
  for (const step of openings) await new Play(step).run(model, world);
}
/** For failures that are kept: the steps as a run printed them. */
export const replay = (...steps: Draft[]): Array<fc.AsyncCommand<EngineModel, World>> =>
  steps.map((step) => new Play(step));

export const commands = (maxCommands: number): fc.Arbitrary<Iterable<fc.AsyncCommand<EngineModel, World>>> =>
  fc.commands(
    [
      ...single.flatMap(([weight, arbitrary]) =>
        Array.from({ length: weight }, () => arbitrary.map((draft) => new Play(draft))),
      ),
      ...Array.from({ length: 6 }, () => race.map((draft) => new Play(draft))),
    ],
    { maxCommands, size: 'max' },
  );
