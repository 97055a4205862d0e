/** Random steps: first a draft, then a step that fits what has happened so far. */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { SaleMove } from '../../src/domain/sale.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { EngineModel } from './engine-model.ts';
import { differences, type RealEngine } from './real-engine.ts';
import type { Handle, Step, StepResult } from './steps.ts';

export const USERS = ['u0', 'u1', 'u2', 'u3'];
const FAR_MS = 600_000;

/** Names a reservation by its number: which ones will exist is not known yet. */
type Numbered = { pick: number };
type Draft =
  | Step
  | (Numbered & { do: 'confirm'; key: string; orderRef: string; short: number })
  | (Numbered & { do: 'release'; key: string; by: string | null | 'owner' })
  | (Numbered & { do: 'extend'; key: string; byMs: number })
  | (Numbered & { do: 'expire' })
  /** A waiting buyer leaves the waitlist. */
  | (Numbered & { do: 'leave any'; key: string })
  /** An earlier step again, byte for byte: a duplicate, a retry, a late arrival. */
  | (Numbered & { do: 'repeat' })
  /** Two steps at once over two connections. */
  | { do: 'race'; both: [Draft, Draft] };

export interface Run {
  real: RealEngine;
  stores: readonly [ConnectedStore, ConnectedStore];
  history: Step[];
  /** How often each step had each result. */
  outcomes: Map<string, number>;
}

/** Returns null if the step cannot happen now: nothing to repeat, no planned moment. */
function resolve(draft: Exclude<Draft, { do: 'race' }>, model: EngineModel, { real, history }: Run): Step | null {
  if ('of' in draft) return draft;
  switch (draft.do) {
    case 'repeat':
      return history[draft.pick % Math.max(1, history.length)] ?? null;
    case 'leave any': {
      const waits = Object.entries(model.sales).flatMap(([sale, { waitlist }]) =>
        waitlist.map(({ user, sku }) => ({ sale, user, sku })),
      );
      const wait = waits[draft.pick % Math.max(1, waits.length)];
      return wait ? { do: 'leave', key: draft.key, qty: 1, ...wait } : null;
    }
    case 'confirm':
    case 'release':
    case 'extend':
    case 'expire': {
      // An offer may start and end within one step, and then its id is unknown.
      const handles = (Object.keys(model.reservations) as Handle[]).filter((handle) => real.ids.has(handle));
      const of = handles[draft.pick % Math.max(1, handles.length)] ?? 'none';
      const r = model.reservations[of];
      if (draft.do === 'confirm')
        return { do: 'confirm', key: draft.key, of, orderRef: draft.orderRef, amount: (r?.amount ?? 0) - draft.short };
      if (draft.do === 'release')
        return { do: 'release', key: draft.key, of, by: draft.by === 'owner' ? (r?.user ?? null) : draft.by };
      if (draft.do === 'extend') return { do: 'extend', key: draft.key, of, byMs: draft.byMs };
      return r?.state === 'held' ? { do: 'expire', of } : null;
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

const movesTime = (step: Step): boolean => step.do === 'expire' || step.do === 'arrive' || step.do === 'failover';
/** A cancel is several scripts, a moved moment none: neither has one position in an order. */
const mayRace = (step: Step): boolean => !movesTime(step) && !(step.do === 'move' && step.move.op === 'cancel');

class StepCommand implements fc.AsyncCommand<EngineModel, Run> {
  readonly #draft: Draft;
  #steps: Step[] = [];

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  check(): boolean {
    return true;
  }

  async run(model: EngineModel, run: Run): Promise<void> {
    const drafts = this.#draft.do === 'race' ? this.#draft.both : [this.#draft];
    const steps = drafts
      .map((draft) => (draft.do === 'race' ? null : resolve(draft, model, run)))
      .filter((step) => step !== null);
    if (steps.length === 0 || (steps.length > 1 && !steps.every(mayRace))) return;
    this.#steps = steps;
    const results = await Promise.all(steps.map((step, i) => run.real.apply(step, run.stores[i] ?? run.stores[0])));
    for (const [i, step] of steps.entries()) {
      for (const { code, replayed } of results[i] ?? [])
        count(run.outcomes, `${step.do === 'move' ? step.move.op : step.do} ${replayed ? 'replayed' : code}`);
    }
    run.history.push(...steps.filter((step) => !movesTime(step)));
    const observed = await run.real.observe(run.stores[0]);
    // Raced steps may have run in either order; one of them must explain results and books.
    const inOrder = steps.map((_, i) => i);
    const complaints: string[][] = [];
    for (const order of steps.length > 1 ? [inOrder, inOrder.toReversed()] : [inOrder]) {
      const tried = model.clone();
      const expected: StepResult[][] = [];
      for (const i of order) expected[i] = tried.apply(steps[i] as Step);
      const ids = new Map(run.real.ids);
      const problems = [
        ...steps.flatMap((step, i) => resultProblems(step, expected[i] ?? [], results[i] ?? [])),
        ...differences(tried, observed, ids),
      ];
      if (problems.length === 0) {
        Object.assign(model, tried);
        for (const [handle, id] of ids) run.real.ids.set(handle, id);
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

const count = (outcomes: Map<string, number>, what: string): void =>
  void outcomes.set(what, (outcomes.get(what) ?? 0) + 1);

function resultProblems(step: Step, expected: readonly StepResult[], found: readonly StepResult[]): string[] {
  return isDeepStrictEqual(expected, found)
    ? []
    : [`${step.do}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`];
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
const item = fc.record({ sku, qty: fc.integer({ min: 1, max: 2 }) });
const ask = fc.record({ user, key: name('k', 6), sale, lines: fc.array(item, { minLength: 1, maxLength: 3 }) });
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

/** Each buyer waits for one SKU only: the order between two waitlists is not specified. */
const skuOf = (who: string): string => (who < 'u2' ? 'S' : 'M');
const waiting = (what: 'join' | 'leave'): fc.Arbitrary<Draft> =>
  fc
    .record({ user, key: name('w', 4), sale, qty: what === 'join' ? fc.integer({ min: 1, max: 2 }) : fc.constant(1) })
    .map((rest) => ({ do: what, sku: skuOf(rest.user), ...rest }));

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
      do: fc.constant('extend' as const),
      pick,
      key: name('f', 12),
      byMs: fc.constantFrom(1_000, 200_000, 900_000),
    }),
  ],
  [6, waiting('join') as fc.Arbitrary<Exclude<Draft, { do: 'race' }>>],
  [1, waiting('leave') as fc.Arbitrary<Exclude<Draft, { do: 'race' }>>],
  [1, fc.record({ do: fc.constant('leave any' as const), pick, key: name('w', 4) })],
  [1, fc.constant({ do: 'tick' as const })],
  [1, fc.constant({ do: 'failover' as const })],
  [3, fc.record({ do: fc.constant('expire' as const), pick })],
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
/** An open sale and a draft, so that runs start where it matters. */
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

export async function open(model: EngineModel, run: Run): Promise<void> {
  for (const step of openings) await new StepCommand(step).run(model, run);
}
/** Returns commands for steps as a failed run printed them. */
export const replay = (...steps: Draft[]): Array<fc.AsyncCommand<EngineModel, Run>> =>
  steps.map((step) => new StepCommand(step));

export const commands = (maxCommands: number): fc.Arbitrary<Iterable<fc.AsyncCommand<EngineModel, Run>>> =>
  fc.commands(
    [
      ...single.flatMap(([weight, arbitrary]) =>
        Array.from({ length: weight }, () => arbitrary.map((draft) => new StepCommand(draft))),
      ),
      ...Array.from({ length: 6 }, () => race.map((draft) => new StepCommand(draft))),
    ],
    { maxCommands, size: 'max' },
  );
