/**
 * Virtual users on the store: they reserve, repeat, pay and release concurrently, over several
 * connections. Everything is recorded for the history checker. As the protocol requires, a key
 * whose outcome is unknown is repeated until it is decided.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { createPrng, type Prng } from '../../bench/generator/prng.ts';
import type { Decision } from '../../src/domain/reservation.ts';
import type { ReservationView, Result } from '../../src/protocol/index.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { reservationView, unpack } from '../../src/redis/records.ts';
import { type FinalState, HistoryRecorder, type Operation, type Outcome } from './history-checker.ts';
import type { TimeControl } from './time-control.ts';

export interface StoreUsersPlan {
  show: string;
  sale: string;
  skus: readonly string[];
  stores: readonly ConnectedStore[];
  clients: number;
  users: number;
  userName?: (number: number) => string;
  actionsPerClient: number;
  seed: number;
  /** With it deadlines pass, and the host moves units. */
  time?: TimeControl;
  /** Called once, after a third of the actions: the moment for a fault. */
  midway?: () => void;
}

type Reserve = Extract<Operation, { do: 'reserve' }>;
type Grant = { reservation: ReservationView; reserve: Reserve; confirmedWith?: string };

export interface StoreUsersReport {
  history: HistoryRecorder['entries'];
  /** Grants, for repeating them later. */
  granted: Grant[];
  /** Commands that were never decided. */
  undecided: number;
  outcomes: Map<string, number>;
}

const REPEAT_AFTER_MS = 40;
const REPEAT_FOR_MS = 15_000;
/** Temporary refusals. */
const RETRIES: ReadonlySet<string> = new Set(['sale_paused', 'redis_full', 'redis_readonly', 'overloaded']);
const weights = { reserve: 5, repeat: 1, confirm: 2, release: 2, expire: 1, units: 1 };
const ACTIONS = Object.entries(weights) as Array<[keyof typeof weights, number]>;

export async function runStoreUsers(plan: StoreUsersPlan): Promise<StoreUsersReport> {
  const users = new StoreUsers(plan);
  await Promise.all(Array.from({ length: plan.clients }, (_, i) => users.client(i)));
  return users.report;
}

class StoreUsers {
  readonly report: StoreUsersReport;
  readonly #plan: StoreUsersPlan;
  readonly #recorder = new HistoryRecorder();
  readonly #grants: Grant[] = [];
  #keys = 0;
  #actions = 0;

  constructor(plan: StoreUsersPlan) {
    this.#plan = plan;
    this.report = { history: this.#recorder.entries, granted: this.#grants, undecided: 0, outcomes: new Map() };
  }

  async client(number: number): Promise<void> {
    const { actionsPerClient, seed, users, stores, clients, userName = (of: number) => `u${of}` } = this.#plan;
    const random = createPrng(seed * 1_000 + number);
    const user = userName(number % users);
    for (let i = 0; i < actionsPerClient; i++) {
      if (++this.#actions === Math.ceil((clients * actionsPerClient) / 3)) this.#plan.midway?.();
      // A buyer changes devices: any connection may serve any request.
      const store = random.pick(stores);
      const own = this.#grants.filter(({ reserve }) => reserve.user === user);
      const action = random.weighted(ACTIONS);
      if (action === 'reserve' || own.length === 0) await this.#reserveNew(store, user, random);
      else if (action === 'units') await this.#units(store, random);
      else await this.#act(action, store, random.pick(own), random);
    }
  }

  #act(action: 'repeat' | 'confirm' | 'release' | 'expire', store: ConnectedStore, grant: Grant, random: Prng) {
    if (action === 'repeat') return this.#reserve(store, grant.reserve);
    if (action === 'confirm') return this.#confirm(store, grant, random);
    return action === 'release' ? this.#release(store, grant) : this.#expire(store, grant);
  }

  #reserveNew(store: ConnectedStore, user: string, random: Prng): Promise<void> {
    const { sale, skus } = this.#plan;
    const lines = Array.from({ length: random.int(1, 2) }, () => ({ sku: random.pick(skus), qty: random.int(1, 2) }));
    return this.#reserve(store, { do: 'reserve', user, key: `k${this.#keys++}`, sale, lines });
  }

  async #reserve(store: ConnectedStore, reserve: Reserve): Promise<void> {
    const { user, key, sale, lines } = reserve;
    const run = async () => (await store.reserve(this.#plan.show, [{ user, key, sale, lines }]))[0] as Result<Decision>;
    const decision = await this.#untilDecided(reserve, run);
    if (!decision?.ok) return;
    const { reservation } = decision.value;
    if (!this.#grants.some((grant) => grant.reservation.id === reservation.id))
      this.#grants.push({ reservation, reserve });
  }

  async #confirm(store: ConnectedStore, grant: Grant, random: Prng): Promise<void> {
    const { id, amount } = grant.reservation;
    const key = `pay${random.int(0, 1)}-${id}`;
    const decision = await this.#untilDecided({ do: 'confirm', reservation: id, key }, () =>
      store.confirm(this.#plan.show, { reservation: id, orderRef: key, amount }, { key, actor: 'host:users' }),
    );
    if (decision?.ok) grant.confirmedWith = key;
  }

  async #release(store: ConnectedStore, { reservation: { id, user } }: Grant): Promise<void> {
    const key = `drop-${id}`;
    await this.#untilDecided({ do: 'release', reservation: id, key }, () =>
      store.release(this.#plan.show, id, { key, actor: `user:${user}`, user }),
    );
  }

  async #expire(store: ConnectedStore, { reservation: { id } }: Grant): Promise<void> {
    const { time, show } = this.#plan;
    if (!time) return;
    const pass = (): Promise<void> => time.passDeadlineUnderLoad(show, id).catch(() => {});
    await this.#recorder.record({ do: 'expire', reservation: id }, pass, () => ({ type: 'ok' }));
    await store.tick(show);
  }

  /** One operation in the history, with its repetitions: units must not count twice. */
  async #units(store: ConnectedStore, random: Prng): Promise<void> {
    const { show, sale, skus, time } = this.#plan;
    if (!time) return;
    const sku = random.pick(skus);
    const delta = random.pick([1, -1]);
    const key = `units${this.#keys++}`;
    const move = () => store.moveSale(show, sale, { op: 'units', sku, delta }, { key, actor: 'host:users' });
    await this.#untilDecided({ do: 'units', sale, sku, delta }, async () => {
      const until = Date.now() + REPEAT_FOR_MS;
      let result = await move();
      while (outcomeOf(result).type === 'unknown' && Date.now() < until) {
        await sleep(REPEAT_AFTER_MS);
        result = await move();
      }
      return result;
    });
  }

  /** Repeats the command until it is decided. Each try is an operation in the history. */
  async #untilDecided<T>(operation: Operation, run: () => Promise<Result<T>>): Promise<Result<T> | undefined> {
    const until = Date.now() + REPEAT_FOR_MS;
    for (;;) {
      const result = await this.#recorder.record(operation, run, outcomeOf);
      const name = `${operation.do} ${result.ok ? 'ok' : result.error.code}`;
      this.report.outcomes.set(name, (this.report.outcomes.get(name) ?? 0) + 1);
      if (result.ok || (outcomeOf(result).type === 'fail' && !RETRIES.has(result.error.code))) return result;
      if (Date.now() > until) {
        this.report.undecided++;
        return undefined;
      }
      await sleep(REPEAT_AFTER_MS);
    }
  }
}

function outcomeOf(result: Result<unknown>): Outcome {
  if (!result.ok) {
    const { code } = result.error;
    return ['redis_unavailable', 'internal'].includes(code) ? { type: 'unknown' } : { type: 'fail', code };
  }
  const { reservation, replayed } = result.value as Partial<Decision>;
  const granted = reservation ? { reservation: reservation.id } : {};
  return { type: 'ok', ...granted, ...(replayed === undefined ? {} : { replayed }) };
}

/** All reservations of a show, read without the store. */
export async function finalState(client: Redis, reservationsKey: string): Promise<FinalState> {
  const views = (await client.hvalsBuffer(reservationsKey)).map((bytes) => reservationView(unpack(bytes)));
  return { reservations: new Map(views.map((view) => [view.id, view])) };
}
