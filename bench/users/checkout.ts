/** The shop's checkout: turns holds into orders, repeats some confirms, and keeps evidence. */
import { createPrng } from '../generator/prng.ts';
import { SecondRecorder } from '../generator/recorder.ts';
import type { Check } from '../report/result.ts';
import { checkOf } from '../verdict/check.ts';
import type { End } from '../verdict/evidence.ts';
import { type BackOffice, replyOf } from './back-office.ts';
import { isReplayed, type Reply, reservationOf } from './buyer.ts';
import { ENDED_AS } from './probe.ts';

export interface CheckoutOptions {
  readonly office: BackOffice;
  readonly show: string;
  readonly seed: number;
  readonly nowMs: () => number;
  /** Share of the confirms that are sent twice. */
  readonly repeats: number;
  /** Share of the granted holds that are paid for; the rest expire. */
  readonly pays?: number;
  /** The longest time from a grant to its payment. */
  readonly withinMs?: number;
}

export type Granted = readonly [reservation: string, user: string, amount: number];

const CONCURRENT_MAX = 16;
const STREAM = 17;

export class Checkout {
  /** Counters `orders`, latency `confirm`, refusals `confirm: <code>`. */
  readonly recorder: SecondRecorder;
  readonly ends: End[] = [];
  readonly #contradictions: string[] = [];
  readonly #options: CheckoutOptions;
  readonly #queue: Granted[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #working = new Set<Promise<void>>();

  constructor(options: CheckoutOptions) {
    this.#options = options;
    this.recorder = new SecondRecorder(options.nowMs);
  }

  /** Draws by buyer, not by the order of the replies: the same seed pays for the same users. */
  schedule(granted: readonly Granted[]): void {
    const { seed, pays = 0, withinMs = 0 } = this.#options;
    for (const grant of granted) {
      const prng = createPrng(seed)
        .fork(STREAM)
        .fork(Number.parseInt(grant[1].slice(1), 10));
      if (!prng.chance(pays)) continue;
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#queue.push(grant);
        this.#work();
      }, prng.next() * withinMs);
      this.#timers.add(timer);
    }
  }

  /** Cancels what is scheduled, and waits for what is queued. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  #work(): void {
    while (this.#working.size < CONCURRENT_MAX) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      const [reservation, , amount] = next;
      const work = this.confirm(reservation, amount, `pay-${reservation}`).then(() => {
        this.#working.delete(work);
        this.#work();
      });
      this.#working.add(work);
    }
  }

  async confirm(reservation: string, amount: number, key: string): Promise<Reply> {
    const { office, show, nowMs, seed, repeats } = this.#options;
    const order = { orderRef: `ORDER-${reservation.slice(-12)}`, amount };
    const startedMs = nowMs();
    const reply = await replyOf(office.confirm(show, reservation, order, key));
    if (reply.t !== 'ok') {
      const code = reply.t === 'error' ? reply.code : 'no response';
      this.recorder.refused(`confirm: ${code}`);
      const state = ENDED_AS[code];
      if (state !== undefined) this.ends.push({ reservation, state, endedAt: null });
      return reply;
    }
    const sold = reservationOf(reply);
    this.recorder.latency('confirm').record(nowMs() - startedMs);
    this.recorder.counter('orders').add();
    this.ends.push({ reservation, state: 'confirmed', endedAt: sold?.endedAt ?? null });
    if (createPrng(seed).fork(STREAM).fork(this.ends.length).chance(repeats)) {
      const repeated = await replyOf(office.confirm(show, reservation, order, key));
      const again = reservationOf(repeated);
      if (repeated.t === 'ok' && (again?.id !== sold?.id || again?.state !== sold?.state || !isReplayed(repeated)))
        this.#contradictions.push(
          `confirming ${reservation} twice with one key: ${sold?.state}, then ${again?.state ?? 'nothing'}`,
        );
    }
    return reply;
  }

  checks(): Check[] {
    const { ends } = this;
    if (ends.length === 0) return [];
    return [checkOf('repeated orders get the same result', 'I4', this.#contradictions, `${ends.length} orders`)];
  }
}
