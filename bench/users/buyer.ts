/**
 * The virtual user as a buyer: presses when a sale opens, repeats what was lost with the same key,
 * pays, releases or abandons what it holds. It acts through a `UserConnection`, so the demo, the
 * load tester and the fault tests share it. All choices come from a seed.
 */
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import type { Prng } from '../generator/prng.ts';

/** The one reply to a request; `lost` when the connection closed first. */
export type Reply =
  | { readonly t: 'ok'; readonly data?: unknown }
  | Readonly<{ t: 'error'; at: number; code: string; retryAfterMs?: number; details?: unknown }>
  | { readonly t: 'lost' };

export type UserRequest = { readonly t: string } & Readonly<Record<string, unknown>>;

/** How a virtual user reaches the engine. Times are on the clock of `nowMs`. */
export interface UserConnection {
  nowMs(): number;
  /** `dueMs`: when the request was due; latency counts from then. */
  request(message: UserRequest, dueMs: number): Promise<Reply>;
  /** Resolves when requests can be sent. */
  connected(): Promise<void>;
  /** Resolves at the moment, or with false when the run is over. */
  waitUntil(atMs: number): Promise<boolean>;
}

/** `press` is due at the opening, `late` later; `retry` repeats a key whose outcome is unknown. */
export type PressKind = 'press' | 'late' | 'early' | 'repeat' | 'retry';

export type Action =
  | { readonly do: 'reserve'; readonly key: string; readonly items: readonly Item[]; readonly kind: PressKind }
  | { readonly do: 'release'; readonly key: string; readonly reservation: ReservationView; readonly overHttp: boolean }
  | { readonly do: 'confirm'; readonly key: string; readonly reservation: ReservationView }
  | { readonly do: 'join' | 'leave'; readonly key: string; readonly item: Item };

/** Who observes a buyer: counters, evidence, or a history for the checker. */
export interface BuyerLog {
  /** Runs one attempt, and records it. */
  attempt(action: Action, dueMs: number, send: () => Promise<Reply>): Promise<Reply>;
  /** The last word on an action; null when the run ended while its outcome was unknown. */
  decided?(action: Action, reply: Reply | null): void;
}

export type Decision = 'pay' | 'release' | 'release over HTTP' | 'abandon';

export interface BuyerPlan {
  /** Tries to get units; after the first success it stops unless `wantsMore`. */
  readonly rounds: number;
  readonly wantsMore?: boolean;
  /** From the opening to the first press. */
  readonly reactionMs: number;
  /** Presses this long before the opening too. */
  readonly earlyMs?: number;
  /** Sends the same press again, this long after it. */
  readonly repeatsAfterMs?: readonly number[];
  /** Asks for this many units first, which is more than the limit. */
  readonly overLimitQty?: number;
  /** Uses the key of an accepted request for another request. */
  readonly reusesKey?: boolean;
  readonly pauseMs: readonly [fromMs: number, toMs: number];
  /** Codes after which the same key is sent again. A lost reply is always repeated. */
  readonly retries?: ReadonlySet<string>;
  /** What to ask for; null when there is nothing (more) to buy. */
  items(random: Prng): readonly Item[] | null;
  decide(random: Prng, reservation: ReservationView): { readonly what: Decision; readonly afterMs: number };
  /** After a refusal. Resolves with false when the buyer gives up. */
  afterRefusal?(buyer: Buyer, refusal: Reply, items: readonly Item[], round: number, random: Prng): Promise<boolean>;
}

export interface BuyerOptions {
  readonly user: string;
  readonly sale: string;
  /** On the clock of the connection. */
  readonly opensAtMs: number;
  readonly connection: UserConnection;
  readonly plan: BuyerPlan;
  readonly random: Prng;
  readonly log: BuyerLog;
  /** Confirms or releases over HTTP, as a shop's back office does. */
  http(action: 'confirm' | 'release', reservation: ReservationView, key: string): Promise<Reply>;
  /** After this moment nothing is repeated. */
  isOver(): boolean;
  keyOf?(round: number): string;
}

/** SPEC Q-9: the outcome is not known after these. */
const UNKNOWN_CODES = ['redis_unavailable', 'internal', 'idempotency_in_progress'];
export const UNKNOWN_OUTCOME: ReadonlySet<string> = new Set(UNKNOWN_CODES);
export const isUnknown = (reply: Reply): boolean =>
  reply.t === 'lost' || (reply.t === 'error' && UNKNOWN_OUTCOME.has(reply.code));

const RETRY_MS = 200;
const RETRY_MS_MAX = 1_000;
const RETRY_LOST_MS = 50;

export function retryPauseMs(reply: Reply, random: Prng): number {
  const asked = reply.t === 'error' ? Math.min(reply.retryAfterMs ?? RETRY_MS, RETRY_MS_MAX) : RETRY_LOST_MS;
  return asked + random.int(0, 50);
}

export const reservationOf = (reply: Reply): ReservationView | null =>
  reply.t === 'ok' ? ((reply.data as { reservation?: ReservationView } | undefined)?.reservation ?? null) : null;
export const isReplayed = (reply: Reply): boolean =>
  reply.t === 'ok' && (reply.data as { replayed?: boolean } | undefined)?.replayed === true;

export class Buyer {
  readonly user: string;
  readonly #options: BuyerOptions;

  constructor(options: BuyerOptions) {
    this.user = options.user;
    this.#options = options;
  }

  get connection(): UserConnection {
    return this.#options.connection;
  }

  /** From before the opening until everything this user wanted is decided. */
  async play(): Promise<void> {
    const { plan, random, connection } = this.#options;
    for (let round = 1; round <= plan.rounds; round++) {
      const draw = random.fork(round);
      const pressed = await this.#press(round, draw);
      if (pressed === null) return;
      const reservation = reservationOf(pressed.reply);
      if (reservation !== null) await this.decide(reservation, draw);
      if (reservation !== null && plan.wantsMore !== true) return;
      if (round === plan.rounds) return;
      if (reservation === null) {
        const goesOn = await plan.afterRefusal?.(this, pressed.reply, pressed.items, round, draw);
        if (goesOn !== true) return;
      }
      if (!(await connection.waitUntil(connection.nowMs() + draw.int(...plan.pauseMs)))) return;
    }
  }

  /** The first press waits for the opening; later ones do not. Null when the run is over. */
  async #press(round: number, draw: Prng): Promise<{ reply: Reply; items: readonly Item[] } | null> {
    const { plan, opensAtMs, connection, sale } = this.#options;
    const key = this.#options.keyOf?.(round) ?? `${this.user}-${sale}-${round}`;
    const nowMs = connection.nowMs();
    const openMs = Math.max(opensAtMs, nowMs);
    const dueMs = round === 1 ? Math.max(nowMs, openMs + plan.reactionMs) : nowMs;
    let items: readonly Item[] | null = null;
    const pressAt = async (atMs: number, kind: PressKind): Promise<void> => {
      if (!(await connection.waitUntil(atMs))) return;
      items ??= plan.items(draw);
      if (items !== null) await this.#send({ do: 'reserve', key, items, kind }, atMs);
    };
    if (round === 1 && plan.earlyMs !== undefined) void pressAt(openMs - plan.earlyMs, 'early');
    if (!(await connection.waitUntil(dueMs))) return null;
    items ??= plan.items(draw);
    if (items === null) return null;
    if (plan.overLimitQty !== undefined) await this.#sendOther(`${key}-more`, items, plan.overLimitQty);
    for (const afterMs of plan.repeatsAfterMs ?? []) void pressAt(dueMs + afterMs, 'repeat');
    const reply = await this.reserve(key, items, round > 1 || opensAtMs < nowMs ? 'late' : 'press', dueMs);
    if (reply === null) return null;
    if (plan.reusesKey === true && reply.t === 'ok') await this.#sendOther(key, items, (items[0]?.qty ?? 0) + 1);
    return { reply, items };
  }

  /** The first of the items in another quantity, once. */
  async #sendOther(key: string, [first]: readonly Item[], qty: number): Promise<void> {
    if (first === undefined) return;
    const items = [{ ...first, qty }];
    await this.#send({ do: 'reserve', key, items, kind: 'repeat' }, this.connection.nowMs());
  }

  reserve(key: string, items: readonly Item[], kind: PressKind, dueMs: number): Promise<Reply | null> {
    return this.#untilDecided({ do: 'reserve', key, items, kind }, dueMs);
  }

  /** Does with a hold what the plan says. A repeated key may return a hold that has ended since. */
  async decide(held: ReservationView, draw: Prng): Promise<void> {
    if (held.state !== 'held') return;
    const { what, afterMs } = this.#options.plan.decide(draw, held);
    if (what === 'abandon') return;
    if (afterMs > 0 && !(await this.connection.waitUntil(this.connection.nowMs() + afterMs))) return;
    if (what === 'pay') await this.confirm(held);
    else await this.release(held, what === 'release over HTTP');
  }

  confirm(held: ReservationView): Promise<Reply | null> {
    return this.#untilDecided({ do: 'confirm', key: `confirm-http-${held.id}`, reservation: held });
  }

  release(held: ReservationView, overHttp = false): Promise<Reply | null> {
    const key = `release-${overHttp ? 'http-' : ''}${held.id}`;
    return this.#untilDecided({ do: 'release', key, reservation: held, overHttp });
  }

  waitlist(op: 'join' | 'leave', key: string, item: Item): Promise<Reply | null> {
    return this.#untilDecided({ do: op, key, item });
  }

  #send(action: Action, dueMs: number): Promise<Reply> {
    return this.#options.log.attempt(action, dueMs, () => this.#request(action, dueMs));
  }

  #request(action: Action, dueMs: number): Promise<Reply> {
    const { connection, sale, http } = this.#options;
    const { key } = action;
    if (action.do === 'reserve') return connection.request({ t: 'reserve', key, sale, lines: action.items }, dueMs);
    if (action.do === 'confirm') return http('confirm', action.reservation, key);
    if (action.do === 'release') {
      if (action.overHttp) return http('release', action.reservation, key);
      return connection.request({ t: 'release', key, reservation: action.reservation.id }, dueMs);
    }
    const wanted = action.do === 'join' ? action.item : { sku: action.item.sku };
    return connection.request({ t: 'waitlist', op: action.do, key, sale, ...wanted }, dueMs);
  }

  /** Repeats with the same key. Null when the run ended first. */
  async #untilDecided(first: Action, firstDueMs = this.connection.nowMs()): Promise<Reply | null> {
    const { plan, random, connection, log, isOver } = this.#options;
    let action = first;
    let dueMs = firstDueMs;
    let wasUnknown = false;
    for (;;) {
      const reply = await this.#send(action, dueMs);
      if (reply.t !== 'lost' && !(reply.t === 'error' && plan.retries?.has(reply.code))) {
        log.decided?.(first, reply);
        return reply;
      }
      wasUnknown ||= isUnknown(reply);
      if (isOver()) {
        if (wasUnknown) log.decided?.(first, null);
        return null;
      }
      await connection.waitUntil(connection.nowMs() + retryPauseMs(reply, random));
      await connection.connected();
      if (action.do === 'reserve') action = { ...action, kind: 'retry' };
      dueMs = connection.nowMs();
    }
  }
}
