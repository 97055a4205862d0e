/**
 * Checks what concurrent clients saw: one pass over their history, one over the final books. It
 * knows nothing of how the engine works: a hold counts from its reply until its end is requested.
 * These units are certain, and certain units must never exceed the stock.
 */
import type { Item } from '../../src/protocol/messages.ts';

export type Operation =
  | { do: 'reserve'; user: string; key: string; sale: string; lines: readonly Item[] }
  | { do: 'confirm' | 'release'; reservation: string; key: string }
  /** Its deadline was moved into the past. */
  | { do: 'expire'; reservation: string }
  | { do: 'units'; sale: string; sku: string; delta: number };

export type Outcome =
  | { type: 'ok'; reservation?: string; replayed?: boolean }
  /** A definite refusal: nothing changed. */
  | { type: 'fail'; code: string }
  /** The reply was lost: it may have happened, or may still happen. */
  | { type: 'unknown' };

export type Entry = { id: number; invoke: Operation } | { id: number; done: Outcome };

export interface Rules {
  /** sale -> SKU -> units at the beginning. */
  allocated: Readonly<Record<string, Readonly<Record<string, number>>>>;
  perBuyer: Readonly<Record<string, number>>;
}

/** What is in the books when all clients have finished. */
export interface FinalState {
  /** An `offer` was made from the waitlist, without a reply: its units count. */
  reservations: ReadonlyMap<string, Omit<Hold, 'ending' | 'end'> & { state: string; offer?: boolean }>;
}

export type ViolationKind = 'oversell' | 'limit' | 'double end' | 'lost accept' | 'unrequested' | 'key';
export type Violation = { kind: ViolationKind; text: string };

type Asked = { lines: readonly Item[]; sale: string; maybe: boolean };
interface Hold {
  user: string;
  sale: string;
  lines: readonly Item[];
  /** Ends that were requested and not yet refused. */
  ending: number;
  /** The end that a reply reported. */
  end?: string;
}

const ENDED_AS: Readonly<Record<string, string>> = {
  reservation_confirmed: 'confirmed',
  reservation_released: 'released',
  reservation_expired: 'expired',
};

export class HistoryRecorder {
  readonly entries: Entry[] = [];
  #next = 0;

  async record<T>(operation: Operation, run: () => Promise<T>, outcomeOf: (reply: T) => Outcome): Promise<T> {
    const id = this.#next++;
    this.entries.push({ id, invoke: operation });
    const reply = await run();
    this.entries.push({ id, done: outcomeOf(reply) });
    return reply;
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
  /** user and key -> the reservation that was granted. */
  readonly #byKey = new Map<string, string>();
  /** user and key of requested reserves; `maybe`: one of them may have happened. */
  readonly #asked = new Map<string, Asked>();
  /** Granted ends by reservation, with their key. */
  readonly #granted = new Map<string, string>();
  /** Commands that were decided, not replayed: each at most once. */
  readonly #fresh = new Set<string>();
  /** Ends requested before the reply with the hold arrived. */
  readonly #early = new Map<string, number>();
  readonly #certain = new Map<string, number>();
  readonly #stock = new Map<string, number>();
  readonly #rules: Rules;

  constructor(rules: Rules) {
    this.#rules = rules;
    for (const [sale, skus] of Object.entries(rules.allocated))
      for (const [sku, units] of Object.entries(skus)) this.#stock.set(`${sale}/${sku}`, units);
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
    if (operation.do === 'reserve') {
      const [name, { lines, sale }] = [keyOf(operation), operation];
      if (!this.#asked.has(name)) this.#asked.set(name, { lines, sale, maybe: false });
    } else if (operation.do === 'units') {
      // New units may be sold before the host gets the reply.
      if (operation.delta > 0) this.#grow(operation.sale, operation.sku, operation.delta);
    } else if (operation.do !== 'confirm') this.#mayEnd(operation.reservation);
  }

  #done(operation: Operation, outcome: Outcome): void {
    if (operation.do === 'reserve') return this.#reserved(operation, outcome);
    if (operation.do === 'expire') return;
    if (operation.do !== 'units') return this.#ended(operation, outcome);
    const { sale, sku, delta } = operation;
    if (outcome.type === 'ok' && delta < 0) this.#grow(sale, sku, delta);
    if (outcome.type === 'fail' && delta > 0) this.#grow(sale, sku, -delta);
  }

  #reserved(operation: Extract<Operation, { do: 'reserve' }>, outcome: Outcome): void {
    const name = keyOf(operation);
    const granted = this.#byKey.get(name);
    const asked = this.#asked.get(name);
    if (outcome.type === 'unknown' && asked) asked.maybe = true;
    if (outcome.type === 'unknown') return;
    if (outcome.type === 'fail') {
      if (granted !== undefined && outcome.code !== 'idempotency_conflict')
        this.#violate('lost accept', `${name} was granted ${granted}, and its repeat got ${outcome.code}`);
      return;
    }
    const id = outcome.reservation ?? '';
    this.#decided(`reserve ${name}`, outcome);
    if (granted !== undefined) {
      if (granted !== id) this.#violate('key', `${name} was granted ${granted} and then ${id}`);
      return;
    }
    this.#byKey.set(name, id);
    if (this.#holds.has(id)) return this.#violate('key', `${id} was granted to two requests`);
    const { user, sale, lines } = operation;
    const hold: Hold = { user, sale, lines, ending: this.#early.get(id) ?? 0 };
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
      return this.#end(id, operation.do === 'confirm' ? 'confirmed' : 'released');
    }
    if (operation.do === 'release') this.#mustStay(id);
    const reported = ENDED_AS[outcome.code];
    if (reported !== undefined) this.#end(id, reported);
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
      this.#violate('double end', `${id} was reported as ${hold.end} and as ${state}`);
    this.#change(hold, () => {
      hold.end ??= state;
    });
  }

  #mayEnd(id: string): void {
    const hold = this.#holds.get(id);
    if (hold) this.#change(hold, () => hold.ending++);
    else this.#early.set(id, (this.#early.get(id) ?? 0) + 1);
  }

  /** A release was refused: the units count again, unless another end was requested. */
  #mustStay(id: string): void {
    const hold = this.#holds.get(id);
    if (hold) this.#change(hold, () => hold.ending--);
  }

  #change(hold: Hold, change: () => void): void {
    const counted = this.#isCertain(hold);
    change();
    if (counted !== this.#isCertain(hold)) this.#count(hold, counted ? -1 : 1);
  }

  /** Orders are certain; holds are certain until their end is requested. */
  #isCertain({ end, ending }: Hold): boolean {
    return end === undefined ? ending === 0 : end === 'confirmed';
  }

  #count({ user, sale, lines }: Hold, sign: 1 | -1): void {
    for (const { sku, qty } of lines) {
      const units = this.#add(`${sale}/${sku}`, sign * qty);
      const stock = this.#stock.get(`${sale}/${sku}`) ?? 0;
      if (sign > 0 && units > stock)
        this.#violate('oversell', `${units} units of ${sale}/${sku} are taken for certain, there are ${stock}`);
      const has = this.#add(`${sale} of ${user}`, sign * qty);
      const limit = this.#rules.perBuyer[sale] ?? 0;
      if (sign > 0 && has > limit)
        this.#violate('limit', `${user} has ${has} units in ${sale} for certain, the limit is ${limit}`);
    }
  }

  #grow(sale: string, sku: string, delta: number): void {
    const stock = (this.#stock.get(`${sale}/${sku}`) ?? 0) + delta;
    this.#stock.set(`${sale}/${sku}`, stock);
    const units = this.#certain.get(`${sale}/${sku}`) ?? 0;
    if (units > stock)
      this.#violate('oversell', `${units} units of ${sale}/${sku} are taken for certain, a withdrawal left ${stock}`);
  }

  #add(name: string, qty: number): number {
    const sum = (this.#certain.get(name) ?? 0) + qty;
    this.#certain.set(name, sum);
    return sum;
  }

  finish({ reservations }: FinalState): Violation[] {
    // Requests without a reply may have happened.
    for (const operation of this.#open.values())
      if (operation.do === 'reserve') this.#reserved(operation, { type: 'unknown' });
    const taken = new Map<string, number>();
    const asked = new Map([...this.#asked].filter(([, { maybe }]) => maybe));
    for (const [id, { user, sale, lines, state, offer }] of reservations) {
      if (state === 'held' || state === 'confirmed')
        for (const { sku, qty } of lines) taken.set(`${sale}/${sku}`, (taken.get(`${sale}/${sku}`) ?? 0) + qty);
      if (offer || this.#holds.has(id)) continue;
      const isOf = ([key, ask]: [string, Asked]): boolean =>
        key.startsWith(`${user} `) && ask.sale === sale && sameLines(ask.lines, lines);
      const [name] = [...asked].find(isOf) ?? [];
      if (name !== undefined) asked.delete(name);
      else this.#violate('unrequested', `${user} has ${id}, which no reply granted and no lost reply explains`);
    }
    for (const [id, hold] of this.#holds) this.#compareEnd(id, hold, reservations.get(id)?.state);
    for (const [name, units] of taken)
      if (units > (this.#stock.get(name) ?? 0))
        this.#violate('oversell', `${units} units of ${name} are taken in the end, of ${this.#stock.get(name) ?? 0}`);
    return this.#violations;
  }

  #compareEnd(id: string, { end, ending }: Hold, state: string | undefined): void {
    if (state === undefined) return this.#violate('lost accept', `${id} was granted and is gone`);
    if (end !== undefined && state !== end)
      this.#violate('lost accept', `${id} was reported as ${end} and is ${state}`);
    if (end === undefined && ending === 0 && (state === 'released' || state === 'expired'))
      this.#violate('lost accept', `${id} is ${state}, and no client requested that`);
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
