/**
 * Concurrent clients who do what buyers do: ask, ask again, pay, change their minds, on several
 * devices. Everything is written down for the history checker. A client whose answer was lost
 * repeats its key until it is answered, as the protocol asks of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Decision } from '../../src/domain/reservation.ts';
import type { Result } from '../../src/protocol/codes.ts';
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { reservationView, unpack } from '../../src/redis/records.ts';
import { type FinalState, HistoryRecorder, type Operation, type Outcome } from './history-checker.ts';
import type { TimeControl } from './time-control.ts';

export interface CrowdPlan {
  show: string;
  sale: string;
  skus: readonly string[];
  stores: readonly ConnectedStore[];
  clients: number;
  users: number;
  actionsPerClient: number;
  seed: number;
  /** Makes deadlines come, and the host move units. */
  time?: TimeControl;
  /** Called once, when a third of the actions are done: the moment for a fault. */
  midway?: () => void;
}

export interface StoreUsersReport {
  history: HistoryRecorder['entries'];
  /** Holds and ends that were granted and answered, for repeating them later. */
  granted: Array<{ reservation: ReservationView; ask: Extract<Operation, { do: 'reserve' }>; confirmedWith?: string }>;
  /** Commands that were never answered. */
  unanswered: number;
  outcomes: Map<string, number>;
}

/** A small seeded generator: the same seed makes the same choices. */
export function dice(seed: number): (sides: number) => number {
  let state = seed >>> 0;
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  };
}

const REPEAT_AFTER_MS = 40;
const REPEAT_FOR_MS = 15_000;
const PATIENCE: ReadonlySet<string> = new Set(['sale_paused', 'redis_full', 'redis_readonly', 'overloaded']);

export async function runStoreUsers(plan: CrowdPlan): Promise<StoreUsersReport> {
  const crowd = new Crowd(plan);
  await Promise.all(Array.from({ length: plan.clients }, (_, i) => crowd.client(i)));
  return crowd.report;
}

class Crowd {
  readonly report: StoreUsersReport;
  readonly #plan: CrowdPlan;
  readonly #recorder = new HistoryRecorder();
  readonly #holds: StoreUsersReport['granted'] = [];
  #keys = 0;
  #actions = 0;

  constructor(plan: CrowdPlan) {
    this.#plan = plan;
    this.report = { history: this.#recorder.entries, granted: this.#holds, unanswered: 0, outcomes: new Map() };
  }

  async client(number: number): Promise<void> {
    const { actionsPerClient, seed, users, stores } = this.#plan;
    const roll = dice(seed * 1_000 + number);
    const user = `u${number % users}`;
    for (let i = 0; i < actionsPerClient; i++) {
      if (++this.#actions === Math.ceil((this.#plan.clients * actionsPerClient) / 3)) this.#plan.midway?.();
      // A buyer changes devices: any connection may serve any request.
      const store = stores[roll(stores.length)] as ConnectedStore;
      const mine = this.#holds.filter((hold) => hold.ask.user === user);
      const hold = mine[roll(Math.max(1, mine.length))];
      const what = roll(12);
      if (what < 5 || !hold) await this.#reserve(store, user, roll);
      else if (what < 6) await this.#ask(store, hold.ask);
      else if (what < 8) await this.#confirm(store, hold, roll);
      else if (what < 10) await this.#release(store, hold);
      else if (what < 11) await this.#lapse(store, hold);
      else await this.#units(store, roll);
    }
  }

  async #reserve(store: ConnectedStore, user: string, roll: (sides: number) => number): Promise<void> {
    const { sale, skus } = this.#plan;
    const lines: Item[] = Array.from({ length: 1 + roll(2) }, () => ({
      sku: skus[roll(skus.length)] ?? '',
      qty: 1 + roll(2),
    }));
    await this.#ask(store, { do: 'reserve', user, key: `k${this.#keys++}`, sale, lines });
  }

  async #ask(store: ConnectedStore, ask: Extract<Operation, { do: 'reserve' }>): Promise<void> {
    const { user, key, sale, lines } = ask;
    const decision = await this.#until(
      ask,
      async () => (await store.reserve(this.#plan.show, [{ user, key, sale, lines }]))[0] as Result<Decision>,
    );
    if (decision?.ok && !this.#holds.some(({ reservation }) => reservation.id === decision.value.reservation.id))
      this.#holds.push({ reservation: decision.value.reservation, ask });
  }

  async #confirm(
    store: ConnectedStore,
    hold: StoreUsersReport['granted'][number],
    roll: (sides: number) => number,
  ): Promise<void> {
    const { id, amount } = hold.reservation;
    const key = `pay${roll(2)}-${id}`;
    const decision = await this.#until({ do: 'confirm', reservation: id, key }, () =>
      store.confirm(this.#plan.show, { reservation: id, orderRef: key, amount }, { key, actor: 'host:crowd' }),
    );
    if (decision?.ok) hold.confirmedWith = key;
  }

  async #release(
    store: ConnectedStore,
    { reservation: { id, user } }: StoreUsersReport['granted'][number],
  ): Promise<void> {
    const key = `drop-${id}`;
    await this.#until({ do: 'release', reservation: id, key }, () =>
      store.release(this.#plan.show, id, { key, actor: `user:${user}`, user }),
    );
  }

  async #lapse(store: ConnectedStore, { reservation: { id } }: StoreUsersReport['granted'][number]): Promise<void> {
    const { time, show } = this.#plan;
    if (!time) return;
    await this.#recorder.record(
      { do: 'expire', reservation: id },
      () => time.passDeadlineUnderLoad(show, id).catch(() => {}),
      () => ({ type: 'ok' }),
    );
    await store.tick(show);
  }

  async #units(store: ConnectedStore, roll: (sides: number) => number): Promise<void> {
    const { show, sale, skus, time } = this.#plan;
    if (!time) return;
    const sku = skus[roll(skus.length)] ?? '';
    const delta = roll(2) === 0 ? 1 : -1;
    const key = `units${this.#keys++}`;
    await this.#until(
      { do: 'units', sale, sku, delta },
      () => store.moveSale(show, sale, { op: 'units', sku, delta }, { key, actor: 'host:crowd' }),
      'once',
    );
  }

  /**
   * Asks until there is an answer; every try is a line in the history. A host's move is not
   * repeated there: its units would count twice.
   */
  async #until<T>(
    operation: Operation,
    run: () => Promise<Result<T>>,
    tries: 'once' | 'repeat' = 'repeat',
  ): Promise<Result<T> | undefined> {
    const until = Date.now() + REPEAT_FOR_MS;
    for (;;) {
      const answer = await (tries === 'once'
        ? this.#recorder.record(operation, () => settled(run, until), judge)
        : this.#recorder.record(operation, run, judge));
      const code = answer.ok ? 'ok' : answer.error.code;
      this.report.outcomes.set(
        `${operation.do} ${code}`,
        (this.report.outcomes.get(`${operation.do} ${code}`) ?? 0) + 1,
      );
      if (answer.ok || (judge(answer).type === 'fail' && !PATIENCE.has(answer.error.code))) return answer;
      if (Date.now() > until) {
        this.report.unanswered++;
        return undefined;
      }
      await sleep(REPEAT_AFTER_MS);
    }
  }
}

/** Repeats one command with its key until it is answered, as one operation. */
async function settled<T>(run: () => Promise<Result<T>>, until: number): Promise<Result<T>> {
  for (;;) {
    const answer = await run();
    if (judge(answer).type !== 'unknown' || Date.now() > until) return answer;
    await sleep(REPEAT_AFTER_MS);
  }
}

function judge(answer: Result<unknown>): Outcome {
  if (!answer.ok)
    return ['redis_unavailable', 'internal'].includes(answer.error.code)
      ? { type: 'unknown' }
      : { type: 'fail', code: answer.error.code };
  const { reservation, replayed } = answer.value as Partial<Decision>;
  return {
    type: 'ok',
    ...(reservation ? { reservation: reservation.id } : {}),
    ...(replayed === undefined ? {} : { replayed }),
  };
}

/** All reservations of a show as they stand, read past the store. */
export async function finalState(client: Redis, reservationsKey: string): Promise<FinalState> {
  const values = await client.hvalsBuffer(reservationsKey);
  return {
    reservations: new Map(values.map((bytes) => reservationView(unpack(bytes))).map((view) => [view.id, view])),
  };
}
