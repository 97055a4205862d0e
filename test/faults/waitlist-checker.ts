/**
 * The lines for sold-out SKUs, told again from the ledger alone: who joined stands behind who was
 * there, units that come free go to the first in line whom they suffice, and nobody who never stood
 * in line passes those who do.
 */
import type { LedgerEntry, LedgerItem } from '../../src/domain/ledger.ts';

interface Waiting {
  readonly user: string;
  readonly key: string;
  /** Of the hold that the place may become. */
  readonly offer: string;
  readonly qty: number;
}

export interface Lines {
  /** sale/sku -> who stands there in the end, first to last. */
  readonly standing: ReadonlyMap<string, readonly Waiting[]>;
  /** Users and keys of everybody who ever joined: `user key`. */
  readonly joined: ReadonlySet<string>;
  readonly offers: number;
  readonly violations: readonly string[];
}

/** Kinds of entries after which units may be free. */
const FREEING = new Set(['alloc', 'release', 'expire', 'adjust']);

/** @param scripts what each script wrote, in order. */
export function checkWaitlist(scripts: ReadonlyArray<readonly LedgerEntry[]>): Lines {
  const replay = new LineReplay();
  for (const entries of scripts) replay.script(entries);
  return replay;
}

class LineReplay implements Lines {
  readonly standing = new Map<string, Waiting[]>();
  readonly joined = new Set<string>();
  readonly violations: string[] = [];
  offers = 0;
  /** Offer -> the place it was made of, until the hold is made in the same script. */
  readonly #offered = new Map<string, Waiting>();
  #freed = new Set<string>();
  #opened = new Set<string>();

  script(entries: readonly LedgerEntry[]): void {
    this.#freed = new Set();
    this.#opened = new Set();
    for (const entry of entries) this.#see(entry);
    for (const [id, { user }] of this.#offered)
      this.violations.push(`line: ${user} left for the offer ${id}, which was not made`);
    this.#offered.clear();
  }

  #see([kind, sale, id, user, actor, key, reason, lines]: LedgerEntry): void {
    if (kind === 'sale' && reason === 'open') this.#opened.add(sale);
    for (const line of lines || []) {
      const place = `${sale}/${line[0]}`;
      if (FREEING.has(kind)) this.#freed.add(place);
      if (kind === 'join') this.#join(place, { user: user || '', key, offer: id || '', qty: line[1] });
      if (kind === 'leave') this.#leave(place, user || '', reason);
      if (kind === 'hold' && actor === 'waitlist') this.#offer(sale, line, id || '', user || '');
      if (kind === 'hold' && actor !== 'waitlist') this.#newcomer(place, line, user || '');
    }
  }

  #at(place: string): Waiting[] {
    const line = this.standing.get(place) ?? [];
    this.standing.set(place, line);
    return line;
  }

  #join(place: string, waiting: Waiting): void {
    this.#at(place).push(waiting);
    this.joined.add(`${waiting.user} ${waiting.key}`);
  }

  #leave(place: string, user: string, reason: string): void {
    const line = this.#at(place);
    const at = line.findIndex((waiting) => waiting.user === user);
    const waiting = line[at];
    if (!waiting) return void this.violations.push(`line: ${user} left ${place} without standing there`);
    if (reason === 'offer') this.#offered.set(waiting.offer, waiting);
    else line.splice(at, 1);
  }

  #offer(sale: string, [sku, qty, free = 0]: LedgerItem, id: string, user: string): void {
    const place = `${sale}/${sku}`;
    const line = this.#at(place);
    const waiting = this.#offered.get(id);
    this.#offered.delete(id);
    this.offers++;
    if (!waiting || waiting.user !== user || waiting.qty !== qty)
      return void this.violations.push(
        `line: ${user} was offered ${qty} of ${place} as ${id}, and does not wait for that`,
      );
    if (!this.#freed.has(place) && !this.#opened.has(sale))
      this.violations.push(`line: ${user} was offered ${qty} of ${place}, and nothing had come free`);
    const at = line.indexOf(waiting);
    const passed = line.slice(0, at).find((ahead) => ahead.qty <= free);
    if (passed)
      this.violations.push(
        `line: ${user} was offered ${qty} of ${place} before ${passed.user}, whom ${free} free units would have sufficed`,
      );
    line.splice(at, 1);
  }

  #newcomer(place: string, [, , free = 0]: LedgerItem, user: string): void {
    const passed = this.#at(place).find(({ qty }) => qty <= free);
    if (passed)
      this.violations.push(
        `line: ${user} passed ${passed.user}, who waits for ${passed.qty} of ${place} while ${free} were free`,
      );
  }
}
