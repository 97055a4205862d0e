/**
 * A real Redis with stores. Each test ends with a check of the invariants: the ledger has no
 * violation, events have no gap, and what was published is what was committed.
 */
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import type { LedgerEntry } from '../../src/domain/ledger.ts';
import type { SaleBooks, SaleMove, SaleSkuSpec, SaleSpec } from '../../src/domain/sale.ts';
import type { Item, ReservationView, Result, SaleState } from '../../src/protocol/index.ts';
import { type ConnectedStore, connectStore, type StoreOptions } from '../../src/redis/index.ts';
import { pack, unpackLedger } from '../../src/redis/records.ts';
import type { ScriptModes } from '../../src/redis/scripts.ts';
import { CommitRecorder } from './commit-recorder.ts';
import { TimeControl } from './time-control.ts';

export const HOST = 'host:test';
/** `scripts/run-tests.mjs` runs the files that use the fixture again in the other modes. */
const [scripts, publish] = (process.env.STAMPEDE_MODES ?? 'functions,sharded').split(',') as [
  ScriptModes['scripts'],
  ScriptModes['publish'],
];
export const MODES: ScriptModes = { scripts, publish };

export type SaleOptions = Partial<SaleSpec> & { units?: Record<string, number | Partial<SaleSkuSpec>> };

type ReleaseOptions = { key?: string; user?: string; actor?: string };
type ConfirmOptions = { key?: string; orderRef?: string; amount?: number; actor?: string };
type RefundOptions = { key?: string; restock?: boolean; reason?: string };
export type ReserveOptions = { key?: string; sale?: string; sku?: string; qty?: number; lines?: Item[] };

/** Returns the move that adds or withdraws units of S. */
export const unitsMove = (delta: number) => ({ op: 'units', sku: 'S', delta }) as const;

/** Returns reservation items for quantities by SKU. */
export const items = (quantities: Readonly<Record<string, number>>): Item[] =>
  Object.entries(quantities).map(([sku, qty]) => ({ sku, qty }));

export const times = <T>(count: number, make: (i: number) => T): T[] => [...Array(count).keys()].map((i) => make(i));
export const pluck = <T, K extends keyof T>(list: readonly T[], field: K) => list.map((each) => each[field]);
export const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);

/** Returns the code of a refusal, `replayed` or `ok`. */
export function outcome(result: Result<unknown> | undefined): string {
  if (!result) return 'nothing';
  if (!result.ok) return result.error.code;
  return (result.value as { replayed?: boolean } | null)?.replayed ? 'replayed' : 'ok';
}

/** Returns a pattern of the refusal with this code. */
export const refused = (code: string, details: object = {}) => ({ ok: false, error: { code, details } });
/** Returns what a repeated key gets after this first result. */
export const replayOf = (first: object) => ({ ok: true, value: { ...first, replayed: true } });
/** Returns the key and the actor of a command of the host. */
export const byHost = (key: string) => ({ key, actor: HOST });
export const range = (count: number, from = 0, step = 1): number[] => times(count, (i) => from + i * step);

export function unwrap<T>(result: Result<T>): T {
  if (!result.ok)
    throw new Error(`${result.error.code}: ${result.error.message} ${JSON.stringify(result.error.details)}`);
  return result.value;
}

export class StoreFixture {
  readonly redis: RedisServer;
  readonly store: ConnectedStore;
  readonly client: Redis;
  readonly time: TimeControl;
  readonly prefix: string;
  readonly #stores: ConnectedStore[] = [];
  readonly #recorders = new Map<string, CommitRecorder>();
  #shows = 0;
  #moves = 0;

  private constructor(redis: RedisServer, store: ConnectedStore, prefix: string) {
    this.redis = redis;
    this.store = store;
    this.prefix = prefix;
    this.client = redis.client();
    this.time = new TimeControl(this.client, prefix);
  }

  static async open(
    prefix: string,
    options: Parameters<typeof startRedis>[0] = {},
    modes: Partial<ScriptModes> = {},
  ): Promise<StoreFixture> {
    const redis = await startRedis(options);
    const fixture = new StoreFixture(
      redis,
      await connectStore({ redis: redis.target, keyPrefix: prefix, ...MODES, ...modes }),
      prefix,
    );
    t.teardown(() => fixture.close());
    return fixture;
  }

  /** Connects another store, as another process would. */
  readonly connectAnother = async (options: Partial<StoreOptions> = {}): Promise<ConnectedStore> => {
    const store = await connectStore({ redis: this.redis.target, keyPrefix: this.prefix, ...MODES, ...options });
    this.#stores.push(store);
    return store;
  };

  async close(): Promise<void> {
    for (const store of [this.store, ...this.#stores]) await store.close();
    await this.redis.stop();
  }

  /** Runs a test, then checks the invariants of its shows. */
  readonly test = (name: string, run: (t: Test) => Promise<void>): void => {
    t.test(name, async (t) => {
      await run(t);
      for (const show of [...this.#recorders.keys()]) await this.checkInvariants(t, show);
    });
  };

  /** As `test`, in a new show with a product and no sale. */
  readonly showTest = (name: string, run: (t: Test, show: string) => Promise<void>): void =>
    this.test(name, async (t) => run(t, await this.newShow()));

  /** As `test`, in a new show with this sale. */
  readonly saleTest = (name: string, sale: SaleOptions, run: (t: Test, show: string) => Promise<void>): void =>
    this.test(name, async (t) => run(t, await this.openShow(sale)));

  async checkInvariants(t: Test, show: string): Promise<void> {
    t.same(await this.violationsOf(show), [], `${show}: the ledger and the published commits are correct`);
  }

  /** Stops recording a show. Returns what is wrong with its ledger, its log or its commits. */
  async violationsOf(show: string): Promise<string[]> {
    const recorder = this.#recorders.get(show);
    this.#recorders.delete(show);
    const verified = await this.store.verify(show);
    const ofCommits = (await recorder?.problems()) ?? [];
    await recorder?.close();
    return [...(verified.ok ? verified.value.violations : [verified.error.code]), ...ofCommits];
  }

  /** For tests that break the connection to Redis, and so lose commits. */
  async skipCommitCheck(show: string): Promise<void> {
    await this.commitsOf(show).close();
    this.#recorders.delete(show);
  }

  commitsOf(show: string): CommitRecorder {
    const recorder = this.#recorders.get(show);
    if (!recorder) throw new Error(`the commits of ${show} are not recorded`);
    return recorder;
  }

  /** Returns the commits that `work` publishes. */
  readonly published = (show: string, work: () => Promise<unknown>): ReturnType<CommitRecorder['during']> =>
    this.commitsOf(show).during(work);

  /** Returns the types of the events that `work` publishes. */
  readonly eventTypes = async (show: string, work: () => Promise<unknown>): Promise<string[]> =>
    (await this.published(show, work)).flatMap(({ events }) => events.map(({ type }) => type));

  readonly newShow = async (): Promise<string> => {
    const id = `show${++this.#shows}`;
    unwrap(await this.store.createShow({ id, title: 'Show', brands: [{ id: 'b', name: 'Brand' }] }, HOST));
    this.#recorders.set(id, await CommitRecorder.of(this.store, id));
    const skus = [{ sku: 'S' }, { sku: 'M' }, { sku: 'L' }];
    unwrap(await this.store.putProduct(id, { id: 'p', brand: 'b', title: 'Product', skus }, HOST));
    return id;
  };

  /** Returns a sale of ten S at 10.00, open now for ten minutes, one unit per buyer. */
  readonly saleSpec = (more: SaleOptions = {}): SaleSpec => {
    const { units = { S: 10 }, ...rest } = more;
    const skus = Object.entries(units).map(([sku, of]) => {
      const more = typeof of === 'number' ? { quantity: of } : of;
      return { sku, product: 'p', price: 1000, quantity: 10, ...more };
    });
    const timed = ['opensAt', 'opensInMs', 'closesAt', 'durationMs'].some((field) => field in rest);
    const window = timed ? {} : { opensInMs: 0, durationMs: 600_000 };
    return { id: 'sale', title: 'Flash', currency: 'EUR', perBuyer: 1, ...window, skus, ...rest };
  };

  readonly newSale = async (show: string, more: SaleOptions = {}): Promise<SaleBooks> => {
    const spec = this.saleSpec(more);
    const skus = [...new Set(['S', 'M', 'L', ...spec.skus.map(({ sku }) => sku)])].map((sku) => ({ sku }));
    // Not by PUT, which makes an event and has a limit of SKUs.
    const product = pack({ id: 'p', brand: 'b', title: 'Product', skus });
    if (skus.length > 3) await this.client.hset(this.time.key(show, 'products'), 'p', product);
    return unwrap(await this.store.createSale(show, spec, { key: `create:${spec.id}`, actor: HOST }));
  };

  /** Moves a sale, by default under a new key. */
  readonly move = (show: string, move: SaleMove, sale = 'sale', key = `${move.op}-${++this.#moves}`) =>
    this.store.moveSale(show, sale, move, { key, actor: HOST });

  readonly openShow = async (more: SaleOptions = {}): Promise<string> => {
    const show = await this.newShow();
    await this.newSale(show, more);
    return show;
  };

  readonly reserve = async (show: string, user: string, options: ReserveOptions = {}, store = this.store) => {
    const { key = 'k', sale = 'sale', sku = 'S', qty = 1, lines = [{ sku, qty }] } = options;
    const [result] = await store.reserve(show, [{ user, key, sale, lines }]);
    if (!result) throw new Error('reserve returned no result');
    return result;
  };

  readonly hold = async (show: string, user: string, options: ReserveOptions = {}): Promise<ReservationView> =>
    unwrap(await this.reserve(show, user, options)).reservation;

  readonly confirm = (show: string, { id, amount }: ReservationView, more: ConfirmOptions = {}, store = this.store) => {
    const { key = `confirm:${id}`, orderRef = `order:${id}`, actor = HOST } = more;
    return store.confirm(show, { reservation: id, orderRef, amount: more.amount ?? amount }, { key, actor });
  };

  readonly release = (show: string, { id, user }: ReservationView, more: ReleaseOptions = {}, store = this.store) => {
    const by = more.user ?? user;
    return store.release(show, id, { key: more.key ?? `release:${id}`, actor: more.actor ?? `user:${by}`, user: by });
  };

  readonly refund = (show: string, { id }: { id: string }, more: RefundOptions = {}, store = this.store) => {
    const { key = `refund:${id}`, restock = true, ...reason } = more;
    return store.refundOrder(show, { order: id, restock, ...reason }, byHost(key));
  };

  /** Returns an order of one unit of S, unless others are asked for. */
  readonly order = async (show: string, user: string, options: ReserveOptions = {}): Promise<ReservationView> =>
    unwrap(await this.confirm(show, await this.hold(show, user, options))).reservation;

  readonly books = async (show: string, sku = 'S', sale = 'sale') => {
    const found = unwrap(await this.store.getSale(show, sale)).skus.find((books) => books.sku === sku);
    if (!found) throw new Error(`sale ${sale} has no ${sku}`);
    const { allocated, available, held, sold, withdrawn } = found;
    return { allocated, available, held, sold, withdrawn };
  };

  /** Returns the whole event log. */
  readonly eventsOf = async (show: string) => {
    const { epoch } = unwrap(await this.store.load(show)).snapshot;
    return unwrap(await this.store.eventsAfter(show, epoch, 0)) ?? [];
  };

  /** Returns the state of each sale by its id. */
  async saleStates(show: string): Promise<Record<string, SaleState>> {
    return Object.fromEntries(unwrap(await this.store.listSales(show)).map(({ id, state }) => [id, state]));
  }

  /** Returns holds and orders, one list for each user. */
  readonly reservationsOf = async (show: string, users: readonly string[]): Promise<ReservationView[][]> => {
    const found: ReservationView[][] = [];
    // A call returns the first ones if many hold something.
    while (found.length < users.length)
      for (const { reservations } of unwrap(await this.store.holdingsOf(show, users.slice(found.length))))
        found.push(reservations);
    return found;
  };

  readonly stateOf = async (show: string, reservation: string): Promise<string> =>
    unwrap(await this.store.getReservation(show, reservation)).state;

  readonly ledger = async (show: string): Promise<LedgerEntry[]> => {
    const rows = (await this.client.xrangeBuffer(this.time.key(show, 'ledger'), '-', '+')) as Array<[Buffer, Buffer[]]>;
    return rows.flatMap(([, fields]) => unpackLedger(fields[1] as Buffer));
  };

  /** Returns all records of a show, to prove that nothing was written. */
  readonly recordsOf = async (show: string): Promise<Record<string, string[]>> => {
    const keys = (await this.client.keys(`${this.prefix}*`)).filter((key) => key.includes(`{${show}}`)).sort();
    return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await this.#content(key)])));
  };

  async #content(key: string): Promise<string[]> {
    const type = await this.client.type(key);
    if (type === 'zset') return this.client.zrange(key, 0, '-1', 'WITHSCORES');
    if (type === 'hash') {
      const flat = (await this.client.callBuffer('HGETALL', key)) as Buffer[];
      const texts = flat.map((bytes) => bytes.toString('latin1'));
      return texts.flatMap((field, i) => (i % 2 === 0 ? [`${field}=${texts[i + 1]}`] : [])).sort();
    }
    if (type === 'string') return [(await this.client.getBuffer(key))?.toString('latin1') ?? ''];
    if (type !== 'stream') return [];
    const [newest] = await this.client.xrevrange(key, '+', '-', 'COUNT', 1);
    return [String(await this.client.xlen(key)), String(newest?.[0])];
  }
}
