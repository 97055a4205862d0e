/**
 * Replays a show's ledger from nothing and judges every entry against the promises: I1
 * conservation, I2 limits, I3 one end, and that each refusal was right when it was given. Pure:
 * entries in, verdict out. The entry's shape is written by `enter()` in
 * `src/redis/lua/lib/books.lua`.
 */
import type { SaleState } from '../protocol/messages.ts';
import type { SkuBooks } from './sale.ts';

/**
 * {sku, qty, available, held, sold, withdrawn before, the same four after}; refusals carry only
 * {sku, qty}.
 */
export type LedgerLine = [sku: string, qty: number, ...counts: number[]];
export type LedgerEntry = [
  kind:
    | 'alloc'
    | 'withdraw'
    | 'hold'
    | 'confirm'
    | 'release'
    | 'expire'
    | 'refuse'
    | 'sale'
    | 'adjust'
    | 'join'
    | 'leave'
    | 'prolong'
    | 'gate',
  sale: string,
  reservation: string | false,
  user: string | false,
  actor: string,
  key: string,
  reason: string,
  lines: LedgerLine[] | false | null,
  extra?: Record<string, unknown> | null,
];

interface ReplayedSale {
  state: SaleState;
  perBuyer: number;
  skus: Map<string, SkuBooks>;
  /** user -> units, and user/sku -> units: held and owned. */
  units: Map<string, number>;
  /** user/sku of everybody in line. */
  line: Set<string>;
}

interface ReplayedReservation {
  sale: string;
  user: string;
  state: 'held' | 'confirmed' | 'released' | 'expired';
  lines: Array<[sku: string, qty: number]>;
}

const COLUMNS = ['available', 'held', 'sold', 'withdrawn'] as const;
type Column = (typeof COLUMNS)[number];
const MOVES: Readonly<Record<string, readonly [from: Column, to: Column]>> = {
  withdraw: ['available', 'withdrawn'],
  hold: ['available', 'held'],
  confirm: ['held', 'sold'],
  release: ['held', 'available'],
  expire: ['held', 'available'],
};
const END_STATES = { confirm: 'confirmed', release: 'released', expire: 'expired' } as const;
const VIOLATIONS_MAX = 1000;

export class LedgerReplay {
  readonly sales = new Map<string, ReplayedSale>();
  readonly reservations = new Map<string, ReplayedReservation>();
  readonly violations: string[] = [];
  /** Sales whose ledger contradicts itself. */
  get suspects(): ReadonlySet<string> {
    return this.#damaged ? new Set(this.sales.keys()) : this.#suspects;
  }
  readonly #suspects = new Set<string>();
  #damaged = false;
  entries = 0;
  refusals = 0;
  /** Given by gateways from their view, as they reported them. */
  localRefusals = 0;
  #at = '';

  /** @param at where the entry stands, for messages. */
  apply(entry: LedgerEntry, at: string): void {
    this.entries++;
    this.#at = at;
    switch (entry[0]) {
      case 'sale':
        return this.#saleState(entry);
      case 'alloc':
        return this.#allocate(entry);
      case 'adjust':
        return this.#adjust(entry);
      case 'gate':
        this.localRefusals += Number(entry[8]?.count ?? 0);
        return;
      case 'join':
      case 'leave':
        return this.#line(entry);
      case 'prolong':
        if (this.reservations.get(entry[2] || '')?.state !== 'held')
          this.violate(`more time for reservation ${entry[2]}, which is not held`, entry[1]);
        return;
      case 'withdraw':
        return this.#move(entry);
      case 'hold':
        return this.#hold(entry);
      case 'confirm':
      case 'release':
      case 'expire':
        return this.#end(entry, END_STATES[entry[0]]);
      case 'refuse':
        return this.#refuse(entry);
      default:
        return this.violate(`unknown kind ${String(entry[0])}`);
    }
  }

  /** The entry at this place is damaged: from here on every sale is suspect. */
  cannotRead(at: string): void {
    this.#at = at;
    this.violate('the entry cannot be read');
    this.#damaged = true;
  }

  violate(what: string, saleId?: string): void {
    if (saleId !== undefined) this.#suspects.add(saleId);
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(this.#at ? `${this.#at}: ${what}` : what);
  }

  #sale(id: string): ReplayedSale | undefined {
    const sale = this.sales.get(id);
    if (!sale) this.violate(`entry of sale ${id}, which the ledger never created`);
    return sale;
  }

  #saleState([, id, , , , , reason]: LedgerEntry): void {
    const sale = this.#sale(id);
    if (!sale || reason === 'extended') return;
    if (sale.state === 'ended' || sale.state === 'cancelled')
      this.violate(`sale ${id} was ${sale.state} and became ${reason}`);
    sale.state = reason as SaleState;
  }

  #allocate([, id, , , , , reason, lines, extra]: LedgerEntry): void {
    if (reason === 'created') {
      if (this.sales.has(id)) return this.violate(`sale ${id} created twice`);
      const made: ReplayedSale = {
        state: (extra?.state ?? 'draft') as SaleState,
        perBuyer: Number(extra?.perBuyer),
        skus: new Map(),
        units: new Map(),
        line: new Set(),
      };
      for (const [sku, product, price, , perBuyer] of (extra?.skus ?? []) as Array<
        [string, string, number, number, number]
      >) {
        made.skus.set(sku, {
          sku,
          product,
          price,
          ...(perBuyer > 0 ? { perBuyer } : {}),
          allocated: 0,
          available: 0,
          held: 0,
          sold: 0,
          withdrawn: 0,
        });
      }
      this.sales.set(id, made);
    }
    const sale = this.#sale(id);
    for (const line of lines || []) {
      const books = this.#before(sale, id, line);
      if (!books) continue;
      books.allocated += line[1];
      books.available += line[1];
      this.#after(books, id, line);
    }
  }

  #hold(entry: LedgerEntry): void {
    const [, id, reservation, user, , , , lines] = entry;
    const sale = this.#sale(id);
    if (!sale || !reservation || !user) return;
    if (sale.state !== 'open') this.violate(`hold ${reservation} in sale ${id}, which is ${sale.state}`, id);
    if (this.reservations.has(reservation)) this.violate(`reservation ${reservation} made twice (I4)`, id);
    const held = (lines || []).map(([sku, qty]): [string, number] => [sku, qty]);
    this.reservations.set(reservation, { sale: id, user, state: 'held', lines: held });
    this.#move(entry);
    this.#count(sale, user, held, 1);
    if (this.#units(sale, user) > sale.perBuyer)
      this.violate(`buyer ${user} has ${this.#units(sale, user)} units in sale ${id}, limit ${sale.perBuyer} (I2)`, id);
    for (const [sku] of held) {
      const most = sale.skus.get(sku)?.perBuyer;
      if (most !== undefined && this.#units(sale, `${user}/${sku}`) > most)
        this.violate(
          `buyer ${user} has ${this.#units(sale, `${user}/${sku}`)} of ${sku} in sale ${id}, limit ${most} (I2)`,
          id,
        );
    }
  }

  #line([kind, id, , user, , , , lines]: LedgerEntry): void {
    const sale = this.#sale(id);
    const who = `${user}/${lines ? lines[0]?.[0] : ''}`;
    if (!sale) return;
    if ((kind === 'join') === sale.line.has(who))
      this.violate(
        `${kind} of ${who} in sale ${id}, who was ${kind === 'join' ? 'in line already' : 'not in line'}`,
        id,
      );
    if (kind === 'join') sale.line.add(who);
    else sale.line.delete(who);
  }

  /** A repair: the books before it had drifted, the books after it are the ledger's again. */
  #adjust([, id, , , , , , lines]: LedgerEntry): void {
    const sale = this.#sale(id);
    for (const line of lines || []) {
      const books = sale?.skus.get(line[0]);
      if (books) this.#after(books, id, line);
    }
  }

  #end(entry: LedgerEntry, state: ReplayedReservation['state']): void {
    const [kind, id, reservation, user, , , , lines] = entry;
    const sale = this.#sale(id);
    if (!sale || !reservation) return;
    const known = this.reservations.get(reservation);
    if (!known) return this.violate(`${kind} of reservation ${reservation}, which was never held`, id);
    if (known.state !== 'held')
      this.violate(`${kind} of reservation ${reservation}, which was ${known.state} (I3)`, id);
    if (known.user !== user || known.sale !== id)
      this.violate(`${kind} of reservation ${reservation} names another buyer or sale`);
    const ended = (lines || []).map(([sku, qty]) => `${sku}x${qty}`).join();
    if (ended !== known.lines.map(([sku, qty]) => `${sku}x${qty}`).join())
      this.violate(`${kind} of reservation ${reservation} moves other units than were held`, id);
    known.state = state;
    this.#move(entry);
    if (state !== 'confirmed') this.#count(sale, known.user, known.lines, -1);
  }

  #move([kind, id, , , , , , lines]: LedgerEntry): void {
    const columns = MOVES[kind];
    const sale = this.#sale(id);
    if (!columns || !sale) return;
    for (const line of lines || []) {
      const books = this.#before(sale, id, line);
      if (!books) continue;
      books[columns[0]] -= line[1];
      books[columns[1]] += line[1];
      this.#after(books, id, line);
    }
  }

  #before(sale: ReplayedSale | undefined, id: string, line: LedgerLine): SkuBooks | undefined {
    const books = sale?.skus.get(line[0]);
    if (!books) this.violate(`sale ${id} has no SKU ${line[0]}`);
    else if (COLUMNS.some((column, i) => books[column] !== line[2 + i]))
      this.violate(
        `sale ${id}, ${line[0]}: the books before the entry are ${line.slice(2, 6)}, replayed ${COLUMNS.map((column) => books[column])}`,
        id,
      );
    return books;
  }

  #after(books: SkuBooks, id: string, line: LedgerLine): void {
    if (COLUMNS.some((column, i) => books[column] !== line[6 + i]))
      this.violate(
        `sale ${id}, ${line[0]}: the books after the entry are ${line.slice(6, 10)}, replayed ${COLUMNS.map((column) => books[column])}`,
        id,
      );
    for (const problem of conservation(id, books)) this.violate(problem, id);
  }

  /** Judges a refusal by the replayed state at the moment it was given. */
  #refuse([, id, reservation, user, , , code, lines, details]: LedgerEntry): void {
    this.refusals++;
    const sale = this.sales.get(id);
    const buyer = user || '';
    const wanted = (lines || []) as Array<[string, number]>;
    const wrong = (): void =>
      this.violate(`refusal ${code} of ${buyer} in sale ${id} was not justified (${JSON.stringify(details)})`);
    switch (code) {
      case 'sold_out':
        // Units that came back are promised to the line, in slices: a newcomer may not pass it.
        if (
          !wanted.some(
            ([sku, qty]) =>
              (sale?.skus.get(sku)?.available ?? 0) < qty || (details?.promised !== undefined && hasLine(sale, sku)),
          )
        )
          wrong();
        return;
      case 'limit_exceeded': {
        const units = wanted.reduce((sum, [, qty]) => sum + qty, 0);
        const over = sale !== undefined && this.#units(sale, buyer) + units > sale.perBuyer;
        const overSku = wanted.some(
          ([sku, qty]) =>
            sale !== undefined &&
            this.#units(sale, `${buyer}/${sku}`) + qty > (sale.skus.get(sku)?.perBuyer ?? Number.POSITIVE_INFINITY),
        );
        if (!over && !overSku) wrong();
        return;
      }
      case 'sale_not_open':
        if (sale?.state !== 'draft' && sale?.state !== 'scheduled') wrong();
        return;
      case 'sale_paused':
      case 'sale_ended':
      case 'sale_cancelled':
        if (`sale_${sale?.state}` !== code && details?.recovering !== true) wrong();
        return;
      case 'sale_not_found':
        if (sale) wrong();
        return;
      case 'sku_not_found':
        if (wanted.every(([sku]) => sale?.skus.has(sku))) wrong();
        return;
      case 'idempotency_conflict':
        if (!reservation || !this.reservations.has(reservation)) wrong();
        return;
      default:
    }
  }

  #units(sale: ReplayedSale, who: string): number {
    return sale.units.get(who) ?? 0;
  }

  #count(sale: ReplayedSale, user: string, lines: ReadonlyArray<readonly [string, number]>, sign: 1 | -1): void {
    for (const [sku, qty] of lines) {
      for (const who of [user, `${user}/${sku}`]) sale.units.set(who, this.#units(sale, who) + sign * qty);
    }
  }
}

const hasLine = (sale: ReplayedSale | undefined, sku: string): boolean =>
  sale !== undefined && [...sale.line].some((who) => who.endsWith(`/${sku}`));

/** I1 for one SKU: available + held + sold + withdrawn = allocated, each at least 0. */
export function conservation(saleId: string, books: SkuBooks): string[] {
  const { sku, allocated, available, held, sold, withdrawn } = books;
  const problems: string[] = [];
  if (available + held + sold + withdrawn !== allocated)
    problems.push(
      `sale ${saleId}, ${sku}: ${available} available + ${held} held + ${sold} sold + ${withdrawn} withdrawn is not ${allocated} allocated (I1)`,
    );
  for (const [column, value] of Object.entries({ available, held, sold, withdrawn }))
    if (value < 0) problems.push(`sale ${saleId}, ${sku}: ${column} is ${value} (I1)`);
  return problems;
}

const BOOK_COLUMNS = ['allocated', ...COLUMNS] as const;

/** Do the live books of a SKU differ from what the ledger adds up to? */
export function drift(replay: LedgerReplay, saleId: string, books: SkuBooks): boolean {
  const replayed = replay.sales.get(saleId)?.skus.get(books.sku);
  return !replayed || BOOK_COLUMNS.some((column) => replayed[column] !== books[column]);
}

/** The live books against the replayed ones, at the same position of the ledger. */
export function compareBooks(
  replay: LedgerReplay,
  live: ReadonlyArray<{ id: string; skus: readonly SkuBooks[] }>,
): string[] {
  const problems: string[] = [];
  for (const { id, skus } of live) {
    for (const books of skus) {
      problems.push(...conservation(id, books));
      if (!drift(replay, id, books)) continue;
      const replayed = replay.sales.get(id)?.skus.get(books.sku);
      const listed = (of: SkuBooks): string => BOOK_COLUMNS.map((column) => `${column} ${of[column]}`).join(', ');
      problems.push(
        `sale ${id}, ${books.sku}: the live books (${listed(books)}) differ from the ledger (${replayed ? listed(replayed) : 'nothing'})`,
      );
    }
  }
  for (const id of replay.sales.keys())
    if (!live.some((sale) => sale.id === id)) problems.push(`sale ${id} is in the ledger but not in the books`);
  return problems;
}
