/**
 * Replays the waitlists from the ledger alone, and checks their order: a buyer joins at the end,
 * released units go to the first entry that they suffice, and no buyer from outside the waitlist
 * gets them first.
 */
import type { LedgerEntry, LedgerItem } from '../../src/domain/ledger.ts';

interface Entry {
  readonly user: string;
  readonly key: string;
  /** Id of the hold that the entry may become. */
  readonly offer: string;
  readonly qty: number;
}

export interface Waitlists {
  /** The entries left at the end, in order, by sale/sku. */
  readonly waiting: ReadonlyMap<string, readonly Entry[]>;
  /** All that ever joined, as `user key`. */
  readonly joined: ReadonlySet<string>;
  readonly offers: number;
  readonly violations: readonly string[];
}

/** Kinds of ledger entries that may free units. */
const FREEING = new Set(['alloc', 'release', 'expire', 'adjust']);

/** @param scripts what each script wrote, in order. */
export function checkWaitlist(scripts: ReadonlyArray<readonly LedgerEntry[]>): Waitlists {
  const replay = new WaitlistReplay();
  for (const entries of scripts) replay.script(entries);
  return replay;
}

class WaitlistReplay implements Waitlists {
  readonly waiting = new Map<string, Entry[]>();
  readonly joined = new Set<string>();
  readonly violations: string[] = [];
  offers = 0;
  /** Entries that left for an offer, until the same script makes its hold. */
  readonly #offered = new Map<string, Entry>();
  #freed = new Set<string>();
  #opened = new Set<string>();

  script(entries: readonly LedgerEntry[]): void {
    this.#freed = new Set();
    this.#opened = new Set();
    for (const entry of entries) this.#apply(entry);
    for (const [id, { user }] of this.#offered) this.#wrong(`${user} left for the offer ${id}, which was not made`);
    this.#offered.clear();
  }

  #wrong(text: string): void {
    this.violations.push(`waitlist: ${text}`);
  }

  #apply([kind, sale, id, user, actor, key, reason, lines]: LedgerEntry): void {
    if (kind === 'sale' && reason === 'open') this.#opened.add(sale);
    for (const line of lines || []) {
      const list = `${sale}/${line[0]}`;
      if (FREEING.has(kind)) this.#freed.add(list);
      if (kind === 'join') this.#join(list, { user: user || '', key, offer: id || '', qty: line[1] });
      if (kind === 'leave') this.#leave(list, user || '', reason);
      if (kind === 'hold' && actor === 'waitlist') this.#offer(sale, line, id || '', user || '');
      if (kind === 'hold' && actor !== 'waitlist') this.#hold(list, line, user || '');
    }
  }

  #entries(list: string): Entry[] {
    const entries = this.waiting.get(list) ?? [];
    this.waiting.set(list, entries);
    return entries;
  }

  #join(list: string, entry: Entry): void {
    this.#entries(list).push(entry);
    this.joined.add(`${entry.user} ${entry.key}`);
  }

  #leave(list: string, user: string, reason: string): void {
    const entries = this.#entries(list);
    const at = entries.findIndex((entry) => entry.user === user);
    const entry = entries[at];
    if (!entry) return this.#wrong(`${user} left ${list} without an entry`);
    if (reason === 'offer') this.#offered.set(entry.offer, entry);
    else entries.splice(at, 1);
  }

  #offer(sale: string, [sku, qty, free = 0]: LedgerItem, id: string, user: string): void {
    const list = `${sale}/${sku}`;
    const entries = this.#entries(list);
    const entry = this.#offered.get(id);
    this.#offered.delete(id);
    this.offers++;
    if (!entry || entry.user !== user || entry.qty !== qty)
      return this.#wrong(`${user} was offered ${qty} of ${list} as ${id}, and does not wait for that`);
    if (!this.#freed.has(list) && !this.#opened.has(sale))
      this.#wrong(`${user} was offered ${qty} of ${list}, and nothing had come free`);
    const at = entries.indexOf(entry);
    const passed = entries.slice(0, at).find((ahead) => ahead.qty <= free);
    if (passed)
      this.#wrong(
        `${user} was offered ${qty} of ${list} before ${passed.user}, for whom ${free} free units would have sufficed`,
      );
    entries.splice(at, 1);
  }

  #hold(list: string, [, , free = 0]: LedgerItem, user: string): void {
    const passed = this.#entries(list).find(({ qty }) => qty <= free);
    if (passed)
      this.#wrong(`${user} passed ${passed.user}, who waits for ${passed.qty} of ${list} while ${free} were free`);
  }
}
