/**
 * Replays a show's ledger from the first entry and checks each one against the promises I1 to I3,
 * and whether each refusal was justified. Pure: entries in, violations out. The format is
 * that of `src/redis/lua/lib/ledger.lua`.
 */
import type { ReservationState, SaleState } from '../protocol/messages.ts';
import { emptyBooks, type SkuBooks } from './sale.ts';

/** sku, qty, and available, held, sold, withdrawn before and after. Refusals: only sku and qty. */
export type LedgerItem = [sku: string, qty: number, ...counts: number[]];
export type LedgerKind =
  | ('alloc' | 'withdraw' | 'adjust')
  | ('hold' | 'confirm' | 'release' | 'expire' | 'refund' | 'prolong' | 'refuse')
  | ('sale' | 'join' | 'leave' | 'gate');
export type LedgerEntry = [
  kind: LedgerKind,
  sale: string,
  reservation: string | false,
  user: string | false,
  actor: string,
  key: string,
  reason: string,
  items: LedgerItem[] | false | null,
  extra?: Record<string, unknown> | null,
];

/** A refused request in full (`src/redis/lua/lib/refusals.lua`). */
type RefusalSample = [
  reservation: string,
  user: string,
  sale: string,
  items: LedgerItem[],
  key: string,
  details?: Record<string, unknown> | null,
];

interface ReplayedSale {
  readonly id: string;
  state: SaleState;
  readonly perBuyer: number;
  readonly skus: Map<string, SkuBooks>;
  /** user -> units: held and owned. For SKUs with a limit also user/sku -> units. */
  readonly units: Map<string, number>;
  /** user/sku of all waitlist entries. */
  readonly waitlist: Set<string>;
}

interface ReplayedReservation {
  readonly sale: string;
  readonly user: string;
  state: ReservationState;
  readonly items: readonly LedgerItem[];
}

const COLUMNS = ['available', 'held', 'sold', 'withdrawn'] as const;
const BOOK_COLUMNS = ['allocated', ...COLUMNS] as const;
type Column = (typeof COLUMNS)[number];
type End = 'confirm' | 'release' | 'expire' | 'refund';
type Move = 'withdraw' | 'hold' | End | 'refund withdrawn';
const MOVES: Readonly<Record<Move, readonly [from: Column, to: Column]>> = {
  withdraw: ['available', 'withdrawn'],
  hold: ['available', 'held'],
  confirm: ['held', 'sold'],
  release: ['held', 'available'],
  expire: ['held', 'available'],
  refund: ['sold', 'available'],
  'refund withdrawn': ['sold', 'withdrawn'],
};
/** The state of a reservation before and after an entry. */
const ENDS: Readonly<Record<End, readonly [before: ReservationState, after: ReservationState]>> = {
  ...{ confirm: ['held', 'confirmed'], release: ['held', 'released'], expire: ['held', 'expired'] },
  refund: ['confirmed', 'refunded'],
};
const VIOLATIONS_MAX = 1000;
/** Adds the SKUs of an entry to the books of its sale. */
function listSkus(books: Map<string, SkuBooks>, extra: LedgerEntry[8]): Map<string, SkuBooks> {
  for (const [sku, product, price, , limit] of (extra?.['skus'] ?? []) as Array<[string, string, ...number[]]>)
    books.set(sku, emptyBooks(sku, product, price, limit));
  return books;
}
const NO_PROBLEMS: readonly string[] = [];
const isSameItems = (a: readonly LedgerItem[], b: readonly LedgerItem[]): boolean =>
  a.length === b.length && a.every(([sku, qty], i) => sku === b[i]?.[0] && qty === b[i]?.[1]);

export class LedgerReplay {
  readonly sales = new Map<string, ReplayedSale>();
  readonly reservations = new Map<string, ReplayedReservation>();
  readonly violations: string[] = [];
  entries = 0;
  /** Refusals by Redis. Those that the ledger has in full are checked. */
  refusals = 0;
  /** Local refusals of gateways, as reported by them. */
  localRefusals = 0;
  readonly #suspects = new Set<string>();
  #isDamaged = false;
  #at = '';

  /** Sales whose ledger contradicts itself, or whose records cannot be read. */
  get suspects(): ReadonlySet<string> {
    return this.#isDamaged ? new Set(this.sales.keys()) : this.#suspects;
  }

  /** @param at the position of the entry, for messages. */
  apply(entry: LedgerEntry, at: string): void {
    this.entries++;
    this.#at = at;
    const [kind, id, reservation, user, , , reason, items, extra] = entry;
    if (kind === 'refuse') return this.#refuse(entry);
    if (kind === 'gate') {
      if (extra?.samples !== undefined) return this.#refused(entry);
      this.localRefusals += Number(extra?.count ?? 0);
      return;
    }
    if (kind === 'alloc' && reason === 'created' && !this.#createSale(id, extra ?? {})) return;
    const sale = this.sales.get(id);
    if (!sale) return this.violate(`entry of sale ${id}, which the ledger never created`);
    switch (kind) {
      case 'sale':
        return this.#changeState(sale, reason);
      case 'alloc':
        if (reason === 'listed') listSkus(sale.skus, extra);
        return this.#change(sale, items, (books, qty) => {
          books.allocated += qty;
          books.available += qty;
        });
      case 'adjust':
        // A repair: the books before it had drifted, the books after it are the ledger's again.
        for (const item of items || []) {
          const books = sale.skus.get(item[0]);
          if (books) this.#checkAfter(sale, books, item);
        }
        return;
      case 'join':
      case 'leave':
        return this.#changeWaitlist(sale, kind, `${user}/${items ? items[0]?.[0] : ''}`);
      case 'prolong':
        if (this.reservations.get(reservation || '')?.state !== 'held')
          this.violate(`extension of reservation ${reservation}, which is not held`, id);
        return;
      case 'withdraw':
        this.#move(sale, kind, items);
        if (reason === 'removed') for (const [sku] of items || []) sale.skus.delete(sku);
        return;
      case 'hold':
        if (reservation && user) this.#hold(sale, reservation, user, items || []);
        return;
      case 'confirm':
      case 'release':
      case 'expire':
      case 'refund':
        if (reservation) this.#end(sale, kind, reservation, entry);
        return;
      default:
        this.violate(`unknown kind ${String(kind satisfies never)}`);
    }
  }

  /** The entry at this position cannot be read: all sales are suspect. */
  cannotRead(at: string): void {
    this.#at = at;
    this.violate('the entry cannot be read');
    this.#isDamaged = true;
  }

  /** The sale cannot be trusted. */
  suspect(saleId: string): void {
    this.#suspects.add(saleId);
  }

  violate(what: string, saleId?: string): void {
    if (saleId !== undefined) this.suspect(saleId);
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(this.#at ? `${this.#at}: ${what}` : what);
  }

  #createSale(id: string, extra: Record<string, unknown>): boolean {
    if (this.sales.has(id)) {
      this.violate(`sale ${id} created twice`);
      return false;
    }
    this.sales.set(id, {
      id,
      state: (extra['state'] ?? 'draft') as SaleState,
      perBuyer: Number(extra['perBuyer']),
      skus: listSkus(new Map(), extra),
      units: new Map(),
      waitlist: new Set(),
    });
    return true;
  }

  #changeState(sale: ReplayedSale, state: string): void {
    if (state === 'extended') return;
    if (sale.state === 'ended' || sale.state === 'cancelled')
      this.violate(`sale ${sale.id} was ${sale.state} and became ${state}`);
    sale.state = state as SaleState;
  }

  #changeWaitlist({ id, waitlist }: ReplayedSale, kind: 'join' | 'leave', entry: string): void {
    if (kind === 'join' && waitlist.has(entry)) this.violate(`join of ${entry} in sale ${id}: already waits`, id);
    if (kind === 'leave' && !waitlist.has(entry)) this.violate(`leave of ${entry} in sale ${id}: does not wait`, id);
    if (kind === 'join') waitlist.add(entry);
    else waitlist.delete(entry);
  }

  #hold(sale: ReplayedSale, reservation: string, user: string, items: readonly LedgerItem[]): void {
    const { id, state, perBuyer, skus } = sale;
    if (state !== 'open') this.violate(`hold ${reservation} in sale ${id}, which is ${state}`, id);
    if (this.reservations.has(reservation)) this.violate(`reservation ${reservation} made twice (I4)`, id);
    this.reservations.set(reservation, { sale: id, user, state: 'held', items: items.map(([sku, qty]) => [sku, qty]) });
    this.#move(sale, 'hold', items);
    const checkLimit = (units: number, limit: number, of: string): void => {
      if (units > limit) this.violate(`buyer ${user} has ${units} ${of} in sale ${id}, limit ${limit} (I2)`, id);
    };
    checkLimit(addUnits(sale, user, items, 1), perBuyer, 'units');
    for (const [sku] of items) {
      const limit = skus.get(sku)?.perBuyer;
      if (limit !== undefined) checkLimit(unitsOf(sale, `${user}/${sku}`), limit, `of ${sku}`);
    }
  }

  #end(sale: ReplayedSale, kind: End, reservation: string, entry: LedgerEntry): void {
    const [, , , user, , , reason, items] = entry;
    const [before, after] = ENDS[kind];
    const known = this.reservations.get(reservation);
    const what = `${kind} of reservation ${reservation}`;
    if (!known) return this.violate(`${what}, which was never held`, sale.id);
    if (known.state !== before) this.violate(`${what}, which was ${known.state} (I3)`, sale.id);
    if (known.user !== user || known.sale !== sale.id) this.violate(`${what} names another buyer or sale`);
    if (!isSameItems(items || [], known.items)) this.violate(`${what} moves other units than were held`, sale.id);
    known.state = after;
    this.#move(sale, kind === 'refund' && reason === 'withdrawn' ? 'refund withdrawn' : kind, items);
    if (kind !== 'confirm') addUnits(sale, known.user, known.items, -1);
  }

  #move(sale: ReplayedSale, kind: Move, items: LedgerEntry[7] | readonly LedgerItem[]): void {
    const [from, to] = MOVES[kind];
    this.#change(sale, items, (books, qty) => {
      books[from] -= qty;
      books[to] += qty;
    });
  }

  /** Changes the books of each item. Compares them with the entry before and after. */
  #change(
    sale: ReplayedSale,
    items: LedgerEntry[7] | readonly LedgerItem[],
    change: (books: SkuBooks, qty: number) => void,
  ): void {
    for (const item of items || []) {
      const [sku, qty] = item;
      const books = sale.skus.get(sku);
      if (!books) {
        this.violate(`sale ${sale.id} has no SKU ${sku}`);
        continue;
      }
      this.#compare(sale, books, 'before', item, 2);
      change(books, qty);
      this.#checkAfter(sale, books, item);
    }
  }

  #checkAfter(sale: ReplayedSale, books: SkuBooks, item: LedgerItem): void {
    this.#compare(sale, books, 'after', item, 6);
    for (const problem of conservation(sale.id, books)) this.violate(problem, sale.id);
  }

  /** The counts of the entry begin at `from`. */
  #compare({ id }: ReplayedSale, books: SkuBooks, when: 'before' | 'after', item: LedgerItem, from: number): void {
    if (COLUMNS.every((column, i) => books[column] === item[from + i])) return;
    const [counts, replayed] = [item.slice(from, from + COLUMNS.length), COLUMNS.map((column) => books[column])];
    this.violate(`sale ${id}, ${books.sku}: the books ${when} the entry are ${counts}, replayed ${replayed}`, id);
  }

  /** Counts the refusals of one call with one code, and checks those that are there in full. */
  #refused([, id, , , actor, , code, , extra]: LedgerEntry): void {
    const count = Number(extra?.count);
    // Lua packs an empty list like an empty map.
    const samples = Array.isArray(extra?.samples) ? (extra.samples as RefusalSample[]) : [];
    if (!(count >= Math.max(1, samples.length))) this.violate(`${samples.length} of ${count} refusals are in full`);
    this.refusals += Math.max(0, (count || 0) - samples.length);
    for (const [reservation, user, sale, items, key, details] of samples) {
      if (id !== '' && sale !== id) this.violate(`a refusal in sale ${sale} is counted for sale ${id}`);
      this.#refuse(['refuse', sale, reservation, user, actor, key, code, items, details ?? null]);
    }
  }

  /** Checks a refusal against the replayed state. Earlier releases wrote one entry for each. */
  #refuse([, id, reservation, user, , , code, items, details]: LedgerEntry): void {
    this.refusals++;
    if (
      !isJustified(
        this.sales.get(id),
        user || '',
        items || [],
        code,
        details ?? {},
        this.reservations.has(reservation || ''),
      )
    )
      this.violate(`refusal ${code} of ${user || ''} in sale ${id} was not justified (${JSON.stringify(details)})`);
  }
}

/** Returns the units of the buyer. */
function addUnits(sale: ReplayedSale, user: string, items: readonly LedgerItem[], sign: 1 | -1): number {
  let units = unitsOf(sale, user);
  for (const [sku, qty] of items) {
    units += sign * qty;
    const own = `${user}/${sku}`;
    if (sale.skus.get(sku)?.perBuyer !== undefined) sale.units.set(own, unitsOf(sale, own) + sign * qty);
  }
  sale.units.set(user, units);
  return units;
}

const unitsOf = (sale: ReplayedSale, owner: string): number => sale.units.get(owner) ?? 0;

function isJustified(
  sale: ReplayedSale | undefined,
  user: string,
  wanted: readonly LedgerItem[],
  code: string,
  details: Record<string, unknown>,
  isKnownReservation: boolean,
): boolean {
  switch (code) {
    case 'sold_out':
      // Freed units are promised to the waitlist, in slices: other buyers may not pass it.
      return wanted.some(([sku, qty]) => {
        const isPromised = details['promised'] !== undefined && sale !== undefined && isWaitedFor(sale, sku);
        return isPromised || (sale?.skus.get(sku)?.available ?? 0) < qty;
      });
    case 'limit_exceeded': {
      if (!sale) return false;
      const units = wanted.reduce((sum, [, qty]) => sum + qty, 0);
      if (unitsOf(sale, user) + units > sale.perBuyer) return true;
      return wanted.some(([sku, qty]) => {
        const limit = sale.skus.get(sku)?.perBuyer;
        return limit !== undefined && unitsOf(sale, `${user}/${sku}`) + qty > limit;
      });
    }
    case 'sale_not_open':
      return sale?.state === 'draft' || sale?.state === 'scheduled';
    case 'sale_paused':
    case 'sale_ended':
    case 'sale_cancelled':
      return `sale_${sale?.state}` === code || details['recovering'] === true;
    case 'sale_not_found':
      return !sale;
    case 'sku_not_found':
      return wanted.some(([sku]) => !sale?.skus.has(sku));
    case 'idempotency_conflict':
      return isKnownReservation;
    default:
      return true;
  }
}

const isWaitedFor = (sale: ReplayedSale, sku: string): boolean =>
  [...sale.waitlist].some((entry) => entry.endsWith(`/${sku}`));

/** Checks I1 for one SKU: available + held + sold + withdrawn = allocated, each at least 0. */
export function conservation(saleId: string, books: SkuBooks): readonly string[] {
  const { sku, allocated, available, held, sold, withdrawn } = books;
  const isConserved = available + held + sold + withdrawn === allocated;
  if (isConserved && COLUMNS.every((column) => books[column] >= 0)) return NO_PROBLEMS;
  const problems = COLUMNS.filter((column) => books[column] < 0).map(
    (column) => `sale ${saleId}, ${sku}: ${column} is ${books[column]} (I1)`,
  );
  const sum = `${available} available + ${held} held + ${sold} sold + ${withdrawn} withdrawn`;
  if (!isConserved) problems.push(`sale ${saleId}, ${sku}: ${sum} is not ${allocated} allocated (I1)`);
  return problems;
}

/** Returns true if the live books of a SKU differ from the sum of the ledger. */
export function drift(replay: LedgerReplay, saleId: string, books: SkuBooks): boolean {
  const replayed = replay.sales.get(saleId)?.skus.get(books.sku);
  return !replayed || BOOK_COLUMNS.some((column) => replayed[column] !== books[column]);
}

/** Compares the live books with the replayed ones, at the same position of the ledger. */
export function compareBooks(
  replay: LedgerReplay,
  live: ReadonlyArray<{ id: string; skus: readonly SkuBooks[] }>,
): string[] {
  const problems: string[] = [];
  const list = (books: SkuBooks): string => BOOK_COLUMNS.map((column) => `${column} ${books[column]}`).join(', ');
  for (const { id, skus } of live) {
    for (const books of skus) {
      problems.push(...conservation(id, books));
      if (!drift(replay, id, books)) continue;
      const replayed = replay.sales.get(id)?.skus.get(books.sku);
      const ledger = replayed ? list(replayed) : 'nothing';
      problems.push(`sale ${id}, ${books.sku}: the live books (${list(books)}) differ from the ledger (${ledger})`);
    }
  }
  for (const id of replay.sales.keys())
    if (!live.some((sale) => sale.id === id)) problems.push(`sale ${id} is in the ledger but not in the books`);
  return problems;
}
