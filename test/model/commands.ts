/** Random steps: first a draft, then a step that fits what has happened so far. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { SaleMove } from '../../src/domain/sale.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { StoreFixture } from '../support/store-fixture.ts';
import { EngineModel } from './engine-model.ts';
import { differences, RealEngine } from './real-engine.ts';
import { type Handle, type Plan, type Step, type StepResult, USERS } from './steps.ts';

const FAR_MS = 600_000;

/** Names a reservation by its number (`pick`): which ones will exist is not known yet. */
type Numbered = { pick: number } & (
  | { do: 'confirm'; key: string; orderRef: string; short: number }
  | { do: 'release'; key: string; by: string | null | 'owner' }
  | { do: 'extend'; key: string; byMs: number }
  | { do: 'refund'; key: string; restock: boolean }
  | { do: 'expire' }
  /** A waiting buyer leaves the waitlist. */
  | { do: 'leave any'; key: string }
  /** An earlier step again, byte for byte: a duplicate, a retry, a late arrival. */
  | { do: 'repeat' }
);
type Single = Step | Numbered;
/** A race: two steps at once over two connections. */
type Draft = Single | { do: 'race'; both: [Single, Single] };

export interface Run {
  real: RealEngine;
  stores: readonly [ConnectedStore, ConnectedStore];
  history: Step[];
  isMixed?: boolean;
  /** How often each step had each result. */
  outcomes: Map<string, number>;
}

/** Opens a show with the first sales, in the model and on the real scripts. */
export async function startRun(fixture: StoreFixture, stores: Run['stores'], outcomes: Run['outcomes'] = new Map()) {
  const real = new RealEngine(await fixture.newShow(), fixture.time);
  const [model, run]: [EngineModel, Run] = [new EngineModel(), { real, stores, history: [], outcomes }];
  for (const step of replay(...openings)) await step.run(model, run);
  return { model, run };
}

/** Returns null if the step cannot happen now: nothing to repeat, no planned moment. */
function resolve(draft: Single, model: EngineModel, { real, history, isMixed }: Run): Step | null {
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
    case 'refund':
    case 'expire': {
      if (draft.do === 'refund' && isMixed) return null;
      // An offer may start and end within one step, and then its id is unknown.
      const known = (Object.keys(model.reservations) as Handle[]).filter((handle) => real.ids.has(handle));
      // Few reservations are orders, and fewer are refunded twice.
      const orders = known.filter((handle) => /^(confirmed|refunded)$/.test(model.reservations[handle]?.state ?? ''));
      const { pick, ...step } = draft;
      const handles = step.do === 'refund' && pick % 4 > 0 && orders.length > 0 ? orders : known;
      const of = handles[pick % Math.max(1, handles.length)] ?? 'none';
      const r = model.reservations[of];
      if (step.do === 'expire') return r?.state === 'held' ? { ...step, of } : null;
      if (step.do === 'extend' || step.do === 'refund') return { ...step, of };
      if (step.do === 'release') return { ...step, of, by: step.by === 'owner' ? (r?.user ?? null) : step.by };
      const { short, ...confirm } = step;
      const orderRef = isMixed ? `${confirm.orderRef}:${of}` : confirm.orderRef;
      return { ...confirm, of, orderRef, amount: (r?.amount ?? 0) - short };
    }
    case 'arrive': {
      const sale = model.sales[draft.sale];
      const isPlanned = sale?.[draft.moment === 'opensAt' ? 'opens' : 'closes'] !== 'never';
      const states = draft.moment === 'opensAt' ? ['scheduled'] : ['open', 'paused'];
      return sale && isPlanned && states.includes(sale.state) ? draft : null;
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
    const steps = drafts.map((draft) => resolve(draft, model, run)).filter((step) => step !== null);
    if (steps.length === 0 || (steps.length > 1 && !steps.every(mayRace))) return;
    this.#steps = steps;
    const next = run.history.length;
    const storeOf = (i: number) => run.stores[(next + i) % 2] as ConnectedStore;
    const results = await Promise.all(steps.map((step, i) => run.real.apply(step, storeOf(i))));
    for (const [i, step] of steps.entries())
      for (const { code, replayed } of results[i] ?? [])
        count(run.outcomes, `${step.do === 'move' ? step.move.op : step.do} ${replayed ? 'replayed' : code}`);
    run.history.push(...steps.filter((step) => !movesTime(step)));
    const observed = await run.real.observe(run.stores[0]);
    // Raced steps may have run in either order; one of them must explain results and books.
    const inOrder = [...steps.keys()];
    const complaints: string[] = [];
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
      complaints.push(problems.join('\n'));
    }
    throw new Error(`after ${this}:\n${complaints.join('\n-- or in the other order --\n')}`);
  }

  toString(): string {
    return JSON.stringify(this.#steps.length > 1 ? { race: this.#steps } : (this.#steps[0] ?? this.#draft));
  }
}

const count = (outcomes: Map<string, number>, what: string): void =>
  void outcomes.set(what, (outcomes.get(what) ?? 0) + 1);

const resultProblems = (step: Step, expected: readonly StepResult[], found: readonly StepResult[]): string[] =>
  isDeepStrictEqual(expected, found)
    ? []
    : [`${step.do}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`];

const weighted = <T>(...choices: Array<[weight: number, arbitrary: fc.Arbitrary<T>]>): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })));
const name = (prefix: string, count: number): fc.Arbitrary<string> =>
  fc.nat({ max: count - 1 }).map((n) => `${prefix}${n}`);
const pick = fc.nat({ max: 30 });
const sale = fc.constantFrom('a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'c');
const user = fc.constantFrom(...USERS);
const sku = weighted([6, fc.constant('S')], [4, fc.constant('M')], [1, fc.constant('ghost')]);
const oneTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const item = fc.record({ sku, qty: oneTo(2) });
const ask = fc.record({ user, key: name('k', 6), sale, lines: fc.array(item, { minLength: 1, maxLength: 3 }) });
const length = fc.option(fc.constant({ durationMs: FAR_MS }), { nil: {} });
const [quantity, price, perBuyer] = [oneTo(4), fc.constantFrom(0, 250, 1999), oneTo(3)];
const units = fc.record({ quantity, price, perBuyer }, { requiredKeys: ['quantity', 'price'] });
const move = weighted<SaleMove>(
  [3, length.map((more) => ({ op: 'schedule', opensInMs: FAR_MS, ...more }))],
  [3, length.map((more) => ({ op: 'open', ...more }))],
  [3, fc.constant({ op: 'pause' })],
  [5, fc.constant({ op: 'resume' })],
  [1, fc.constantFrom({ op: 'extend', byMs: 1_000 }, { op: 'end' }, { op: 'cancel' })],
  [5, fc.record({ op: fc.constant('units'), sku, delta: fc.constantFrom(-2, -1, 1, 1, 2) })],
);
const plan: fc.Arbitrary<Plan> = fc.record({
  sale,
  opens: fc.constantFrom('draft', 'later', 'now', 'now'),
  ends: fc.boolean(),
  perBuyer: fc.integer({ min: 3, max: 5 }),
  units: fc.record({ S: units, M: units }),
});

/** A draft that names its reservation by number takes the place of the step itself. */
type Drawn = Exclude<Step, { of: unknown }> | Numbered;
type Fields<S> = { [P in Exclude<keyof S, 'do'>]: fc.Arbitrary<S[P]> };
const draft = <K extends Drawn['do']>(what: K, fields: Fields<Extract<Drawn, { do: K }>>): fc.Arbitrary<Single> =>
  fc.record({ do: fc.constant(what), ...fields }) as fc.Arbitrary<Single>;

/** Each buyer waits for one SKU only: the order between two waitlists is not specified. */
const waiting = (what: 'join' | 'leave', max: number): fc.Arbitrary<Single> =>
  fc
    .record({ user, key: name('w', 4), sale, qty: oneTo(max) })
    .map((rest) => ({ do: what, sku: rest.user < 'u2' ? 'S' : 'M', ...rest }));

const single: Array<[weight: number, draft: fc.Arbitrary<Single>]> = [
  [1, draft('create', { key: name('s', 12), plan })],
  [4, draft('move', { key: name('s', 12), sale, move })],
  [9, draft('reserve', { asks: fc.array(ask, { minLength: 1, maxLength: 4 }) })],
  [4, draft('confirm', { pick, key: name('f', 12), orderRef: name('o', 6), short: fc.constantFrom(0, 0, 0, 1) })],
  [4, draft('release', { pick, key: name('f', 12), by: weighted([3, fc.constantFrom('owner', null)], [1, user]) })],
  [1, draft('extend', { pick, key: name('f', 12), byMs: fc.constantFrom(1_000, 200_000, 900_000) })],
  [3, draft('refund', { pick, key: name('f', 12), restock: fc.boolean() })],
  [6, waiting('join', 2)],
  [1, waiting('leave', 1)],
  [1, draft('leave any', { pick, key: name('w', 4) })],
  [1, draft('tick', {})],
  [1, draft('failover', {})],
  [3, draft('expire', { pick })],
  [1, draft('arrive', { sale, moment: fc.constantFrom('opensAt', 'closesAt') })],
  [3, draft('repeat', { pick })],
];
const anySingle = weighted(...single);
const race = fc.tuple(anySingle, anySingle).map((both): Draft => ({ do: 'race', both }));
/** An open sale and a draft, so that runs start where it matters. */
const unitsOfA = { S: { quantity: 3, price: 1999 }, M: { quantity: 3, price: 250, perBuyer: 2 } };
const unitsOfB = { S: { quantity: 2, price: 100 }, M: { quantity: 1, price: 0 } };
const openings: Step[] = [
  { do: 'create', key: 'opening a', plan: { sale: 'a', opens: 'now', ends: true, perBuyer: 4, units: unitsOfA } },
  { do: 'create', key: 'opening b', plan: { sale: 'b', opens: 'draft', ends: false, perBuyer: 3, units: unitsOfB } },
];

/** Returns commands for steps as a failed run printed them. */
export const replay = (...steps: Draft[]): Array<fc.AsyncCommand<EngineModel, Run>> =>
  steps.map((step) => new StepCommand(step));

/** Each kind of step as often as its weight says. */
const drafts = [...single, [6, race] as const].flatMap(([weight, draft]: readonly [number, fc.Arbitrary<Draft>]) =>
  Array.from({ length: weight }, () => draft.map((each) => new StepCommand(each))),
);
export const commands = (maxCommands: number): fc.Arbitrary<Iterable<fc.AsyncCommand<EngineModel, Run>>> =>
  fc.commands(drafts, { maxCommands, size: 'max' });
