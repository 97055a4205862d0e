/**
 * A person in the rush: reserves, repeats with the same key whatever was lost or put off, then
 * orders, gives back or walks away. Everything asked and answered goes into the history.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import type { HistoryRecorder, Outcome } from '../support/history-checker.ts';
import { type FlashSaleShow, SALE, SKUS } from './flash-sale.ts';
import { type Answer, type Fields, PlainClient, type Reservation } from './plain-client.ts';
import { call, type HttpAnswer, signToken } from './plain-http.ts';

export interface World {
  readonly staged: FlashSaleShow;
  readonly gatewayUrls: readonly string[];
  readonly controlUrls: readonly string[];
  readonly history: HistoryRecorder;
  /** Nobody begins anything new after this moment (this machine's clock). */
  untilMs: number;
  /** Presses are spread over this long after the opening. */
  readonly spreadMs: number;
}

export interface Wanted {
  readonly sku: string;
  readonly qty: number;
}

export interface Grant {
  readonly key: string;
  readonly reservation: Reservation;
  readonly answeredAt: number;
}

/** How long somebody in line watches the screen. */
const WAIT_MS_MAX = 900;

/** Put off, not refused: the same key may be tried again. */
const LATER = new Set([
  'sale_not_open',
  'sale_paused',
  'overloaded',
  'rate_limited',
  'too_many_in_flight',
  'draining',
  'idempotency_in_progress',
]);
/** SPEC Q-9: the outcome is not known. */
const UNKNOWN = new Set(['redis_unavailable', 'internal', 'idempotency_in_progress']);

export class Buyer {
  readonly user: string;
  readonly client: PlainClient;
  readonly grants: Grant[] = [];
  /** Offers from the line that this person saw and answered. */
  readonly offers: Omit<Grant, 'key'>[] = [];
  /** Every place in line ever asked for: key -> what for, and when it was answered with ok. */
  readonly joins = new Map<string, { line: Wanted; joinedAt: number | null }>();
  /** Reservation -> how its end was answered. */
  readonly ended = new Map<string, { state: string; orderRef?: string; answeredAt: number }>();
  /** Keys of which the last word was not yet spoken when time was up. */
  readonly unresolved: string[] = [];
  readonly refused = new Map<string, number>();
  readonly problems: string[] = [];
  readonly #world: World;
  readonly #prng: Prng;
  /** What the last reserve was refused for want of units. */
  #soldOut: Wanted | undefined;

  constructor(user: string, world: World, prng: Prng) {
    this.user = user;
    this.#world = world;
    this.#prng = prng;
    this.client = new PlainClient({
      urls: world.gatewayUrls,
      show: world.staged.show,
      token: signToken(world.staged.show, user),
      prng: prng.fork(7),
    });
  }

  /** From before the opening until everything this person wanted is decided. */
  async play(): Promise<void> {
    const prng = this.#prng;
    // Some press before it opens; most within the spread.
    await sleep(Math.max(0, this.#world.staged.opensAt - Date.now() + prng.int(-150, this.#world.spreadMs)));
    const rounds = prng.int(1, 3);
    for (let round = 1; round <= rounds; round++) {
      const held = await this.reserve(`r-${round}`);
      if (held) await this.#decide(held);
      else if (this.#soldOut) await this.#waitInLine(this.#soldOut, round);
      await sleep(prng.int(0, 150));
    }
  }

  async #decide(held: Reservation): Promise<void> {
    await sleep(this.#prng.int(0, 250));
    const way = this.#prng.weighted([
      ['order', 50],
      ['give back', 20],
      ['give back by phone', 10],
      ['leave', 20],
    ] as const);
    if (way === 'order') await this.confirm(held);
    if (way === 'give back') await this.release(held);
    if (way === 'give back by phone') await this.releaseByPhone(held);
  }

  /**
   * Joins, and takes what is offered meanwhile; gives up the place, or goes away and leaves it
   * standing.
   */
  async #waitInLine(line: Wanted, round: number): Promise<void> {
    const key = `w-${round}`;
    this.joins.set(key, { line, joinedAt: null });
    const joined = await this.#line('join', key, line);
    if (joined?.t === 'ok') this.joins.set(key, { line, joinedAt: Date.now() });
    else if (joined?.t === 'error' && joined.code !== 'already_waiting') return;
    const offered = (): Reservation | undefined =>
      [...this.client.mine.values()].find(
        ({ id, offer, state }) =>
          offer && state === 'held' && !this.offers.some(({ reservation }) => reservation.id === id),
      );
    await this.client.until(() => offered() !== undefined, this.#prng.int(50, WAIT_MS_MAX));
    const reservation = offered();
    if (reservation) {
      this.offers.push({ reservation, answeredAt: Date.now() });
      await this.#decide(reservation);
    } else if (this.#prng.chance(0.4)) await this.#line('leave', `l-${round}`, line);
  }

  #line(op: 'join' | 'leave', key: string, { sku, qty }: Wanted): Promise<Answer | null> {
    const message = { t: 'waitlist', op, key, sale: SALE, sku, ...(op === 'join' ? { qty } : {}) };
    return this.#untilDecided(`${op} ${key}`, () => this.#ask(message));
  }

  /** The hold, or null when it was refused for good. */
  async reserve(key: string): Promise<Reservation | null> {
    const lines = this.#prng.chance(0.2)
      ? SKUS.map((sku) => ({ sku, qty: 1 }))
      : [{ sku: this.#prng.pick(SKUS), qty: this.#prng.int(1, 2) }];
    const operation = { do: 'reserve', user: this.user, key, sale: SALE, lines } as const;
    const answer = await this.#untilDecided(`reserve ${key}`, () =>
      this.#world.history.record(operation, () => this.#ask({ t: 'reserve', key, sale: SALE, lines }), outcomeOf),
    );
    this.#soldOut = answer?.t === 'error' && answer.code === 'sold_out' ? lines[0] : undefined;
    if (answer?.t !== 'ok') return null;
    const reservation = answer.data?.reservation as Reservation;
    this.grants.push({ key, reservation, answeredAt: Date.now() });
    this.#mayLapse(reservation);
    return reservation;
  }

  /** From its deadline on, nobody can be certain of a hold. */
  #mayLapse({ id, heldUntil }: Reservation): void {
    const { entries } = this.#world.history;
    setTimeout(
      () => entries.push({ id: -1 - entries.length, invoke: { do: 'lapse', reservation: id } }),
      heldUntil - Date.now(),
    ).unref();
  }

  async release(held: Reservation): Promise<void> {
    const key = `release-${held.id}`;
    const operation = { do: 'release', reservation: held.id, key } as const;
    const answer = await this.#untilDecided(`release ${held.id}`, () =>
      this.#world.history.record(operation, () => this.#ask({ t: 'release', key, reservation: held.id }), outcomeOf),
    );
    if (answer?.t === 'ok') this.#ended(held.id, answer.data?.reservation as Reservation);
  }

  confirm(held: Reservation): Promise<void> {
    return this.#byPhone('confirm', held, { orderRef: `order-${held.id}`, amount: held.amount });
  }

  releaseByPhone(held: Reservation): Promise<void> {
    return this.#byPhone('release', held, {});
  }

  async #byPhone(what: 'confirm' | 'release', held: Reservation, body: Fields): Promise<void> {
    const key = `${what}-http-${held.id}`;
    const operation = { do: what, reservation: held.id, key } as const;
    const path = `/v1/shows/${this.#world.staged.show}/reservations/${held.id}/${what}`;
    const answer = await this.#untilDecided(`${what} ${held.id}`, () =>
      this.#world.history.record(
        operation,
        async () => answerOf(await call(this.#prng.pick(this.#world.controlUrls), 'POST', path, body, key)),
        outcomeOf,
      ),
    );
    if (answer?.t === 'ok') this.#ended(held.id, answer.data?.reservation as Reservation);
  }

  #ended(id: string, reservation: Reservation): void {
    this.ended.set(id, {
      state: reservation.state,
      ...(reservation.orderRef ? { orderRef: reservation.orderRef } : {}),
      answeredAt: Date.now(),
    });
  }

  async #ask(message: Fields): Promise<Answer> {
    if (!this.client.connected)
      await this.client.until(() => this.client.connected, Math.max(0, this.#world.untilMs - Date.now()));
    return this.client.request(message);
  }

  /**
   * Repeats what was lost or put off with the same key, after the pause that was asked for. Null
   * when time was up.
   */
  async #untilDecided(what: string, attempt: () => Promise<Answer>): Promise<Answer | null> {
    let maybe = false;
    for (;;) {
      const answer = await attempt();
      const unknown = answer.t === 'lost' || (answer.t === 'error' && UNKNOWN.has(answer.code));
      if (answer.t === 'error') this.refused.set(answer.code, (this.refused.get(answer.code) ?? 0) + 1);
      if (!unknown && !(answer.t === 'error' && LATER.has(answer.code))) return answer;
      maybe ||= unknown;
      if (Date.now() > this.#world.untilMs) {
        if (maybe) this.unresolved.push(what);
        return null;
      }
      const pauseMs = answer.t === 'error' ? Math.min(answer.retryAfterMs ?? 200, 1_000) : 50;
      await sleep(pauseMs + this.#prng.int(0, 50));
    }
  }
}

export function answerOf(http: HttpAnswer): Answer {
  if (http.t === 'lost') return { t: 'lost' };
  if (http.status < 300) return { t: 'ok', at: 0, data: http.body };
  const { code, retryAfterMs, details } = http.body as { code?: string; retryAfterMs?: number; details?: Fields };
  return {
    t: 'error',
    at: 0,
    code: code ?? `status ${http.status}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(details === undefined ? {} : { details }),
  };
}

/** How the history tells it. */
export function outcomeOf(answer: Answer): Outcome {
  if (answer.t === 'lost') return { type: 'unknown' };
  if (answer.t === 'error') return UNKNOWN.has(answer.code) ? { type: 'unknown' } : { type: 'fail', code: answer.code };
  const { reservation, replayed } = (answer.data ?? {}) as { reservation?: Reservation; replayed?: boolean };
  return { type: 'ok', ...(reservation ? { reservation: reservation.id } : {}), ...(replayed ? { replayed } : {}) };
}
