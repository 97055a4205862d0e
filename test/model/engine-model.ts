/**
 * The engine as it should be, in memory and in one thread: sales, holds, limits, waitlists and
 * keys, without Redis, Lua or time. The test decides when a moment has come. The real scripts must
 * return what the model returns and hold what it holds.
 */
import type { SaleMove } from '../../src/domain/sale.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Item, ReservationState, SaleState } from '../../src/protocol/messages.ts';
import { type Ask, type Books, type Handle, HOLD_MS, type Plan, type Step, type StepResult, unitsOf } from './steps.ts';

interface Sku extends Books {
  price: number;
  perBuyer: number;
}
type Moment = 'never' | 'to come' | 'come';
const planned = (isPlanned: boolean): Moment => (isPlanned ? 'to come' : 'never');
interface Sale {
  state: SaleState;
  opens: Moment;
  closes: Moment;
  length: boolean;
  perBuyer: number;
  skus: Record<string, Sku>;
  waitlist: Array<{ user: string; sku: string; qty: number; key: string }>;
}
export interface Reservation {
  sale: string;
  user: string;
  state: ReservationState;
  lines: Item[];
  amount: number;
  /** How long after its creation it expires. */
  lastsMs: number;
  deadline: Moment;
  orderRef?: string;
}

const codeOfClosed = (state: SaleState): string =>
  state === 'draft' || state === 'scheduled' ? 'sale_not_open' : `sale_${state}`;
const NOT_OVER = ['draft', 'scheduled', 'open', 'paused'] as const;
/** From which states a move is legal, and the state after it. */
const MOVES: Record<SaleMove['op'], { from: readonly SaleState[]; to?: SaleState }> = {
  schedule: { from: ['draft', 'scheduled'], to: 'scheduled' },
  open: { from: ['draft', 'scheduled'], to: 'open' },
  pause: { from: ['open'], to: 'paused' },
  resume: { from: ['paused'], to: 'open' },
  extend: { from: ['open', 'paused', 'scheduled'] },
  end: { from: NOT_OVER, to: 'ended' },
  cancel: { from: NOT_OVER, to: 'cancelled' },
  units: { from: NOT_OVER },
};
type Command = Exclude<Step, { do: 'reserve' | 'expire' | 'arrive' | 'tick' | 'failover' }>;

/** Returns whose key it is: keys of different kinds never meet. */
const keyOwner = (step: Command): string => {
  if (step.do === 'create' || step.do === 'move') return 'sale';
  if (step.do === 'join' || step.do === 'leave') return `wait ${step.user}`;
  return `finish ${step.do === 'release' ? step.by : null}`;
};

export class EngineModel {
  sales: Record<string, Sale> = {};
  reservations: Record<string, Reservation> = {};
  /** The result of each key, by type of command and caller. */
  keys: Record<string, { body: string; result: StepResult }> = {};

  clone(): EngineModel {
    return Object.assign(new EngineModel(), structuredClone({ ...this }));
  }

  /** Returns one result, or one for each request of a batch. */
  apply(step: Step): StepResult[] {
    if (step.do === 'expire') {
      const hold = this.reservations[step.of];
      if (hold) hold.deadline = 'come';
      return [];
    }
    if (step.do === 'arrive') {
      const sale = this.sales[step.sale];
      if (sale) sale[step.moment === 'opensAt' ? 'opens' : 'closes'] = 'come';
      return [];
    }
    this.#sweep();
    if (step.do === 'tick' || step.do === 'failover') return [{ code: 'ok' }];
    const results = step.do === 'reserve' ? step.asks.map((ask) => this.#reserve(ask)) : [this.#once(step)];
    this.#serveWaitlists();
    return results;
  }

  #sweep(): void {
    for (const hold of Object.values(this.reservations))
      if (hold.state === 'held' && hold.deadline === 'come') this.#end(hold, 'expired');
    for (const sale of Object.values(this.sales)) {
      if (sale.state === 'scheduled' && sale.opens === 'come') sale.state = 'open';
      if ((sale.state === 'open' || sale.state === 'paused') && sale.closes === 'come') sale.state = 'ended';
    }
    this.#serveWaitlists();
  }

  /** Decides a key once. Refusals are not recorded. */
  #once(step: Command): StepResult {
    const { key, ...body } = step;
    const field = `${keyOwner(step)}|${key}`;
    const text = JSON.stringify(Object.entries(body).sort(([a], [b]) => (a < b ? -1 : 1)));
    const known = this.keys[field];
    if (known && known.body !== text) return { code: 'idempotency_conflict' };
    if (known && step.do === 'move' && step.move.op === 'cancel') return this.#saleResult(step.sale);
    if (known) return { ...known.result, ...('sale' in known.result ? {} : { replayed: true }) };
    const result = this.#decide(step);
    if (result.code === 'ok') this.keys[field] = { body: text, result: structuredClone(result) };
    return result;
  }

  #decide(step: Command): StepResult {
    if (step.do === 'create') return this.#create(step.plan);
    if (step.do === 'move') return this.#move(step.sale, step.move);
    return 'of' in step ? this.#finish(step) : this.#wait(step);
  }

  #create({ sale: id, opens, ends, perBuyer, units }: Plan): StepResult {
    if (this.sales[id]) return { code: 'already_exists' };
    const skus: Record<string, Sku> = {};
    for (const [sku, { quantity, price, perBuyer: most = Number.POSITIVE_INFINITY }] of Object.entries(units)) {
      const books = { allocated: quantity, available: quantity, held: 0, sold: 0, withdrawn: 0 };
      skus[sku] = { ...books, price, perBuyer: most };
    }
    const state = ({ draft: 'draft', later: 'scheduled', now: 'open' } as const)[opens];
    const moments = { opens: planned(opens === 'later'), closes: planned(ends && opens !== 'draft') };
    this.sales[id] = { state, ...moments, length: ends, perBuyer, skus, waitlist: [] };
    return this.#saleResult(id);
  }

  #move(id: string, move: SaleMove): StepResult {
    const sale = this.sales[id];
    if (!sale) return { code: 'sale_not_found' };
    const { from, to = sale.state } = MOVES[move.op];
    if (!from.includes(sale.state) || (move.op === 'extend' && sale.closes === 'never'))
      return { code: 'illegal_move' };
    if (move.op === 'schedule' || move.op === 'open') {
      sale.length ||= move.durationMs !== undefined;
      sale.closes = planned(sale.length);
      if (move.op === 'schedule') sale.opens = 'to come';
    }
    if (move.op === 'units') {
      const books = sale.skus[move.sku];
      if (!books) return { code: 'sku_not_found' };
      if (books.available + move.delta < 0) return { code: 'insufficient_units' };
      if (move.delta > 0) books.allocated += move.delta;
      else books.withdrawn -= move.delta;
      books.available += move.delta;
    }
    sale.state = to;
    if (move.op === 'cancel')
      for (const hold of Object.values(this.reservations))
        if (hold.sale === id && hold.state === 'held') this.#end(hold, 'released');
    return this.#saleResult(id, true);
  }

  #reserve({ user, key, sale: id, lines }: Ask): StepResult {
    const handle: Handle = `r:${user}:${key}`;
    const merged = mergedLines(lines);
    const known = this.reservations[handle];
    if (known) {
      if (known.sale !== id || JSON.stringify(known.lines) !== JSON.stringify(merged))
        return { code: 'idempotency_conflict' };
      return { ...this.#shown(handle, known, 'held'), replayed: true };
    }
    const sale = this.sales[id];
    if (!sale) return { code: 'sale_not_found' };
    if (sale.state !== 'open') return { code: codeOfClosed(sale.state) };
    if (merged.some(({ sku }) => !sale.skus[sku])) return { code: 'sku_not_found' };
    if (this.#overLimit(id, user, merged)) return { code: 'limit_exceeded' };
    if (merged.some(({ sku, qty }) => (sale.skus[sku]?.available ?? 0) < qty)) return { code: 'sold_out' };
    return this.#shown(handle, this.#hold(handle, id, user, merged), 'held');
  }

  #finish(step: Extract<Step, { do: 'confirm' | 'release' | 'extend' | 'refund' }>): StepResult {
    const r = this.reservations[step.of];
    const isForeign = step.do === 'release' && step.by !== null && step.by !== r?.user;
    if (!r || isForeign) return { code: 'reservation_not_found' };
    if (step.do === 'refund') return this.#refund(step, r);
    if (r.state !== 'held') return { code: `reservation_${r.state}` };
    if (step.do === 'extend') {
      if (r.lastsMs + step.byMs > LIMITS.holdMaxDefaultMs) return { code: 'limit_reached' };
      r.lastsMs += step.byMs;
    } else {
      if (step.do === 'confirm' && step.amount !== r.amount) return { code: 'amount_mismatch' };
      if (step.do === 'confirm' && this.#isTaken(step.orderRef)) return { code: 'order_ref_taken' };
      if (step.do === 'confirm') r.orderRef = step.orderRef;
      this.#end(r, step.do === 'confirm' ? 'confirmed' : 'released');
    }
    return this.#shown(step.of, r, r.state);
  }

  #refund({ of, restock }: Extract<Step, { do: 'refund' }>, order: Reservation): StepResult {
    if (order.state === 'refunded') return { code: 'reservation_refunded' };
    if (order.state !== 'confirmed') return { code: 'illegal_move' };
    order.state = 'refunded';
    for (const { sku, qty } of order.lines)
      shift(this.sales[order.sale]?.skus[sku], qty, 'sold', restock ? 'available' : 'withdrawn');
    return this.#shown(of, order, order.state);
  }

  #isTaken(orderRef: string): boolean {
    return Object.values(this.reservations).some((other) => other.orderRef === orderRef);
  }

  #wait({ do: what, user, key, sale: id, sku, qty }: Extract<Step, { do: 'join' | 'leave' }>): StepResult {
    const sale = this.sales[id];
    if (!sale) return { code: 'sale_not_found' };
    if (!sale.skus[sku]) return { code: 'sku_not_found' };
    const known = sale.waitlist.find((wait) => wait.user === user && wait.sku === sku);
    if (what === 'leave') {
      if (!known) return { code: 'not_waiting' };
      sale.waitlist.splice(sale.waitlist.indexOf(known), 1);
    } else {
      if (sale.state !== 'open' && sale.state !== 'paused') return { code: codeOfClosed(sale.state) };
      if (known) return { code: 'already_waiting' };
      if (this.#overLimit(id, user, [{ sku, qty }])) return { code: 'limit_exceeded' };
      if (sale.skus[sku].available >= qty) return { code: 'units_free' };
      sale.waitlist.push({ user, sku, qty, key });
    }
    const waiting = sale.waitlist.filter((wait) => wait.sku === sku).length;
    return { code: 'ok', replayed: false, place: what === 'join' ? waiting : 0, waiting };
  }

  /** Entries that want more than is free are passed over; those over the limit are removed. */
  #serveWaitlists(): void {
    for (const [id, sale] of Object.entries(this.sales)) {
      if (sale.state !== 'open') continue;
      sale.waitlist = sale.waitlist.filter(({ user, sku, qty, key }) => {
        if ((sale.skus[sku]?.available ?? 0) < qty) return true;
        if (!this.#overLimit(id, user, [{ sku, qty }])) this.#hold(`w:${user}:${key}`, id, user, [{ sku, qty }]);
        return false;
      });
    }
  }

  #hold(handle: Handle, id: string, user: string, lines: Item[]): Reservation {
    const sale = this.sales[id] as Sale;
    const amount = lines.reduce((sum, { sku, qty }) => sum + qty * (sale.skus[sku]?.price ?? 0), 0);
    for (const { sku, qty } of lines) shift(sale.skus[sku], qty, 'available', 'held');
    const made: Reservation = { sale: id, user, state: 'held', lines, amount, lastsMs: HOLD_MS, deadline: 'to come' };
    this.reservations[handle] = made;
    return made;
  }

  #end(hold: Reservation, state: 'confirmed' | 'released' | 'expired'): void {
    hold.state = state;
    for (const { sku, qty } of hold.lines)
      shift(this.sales[hold.sale]?.skus[sku], qty, 'held', state === 'confirmed' ? 'sold' : 'available');
  }

  /** Returns the units that a buyer holds and owns in a sale. */
  has(id: string, user: string, ofSku?: string): number {
    const mine = Object.values(this.reservations).filter((r) => r.sale === id && r.user === user && isLive(r));
    const items = mine.flatMap(({ lines }) => lines).filter(({ sku }) => ofSku === undefined || ofSku === sku);
    return unitsIn(items);
  }

  #overLimit(id: string, user: string, lines: readonly Item[]): boolean {
    const sale = this.sales[id] as Sale;
    if (this.has(id, user) + unitsIn(lines) > sale.perBuyer) return true;
    return lines.some(({ sku, qty }) => this.has(id, user, sku) + qty > (sale.skus[sku]?.perBuyer ?? 0));
  }

  books(id: string): Record<string, Books> {
    return Object.fromEntries(Object.entries(this.sales[id]?.skus ?? {}).map(([sku, books]) => [sku, unitsOf(books)]));
  }

  /** @param served whether the script serves the waitlist before it returns. */
  #saleResult(id: string, served = false): StepResult {
    if (served) this.#serveWaitlists();
    return { code: 'ok', sale: { state: this.sales[id]?.state ?? 'draft', books: this.books(id) } };
  }

  #shown(of: Handle, r: Reservation, state: Reservation['state']): StepResult {
    const order = r.orderRef !== undefined && state !== 'held' ? { orderRef: r.orderRef } : {};
    return { code: 'ok', replayed: false, reservation: { of, state, lines: r.lines, amount: r.amount, ...order } };
  }
}

/** Held or owned, and so counted for the limit of the buyer. */
export const isLive = ({ state }: Pick<Reservation, 'state'>): boolean => state === 'held' || state === 'confirmed';
const unitsIn = (lines: readonly Item[]): number => lines.reduce((sum, { qty }) => sum + qty, 0);

function shift(books: Books | undefined, qty: number, from: keyof Books, to: keyof Books): void {
  if (!books) return;
  books[from] -= qty;
  books[to] += qty;
}

function mergedLines(lines: readonly Item[]): Item[] {
  const sums = new Map<string, number>();
  for (const { sku, qty } of lines) sums.set(sku, (sums.get(sku) ?? 0) + qty);
  return [...sums].map(([sku, qty]) => ({ sku, qty })).sort((a, b) => (a.sku < b.sku ? -1 : 1));
}
