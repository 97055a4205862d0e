/**
 * Judges what concurrent clients saw, in one pass over their history and one look at the final
 * books. It knows nothing of how the engine works: a request that was answered with "accepted"
 * counts from its answer on, one whose end was asked for may have ended from the asking on. What
 * remains is certain, and what is certain must never be more than there is.
 */
import type { Item } from '../../src/protocol/messages.ts';

export type Operation =
  | { do: 'reserve'; user: string; key: string; sale: string; lines: readonly Item[] }
  | { do: 'confirm' | 'release'; reservation: string; key: string }
  /** Its deadline was made to come. */
  | { do: 'lapse'; reservation: string }
  | { do: 'units'; sale: string; sku: string; delta: number };

export type Outcome =
  | { type: 'ok'; reservation?: string; replayed?: boolean }
  /** A definite refusal: nothing changed. */
  | { type: 'fail'; code: string }
  /** The answer was lost: it may have happened, or may happen yet. */
  | { type: 'unknown' };

export type Entry = { id: number; invoke: Operation } | { id: number; done: Outcome };

export interface Rules {
  /** sale -> SKU -> units at the beginning. */
  allocated: Readonly<Record<string, Readonly<Record<string, number>>>>;
  perBuyer: Readonly<Record<string, number>>;
}

/** The last look, when everybody is done. */
export interface FinalState {
  /**
   * `offer`: made for somebody in line, whom nobody answered with it; it counts, and whether it was
   * due is not judged here.
   */
  reservations: ReadonlyMap<
    string,
    { user: string; sale: string; lines: readonly Item[]; state: string; offer?: boolean }
  >;
}

export type ViolationKind = 'oversell' | 'limit' | 'double end' | 'lost accept' | 'unasked' | 'key';
export interface Violation {
  kind: ViolationKind;
  text: string;
}

interface Hold {
  user: string;
  sale: string;
  lines: readonly Item[];
  /** Ends that were asked for and not yet refused. */
  ending: number;
  /** The end somebody was told of. */
  end?: string;
}

const ENDED_AS: Readonly<Record<string, string>> = {
  reservation_confirmed: 'confirmed',
  reservation_released: 'released',
  reservation_expired: 'expired',
};
const END_OF = { confirm: 'confirmed', release: 'released' } as const;

/** Writes a history down as it happens. */
export class HistoryRecorder {
  readonly entries: Entry[] = [];
  #next = 0;

  async record<T>(operation: Operation, run: () => Promise<T>, judge: (answer: T) => Outcome): Promise<T> {
    const id = this.#next++;
    this.entries.push({ id, invoke: operation });
    const answer = await run();
    this.entries.push({ id, done: judge(answer) });
    return answer;
  }
}

export function checkHistory(history: readonly Entry[], rules: Rules, final: FinalState): Violation[] {
  const checker = new Checker(rules);
  for (const entry of history) checker.see(entry);
  return checker.finish(final);
}

class Checker {
  readonly #violations: Violation[] = [];
  readonly #open = new Map<number, Operation>();
  readonly #holds = new Map<string, Hold>();
  /** user and key -> the reservation it was told. */
  readonly #byKey = new Map<string, string>();
  /** user and key of reserves that were asked for, and whether one of them may have happened. */
  readonly #asked = new Map<string, { lines: readonly Item[]; sale: string; maybe: boolean }>();
  /** Ends that were granted, by reservation, with the key that asked. */
  readonly #granted = new Map<string, string>();
  /** Commands that were decided, not repeated: each at most once. */
  readonly #fresh = new Set<string>();
  /** Ends asked for before the hold's own answer arrived. */
  readonly #early = new Map<string, number>();
  readonly #certain = new Map<string, number>();
  readonly #most = new Map<string, number>();
  readonly #rules: Rules;

  constructor(rules: Rules) {
    this.#rules = rules;
    for (const [sale, skus] of Object.entries(rules.allocated))
      for (const [sku, units] of Object.entries(skus)) this.#most.set(`${sale}/${sku}`, units);
  }

  see(entry: Entry): void {
    if ('invoke' in entry) {
      this.#open.set(entry.id, entry.invoke);
      return this.#invoked(entry.invoke);
    }
    const operation = this.#open.get(entry.id);
    this.#open.delete(entry.id);
    if (operation) this.#done(operation, entry.done);
  }

  #invoked(operation: Operation): void {
    switch (operation.do) {
      case 'reserve': {
        const name = keyOf(operation);
        if (!this.#asked.has(name))
          this.#asked.set(name, { lines: operation.lines, sale: operation.sale, maybe: false });
        return;
      }
      case 'units':
        // New units may be sold before the host is told that they are there.
        if (operation.delta > 0) this.#grow(operation.sale, operation.sku, operation.delta);
        return;
      case 'release':
      case 'lapse':
        return this.#mayEnd(operation.reservation);
      case 'confirm':
    }
  }

  #done(operation: Operation, outcome: Outcome): void {
    switch (operation.do) {
      case 'reserve':
        return this.#reserved(operation, outcome);
      case 'units':
        if (outcome.type === 'ok' && operation.delta < 0) this.#grow(operation.sale, operation.sku, operation.delta);
        if (outcome.type === 'fail' && operation.delta > 0) this.#grow(operation.sale, operation.sku, -operation.delta);
        return;
      case 'lapse':
        return;
      default:
        return this.#ended(operation, outcome);
    }
  }

  #reserved(operation: Extract<Operation, { do: 'reserve' }>, outcome: Outcome): void {
    const name = keyOf(operation);
    const told = this.#byKey.get(name);
    const asked = this.#asked.get(name);
    if (outcome.type === 'unknown') {
      if (asked) asked.maybe = true;
      return;
    }
    if (outcome.type === 'fail') {
      if (told !== undefined && outcome.code !== 'idempotency_conflict')
        this.#violate(
          'lost accept',
          `${name} was granted ${told}, and its repetition was refused with ${outcome.code}`,
        );
      return;
    }
    const id = outcome.reservation ?? '';
    this.#decided(`reserve ${name}`, outcome);
    if (told !== undefined) {
      if (told !== id) this.#violate('key', `${name} was granted ${told} and then ${id}`);
      return;
    }
    this.#byKey.set(name, id);
    if (this.#holds.has(id)) return this.#violate('key', `${id} was granted to two requests`);
    const hold: Hold = {
      user: operation.user,
      sale: operation.sale,
      lines: operation.lines,
      ending: this.#early.get(id) ?? 0,
    };
    this.#holds.set(id, hold);
    if (this.#isCertain(hold)) this.#count(hold, 1);
  }

  #ended(operation: Extract<Operation, { do: 'confirm' | 'release' }>, outcome: Outcome): void {
    const { reservation: id, key } = operation;
    if (outcome.type === 'unknown') return;
    if (outcome.type === 'ok') {
      const before = this.#granted.get(id);
      this.#decided(`${operation.do} ${id} ${key}`, outcome);
      if (before !== undefined && before !== `${operation.do} ${key}`)
        this.#violate('double end', `${id} was ended by "${before}" and by "${operation.do} ${key}"`);
      if (before === undefined && outcome.replayed !== true) this.#granted.set(id, `${operation.do} ${key}`);
      return this.#end(id, END_OF[operation.do]);
    }
    if (operation.do === 'release') this.#mustStay(id);
    const told = ENDED_AS[outcome.code];
    if (told !== undefined) this.#end(id, told);
    if (outcome.code === 'reservation_not_found' && this.#holds.has(id))
      this.#violate('lost accept', `${id} was granted and is not found`);
  }

  #decided(what: string, { replayed }: { replayed?: boolean }): void {
    if (replayed === true) return;
    if (this.#fresh.has(what)) this.#violate('key', `"${what}" was decided twice`);
    this.#fresh.add(what);
  }

  #end(id: string, state: string): void {
    const hold = this.#holds.get(id);
    if (!hold) return;
    if (hold.end !== undefined && hold.end !== state)
      this.#violate('double end', `${id} was told to be ${hold.end} and to be ${state}`);
    const counted = this.#isCertain(hold);
    hold.end ??= state;
    if (counted !== this.#isCertain(hold)) this.#count(hold, counted ? -1 : 1);
  }

  #mayEnd(id: string): void {
    const hold = this.#holds.get(id);
    if (!hold) return void this.#early.set(id, (this.#early.get(id) ?? 0) + 1);
    const counted = this.#isCertain(hold);
    hold.ending++;
    if (counted && !this.#isCertain(hold)) this.#count(hold, -1);
  }

  /** A release was refused: the units are taken as before, unless another end is under way. */
  #mustStay(id: string): void {
    const hold = this.#holds.get(id);
    if (!hold) return;
    const counted = this.#isCertain(hold);
    hold.ending--;
    if (!counted && this.#isCertain(hold)) this.#count(hold, 1);
  }

  /** An order stays; a hold is certain while nobody asked for its end. */
  #isCertain({ end, ending }: Hold): boolean {
    return end === undefined ? ending === 0 : end === 'confirmed';
  }

  #count({ user, sale, lines }: Hold, sign: 1 | -1): void {
    for (const { sku, qty } of lines) {
      const units = this.#add(`${sale}/${sku}`, sign * qty);
      const most = this.#most.get(`${sale}/${sku}`) ?? 0;
      if (sign > 0 && units > most)
        this.#violate('oversell', `${units} units of ${sale}/${sku} are taken for certain, there are ${most}`);
      const has = this.#add(`${sale} of ${user}`, sign * qty);
      const limit = this.#rules.perBuyer[sale] ?? 0;
      if (sign > 0 && has > limit)
        this.#violate('limit', `${user} has ${has} units in ${sale} for certain, the limit is ${limit}`);
    }
  }

  #grow(sale: string, sku: string, delta: number): void {
    const most = (this.#most.get(`${sale}/${sku}`) ?? 0) + delta;
    this.#most.set(`${sale}/${sku}`, most);
    const units = this.#certain.get(`${sale}/${sku}`) ?? 0;
    if (units > most)
      this.#violate(
        'oversell',
        `${units} units of ${sale}/${sku} are taken for certain after a withdrawal left ${most}`,
      );
  }

  #add(name: string, qty: number): number {
    const sum = (this.#certain.get(name) ?? 0) + qty;
    this.#certain.set(name, sum);
    return sum;
  }

  finish({ reservations }: FinalState): Violation[] {
    // Requests that never came back may have happened.
    for (const operation of this.#open.values())
      if (operation.do === 'reserve') this.#reserved(operation, { type: 'unknown' });
    const taken = new Map<string, number>();
    const asked = new Map([...this.#asked].filter(([, { maybe }]) => maybe));
    for (const [id, { user, sale, lines, state, offer }] of reservations) {
      if (state === 'held' || state === 'confirmed')
        for (const { sku, qty } of lines) taken.set(`${sale}/${sku}`, (taken.get(`${sale}/${sku}`) ?? 0) + qty);
      if (offer || this.#holds.has(id)) continue;
      const name = [...asked].find(
        ([key, ask]) => key.startsWith(`${user} `) && ask.sale === sale && sameLines(ask.lines, lines),
      )?.[0];
      if (name === undefined)
        this.#violate('unasked', `${user} has ${id}, which nobody was granted and nobody may still expect`);
      else asked.delete(name);
    }
    for (const [id, hold] of this.#holds) this.#lookAtEnd(id, hold, reservations.get(id)?.state);
    for (const [name, units] of taken)
      if (units > (this.#most.get(name) ?? 0))
        this.#violate(
          'oversell',
          `in the end ${units} units of ${name} are taken, there are ${this.#most.get(name) ?? 0}`,
        );
    return this.#violations;
  }

  #lookAtEnd(id: string, { end, ending }: Hold, state: string | undefined): void {
    if (state === undefined) return this.#violate('lost accept', `${id} was granted and is gone`);
    if (end !== undefined && state !== end) this.#violate('lost accept', `${id} was told to be ${end} and is ${state}`);
    if (end === undefined && ending === 0 && (state === 'released' || state === 'expired'))
      this.#violate('lost accept', `${id} is ${state}, and nobody asked for that`);
  }

  #violate(kind: ViolationKind, text: string): void {
    this.#violations.push({ kind, text });
  }
}

const keyOf = ({ user, key }: { user: string; key: string }): string => `${user} ${key}`;
const totals = (lines: readonly Item[]): string => {
  const sums = new Map<string, number>();
  for (const { sku, qty } of lines) sums.set(sku, (sums.get(sku) ?? 0) + qty);
  return JSON.stringify([...sums].sort());
};
const sameLines = (a: readonly Item[], b: readonly Item[]): boolean => totals(a) === totals(b);
