/**
 * Lists of reservations and orders. The ledger is their index: it has each hold and each
 * confirmation once, in order, since release 0.1.0, so nothing more is stored for them.
 */
import type { LedgerEntry } from '../domain/ledger.ts';
import {
  type BookedFilter,
  type BookedItem,
  type BookedQuery,
  type BookedReservation,
  isOrder,
  matchesFilter,
  type OrderStore,
} from '../domain/order.ts';
import { sharedRead } from '../domain/shared-read.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { bodyHash } from './body-hash.ts';
import { commandReply } from './command-reply.ts';
import { checkReleases } from './older-releases.ts';
import {
  notedView,
  type PackedReservation,
  readProduct,
  readReservation,
  readStock,
  type StockRecord,
  unpackLedger,
} from './records.ts';
import { mapped, type ScriptRunner, textOf } from './script-runner.ts';
import { otherType } from './unreadable.ts';

const { archivePageEntries: SLICE_ENTRIES, listedSlicesMax: SLICES_MAX, listedExaminedMax: EXAMINED_MAX } = LIMITS;
const FETCH_MAX = 500;
/** No script call makes as many ledger entries. */
const INDEX_MAX = 999_999;
/** The id of an entry has the time of Redis, which a change of the server may set back. */
const CLOCK_MARGIN_MS = 60_000;
/** Older nodes report themselves as often. */
const RELEASES_EVERY_MS = 1_000;

type NotedView = ReturnType<typeof notedView>;

/** A place in the ledger: the id of a stream entry, and the index of a ledger entry in it. */
interface Position {
  readonly ms: number;
  readonly seq: number;
  readonly index: number;
}

interface Candidate {
  readonly id: string;
  readonly at: Position;
}

const idOf = ({ ms, seq }: Position): string => `${ms}-${seq}`;
const cursorOf = (at: Position): string => `${idOf(at)}.${at.index}`;

function positionOf(text: string): Position | null {
  const [, ms, seq, index] = /^(\d{1,15})-(\d{1,15})\.(\d{1,6})$/.exec(text) ?? [];
  return ms === undefined ? null : { ms: Number(ms), seq: Number(seq), index: Number(index) };
}

/** Compares what the ledger entry says, so that other records are not read. */
const mayMatch = ([kind, sale, , user, , , reason]: LedgerEntry, filter: BookedFilter): boolean =>
  kind === (filter.isOrder ? 'confirm' : 'hold') &&
  (filter.sale === undefined || filter.sale === sale) &&
  (filter.user === undefined || filter.user === user) &&
  (!filter.isOrder || filter.orderRef === undefined || filter.orderRef === reason);

const unknownId = (id: string): string =>
  `There is no reservation ${id}. The path takes the id of the reservation: GET …/orders?orderRef=REF finds it by ` +
  'its order reference.';
const noOrder = (id: string, state: unknown): string =>
  state === 'held' ? 'This is a hold: confirm or release it.' : `The reservation ${id} is ${state}: it is no order.`;

/** Returns the result, with what to do if the id is not that of an order. */
function withNextStep<T>(result: Result<T>, id: string): Result<T> {
  if (result.ok) return result;
  const { code, details } = result.error;
  if (code === 'illegal_move') return { ok: false, error: { ...result.error, message: noOrder(id, details?.state) } };
  return code === 'reservation_not_found' ? { ok: false, error: { ...result.error, message: unknownId(id) } } : result;
}

export function createOrders(runner: ScriptRunner): OrderStore {
  const olderReleases = sharedRead(() => checkReleases(runner), RELEASES_EVERY_MS);

  /** Reads the next entries of the ledger, after or before a position. */
  async function readSlice(
    showId: string,
    from: Position | null,
    { isNewestFirst = false, ...filter }: BookedQuery,
  ): Promise<Result<Array<[Position, Buffer | undefined]>>> {
    const { ledger } = runner.keysOf(showId);
    const oldest = Math.max(0, (filter.from ?? 0) - CLOCK_MARGIN_MS);
    const newest = filter.to === undefined ? '+' : String(filter.to + CLOCK_MARGIN_MS);
    // Included: an entry may be continued in its middle.
    const at = from === null ? null : idOf(from);
    const read = await runner.guard((client) => {
      const slice = isNewestFirst
        ? client.xrevrangeBuffer(ledger, at ?? newest, String(oldest), 'COUNT', SLICE_ENTRIES)
        : client.xrangeBuffer(ledger, at ?? String(oldest), newest, 'COUNT', SLICE_ENTRIES);
      return slice.catch(otherType(async () => null));
    });
    return mapped(read, (entries) => {
      if (Buffer.isBuffer(entries)) return [];
      return (entries as unknown as Array<[Buffer, Buffer[]]>).map(([id, fields]) => {
        const [ms, seq] = String(id).split('-').map(Number) as [number, number];
        return [{ ms, seq, index: 0 }, fields[1]];
      });
    });
  }

  /** Returns what may match in one stream entry, in the order of the list. */
  function candidatesIn(
    showId: string,
    [at, bytes]: [Position, Buffer | undefined],
    after: Position | null,
    query: BookedQuery,
  ): Candidate[] {
    const isContinued = after !== null && after.ms === at.ms && after.seq === at.seq;
    const isNew = (index: number): boolean =>
      !isContinued || (query.isNewestFirst ? index < after.index : index > after.index);
    const key = `${runner.keysOf(showId).ledger} ${idOf(at)}`;
    const entries = runner.decoded(key, ok(bytes ?? Buffer.alloc(0)), unpackLedger);
    if (!entries.ok) return [];
    const found = entries.value.flatMap((entry, index): Candidate[] => {
      const isWanted = Array.isArray(entry) && isNew(index) && mayMatch(entry, query);
      return isWanted && typeof entry[2] === 'string' ? [{ id: entry[2], at: { ...at, index } }] : [];
    });
    return query.isNewestFirst ? found.reverse() : found;
  }

  /** Reads records of one hash. Missing ones are left out. */
  async function fetch(key: string, fields: readonly string[]): Promise<Result<Map<string, Buffer>>> {
    const found = new Map<string, Buffer>();
    for (let from = 0; from < fields.length; from += FETCH_MAX) {
      const slice = fields.slice(from, from + FETCH_MAX);
      const read = await runner.guard((client) => client.hmgetBuffer(key, ...slice));
      if (!read.ok) return read;
      for (const [i, bytes] of read.value.entries()) if (bytes !== null) found.set(slice[i] as string, bytes);
    }
    return ok(found);
  }

  /** Returns a function that adds prices, products and brands to reservations. */
  function describer(showId: string) {
    const { stock: stockKey, products: productsKey } = runner.keysOf(showId);
    const stocks = new Map<string, StockRecord | null>();
    const brands = new Map<string, string | null>();

    async function learn<T>(
      key: string,
      names: ReadonlySet<string>,
      known: Map<string, T | null>,
      decode: (bytes: Buffer) => T,
    ): Promise<Result<null>> {
      const missing = [...names].filter((name) => !known.has(name));
      const read = await fetch(key, missing);
      if (!read.ok) return read;
      for (const name of missing) {
        const bytes = read.value.get(name);
        const record = bytes === undefined ? null : runner.decoded(`${key} ${name}`, ok(bytes), decode);
        known.set(name, record?.ok ? record.value : null);
      }
      return ok(null);
    }

    return async (views: readonly NotedView[]): Promise<Result<BookedReservation[]>> => {
      const names = new Set(views.flatMap(({ sale, lines }) => lines.map(({ sku }) => `${sale}/${sku}`)));
      const stocked = await learn(stockKey, names, stocks, readStock);
      if (!stocked.ok) return stocked;
      const products = new Set([...stocks.values()].flatMap((stock) => (stock === null ? [] : [stock[7]])));
      const branded = await learn(productsKey, products, brands, (bytes) => readProduct(bytes).brand);
      if (!branded.ok) return branded;
      const described = (sale: string, { sku, qty }: BookedItem): BookedItem => {
        const stock = stocks.get(`${sale}/${sku}`) ?? null;
        if (stock === null) return { sku, qty };
        const [price, product, brand] = [stock[5], stock[7], brands.get(stock[7])];
        return { sku, qty, price, product, ...(typeof brand === 'string' ? { brand } : {}) };
      };
      return ok(views.map((view) => ({ ...view, lines: view.lines.map((item) => described(view.sale, item)) })));
    };
  }

  async function describeOne(showId: string, view: NotedView): Promise<Result<BookedReservation>> {
    return mapped(await describer(showId)([view]), ([booked]) => booked as BookedReservation);
  }

  return {
    async getOrder(showId, id) {
      const open = await runner.showIsOpen(showId);
      if (!open.ok) return open;
      const { reservations: key } = runner.keysOf(showId);
      const read = await runner.guard((client) => client.hgetBuffer(key, id));
      if (!read.ok) return read;
      if (read.value === null) return fail('reservation_not_found', unknownId(id));
      const view = runner.decoded(`${key} ${id}`, ok(read.value), (bytes) => notedView(readReservation(bytes)));
      if (!view.ok) return view;
      if (isOrder(view.value)) return describeOne(showId, view.value);
      return fail('reservation_not_found', noOrder(id, view.value.state));
    },

    async changeOrder(showId, id, { note, tracking, fulfillment }) {
      const change = {
        ...(note === undefined ? {} : { note: note ?? '' }),
        ...(tracking === undefined ? {} : { tracking: tracking ?? '' }),
        ...(fulfillment === undefined ? {} : { fulfillment: fulfillment === 'fulfilled' ? fulfillment : '' }),
      };
      const args = { op: 'note', id, ...change, key: '', actor: '', body: '', unrecorded: true };
      const reply = await runner.run('finish', showId, args);
      if (!reply.ok) return reply;
      const { reservations: key } = runner.keysOf(showId);
      const done = commandReply<PackedReservation>(runner, key, reply.value.slice(1));
      const view = runner.decoded(key, done, ({ value }) => notedView(value));
      return view.ok ? describeOne(showId, view.value) : withNextStep(view, id);
    },

    async refundOrder(showId, { order: id, restock, reason }, { key, actor, onReplayed }) {
      // Release 0.1.0 takes the ledger entry for damage, and would count the units as sold again.
      const alone = await olderReleases();
      if (!alone.ok) return alone;
      // An erasure does not change what is stored here, and the reason may name the buyer.
      const body = bodyHash(['refund', id, restock, reason]);
      const reply = await runner.run('refund', showId, { id, restock, reason, key, actor, body });
      if (!reply.ok) return reply;
      const [epoch, ...command] = reply.value;
      const { idem } = runner.keysOf(showId);
      const done = commandReply<PackedReservation>(runner, idem, command, onReplayed);
      const view = runner.decoded(idem, done, ({ value }) => notedView(value));
      if (!view.ok || !done.ok) return withNextStep(view as Result<never>, id);
      const { replayed } = done.value;
      const durability = runner.connection.durability;
      return mapped(await describeOne(showId, view.value), (order) => ({
        ...{ order, replayed, durability, epoch: textOf(epoch) },
      }));
    },

    async listBooked(showId, query, onUnreadable) {
      const open = await runner.showIsOpen(showId);
      if (!open.ok) return open;
      const start = query.after === undefined ? null : positionOf(query.after);
      if (query.after !== undefined && start === null)
        return fail('invalid_request', 'after: Must be `next` of the page before.', { details: { field: 'after' } });
      const { reservations: key } = runner.keysOf(showId);
      const describe = describer(showId);
      const items: BookedReservation[] = [];
      let [at, examined] = [start, 0];
      /** Of the last item on this page. */
      let last: Position | null = null;

      /** Adds those that match. Returns whether the page has ended. */
      async function add(candidates: readonly Candidate[]): Promise<Result<boolean>> {
        const records = await fetch(
          key,
          candidates.map(({ id }) => id),
        );
        if (!records.ok) return records;
        const views = candidates.flatMap(({ id }): NotedView[] => {
          const bytes = records.value.get(id);
          if (bytes === undefined) return [];
          const view = runner.decoded(`${key} ${id}`, ok(bytes), (raw) => notedView(readReservation(raw)));
          if (!view.ok) onUnreadable?.(id);
          return view.ok ? [view.value] : [];
        });
        const described = await describe(views);
        if (!described.ok) return described;
        const byId = new Map(described.value.map((booked) => [booked.id, booked]));
        for (const candidate of candidates) {
          const booked = byId.get(candidate.id);
          const isListed = booked !== undefined && matchesFilter(booked, query);
          if (isListed && items.length === query.limit) return ok(true);
          if (isListed) items.push(booked);
          if (isListed) last = candidate.at;
        }
        return ok(false);
      }

      for (let slices = 0; slices < SLICES_MAX && examined < EXAMINED_MAX; slices++) {
        const slice = await readSlice(showId, at, query);
        if (!slice.ok) return slice;
        // The position may be that of the last entry, which was read.
        const isEnd = slice.value.length < SLICE_ENTRIES;
        const candidates = slice.value.flatMap((entry) => candidatesIn(showId, entry, at, query));
        examined += candidates.length;
        for (let from = 0; from < candidates.length; from += FETCH_MAX) {
          const added = await add(candidates.slice(from, from + FETCH_MAX));
          if (!added.ok) return added;
          if (added.value) return ok({ items, next: cursorOf(last as unknown as Position) });
        }
        if (isEnd) return ok({ items, next: null });
        const [end] = slice.value.at(-1) as [Position, Buffer];
        at = { ...end, index: query.isNewestFirst ? 0 : INDEX_MAX };
      }
      return ok({ items, next: at === null ? null : cursorOf(at) });
    },
  };
}
