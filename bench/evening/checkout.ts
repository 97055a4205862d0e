/**
 * The shop's payment desk: turns holds into orders over the control API, forgets some, repeats
 * itself sometimes, and remembers what it was told.
 */

import { createPrng } from '../generator/prng.ts';
import { SecondRecorder } from '../generator/recorder.ts';
import { type BackOffice, BackOfficeError } from '../users/back-office.ts';
import type { End } from '../verdict/evidence.ts';
import type { Granted } from './commands.ts';

export interface CheckoutOptions {
  readonly office: BackOffice;
  readonly show: string;
  readonly seed: number;
  readonly nowMs: () => number;
  /**
   * Shares of the holds: who pays, and of them for whom the desk asks twice with one key, as after
   * a lost answer. The rest lapse.
   */
  readonly pays: number;
  readonly asksTwice: number;
  /** People take this long to pay, at most. */
  readonly withinMs: number;
}

const AT_ONCE_MAX = 16;
/** Label of the generator the desk draws from. */
const STREAM = 17;
const ENDED_AS: Readonly<Record<string, End['state']>> = {
  reservation_confirmed: 'confirmed',
  reservation_released: 'released',
  reservation_expired: 'expired',
};

export class Checkout {
  /** Counters `orders`, latency `confirm`, refusals `confirm: <code>`. */
  readonly recorder: SecondRecorder;
  readonly ends: End[] = [];
  /** Same key, another answer. */
  readonly contradictions: string[] = [];
  readonly #options: CheckoutOptions;
  readonly #waiting: Array<readonly [reservation: string, amount: number]> = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #working = new Set<Promise<void>>();

  constructor(options: CheckoutOptions) {
    this.#options = options;
    this.recorder = new SecondRecorder(options.nowMs);
  }

  /**
   * Draws from the buyer, not from the order in which answers came: the same seed pays for the same
   * people.
   */
  hear({ granted }: Granted): void {
    const { seed, pays, withinMs } = this.#options;
    for (const [reservation, user, amount] of granted) {
      const prng = createPrng(seed)
        .fork(STREAM)
        .fork(Number.parseInt(user.slice(1), 10));
      if (!prng.chance(pays)) continue;
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#waiting.push([reservation, amount]);
        this.#work();
      }, prng.next() * withinMs);
      this.#timers.add(timer);
    }
  }

  /** Nobody comes any more; who is at the desk is served. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  #work(): void {
    while (this.#working.size < AT_ONCE_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const work = this.#pay(...next).finally(() => {
        this.#working.delete(work);
        this.#work();
      });
      this.#working.add(work);
    }
  }

  async #pay(reservation: string, amount: number): Promise<void> {
    const { office, show, nowMs, seed, asksTwice } = this.#options;
    const order = { orderRef: `ORDER-${reservation.slice(-12)}`, amount };
    const startedMs = nowMs();
    try {
      const { reservation: sold } = await office.confirm(show, reservation, order, `pay-${reservation}`);
      this.recorder.latency('confirm').record(nowMs() - startedMs);
      this.recorder.counter('orders').add();
      this.ends.push({ reservation, state: 'confirmed', endedAt: sold.endedAt ?? null });
      if (!createPrng(seed).fork(STREAM).fork(this.ends.length).chance(asksTwice)) return;
      const again = await office.confirm(show, reservation, order, `pay-${reservation}`);
      if (again.reservation.id !== sold.id || again.reservation.state !== sold.state || !again.replayed)
        this.contradictions.push(
          `confirming ${reservation} twice with one key: ${sold.state}, then ${again.reservation.state}`,
        );
    } catch (error) {
      const code = error instanceof BackOfficeError ? error.code : 'no answer';
      this.recorder.refused(`confirm: ${code}`);
      const state = ENDED_AS[code];
      if (state !== undefined) this.ends.push({ reservation, state, endedAt: null });
    }
  }
}
