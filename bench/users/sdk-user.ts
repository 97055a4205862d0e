/** A virtual user on the SDK: watches, chats, buys, sometimes disconnects. Its seed decides. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { connect, type StampedeClient } from '../../src/client/index.ts';
import { msgpack } from '../../src/client/msgpack.ts';
import type { Item, ReservationView, SaleView } from '../../src/protocol/messages.ts';
import type { Prng } from '../generator/prng.ts';
import { listed } from '../verdict/grants.ts';
import type { Action, BuyerPlan, Decision, Reply, UserConnection, UserRequest } from './buyer.ts';
import { Buyer, isReplayed, reservationOf } from './buyer.ts';
import type { UserCounters } from './counters.ts';
import type { Mood, Voice } from './phrases.ts';
import type { Probe } from './probe.ts';

/**
 * `steady` presses once after zero; `early` presses before it too; `repeater` sends each press
 * three times with one key; `greedy` asks for more than the limit first; `muddled` uses a key
 * twice.
 */
type Habit = 'steady' | 'early' | 'repeater' | 'greedy' | 'muddled';

export interface Traits {
  /** Mean pause between two messages; null = does not chat. */
  readonly chatEveryMs: number | null;
  readonly heartsEveryMs: number | null;
  readonly buys: boolean;
  readonly habit: Habit;
  readonly intent: Decision;
  /** Mean time between two losses of the network; null = none. */
  readonly dropEveryMs: number | null;
  readonly variant: 'json' | 'msgpack';
}

/** Shares are guesses; each habit occurs among some dozens of users. */
export const drawTraits = (random: Prng, options: { chats: boolean }): Traits => ({
  chatEveryMs: options.chats && random.chance(0.6) ? random.int(8_000, 40_000) : null,
  heartsEveryMs: random.chance(0.5) ? random.int(2_000, 15_000) : null,
  buys: random.chance(0.85),
  habit: random.weighted<Habit>([
    ['steady', 60],
    ['early', 14],
    ['repeater', 12],
    ['greedy', 8],
    ['muddled', 6],
  ]),
  intent: random.weighted<Decision>([
    ['pay', 65],
    ['abandon', 27],
    ['release', 8],
  ]),
  dropEveryMs: random.chance(0.15) ? random.int(10_000, 40_000) : null,
  variant: random.chance(0.5) ? 'msgpack' : 'json',
});

export interface SdkUserOptions {
  readonly gatewayUrl: string;
  readonly show: string;
  readonly user: string;
  readonly name: string;
  readonly voice: Voice;
  readonly token: string;
  readonly traits: Traits;
  readonly random: Prng;
  readonly counters: UserCounters;
  readonly probe: Probe;
  /** Aborted when users stop acting. */
  readonly signal: AbortSignal;
  pay(reservation: ReservationView, key: string): Promise<Reply>;
}

/** From zero to the press. A person on the viewer page who waits for it should be able to win. */
const REACTION_MEAN_MS = 900;
const TRIES_MAX = 3;
/** How long a user who found a sale sold out watches for released units. */
const WATCH_MS = 25_000;
const WATCH_STEP_MS = 500;
/** The first seconds after an opening have other phrases than the minutes after them. */
const RUSH_MS = 8_000;

export class SdkUser implements UserConnection {
  readonly client: StampedeClient;
  readonly #options: SdkUserOptions;
  readonly #sales = new Set<string>();
  #connectedAt = Infinity;
  #hasLeft = false;

  constructor(options: SdkUserOptions) {
    const { gatewayUrl: url, show, token, traits, random, voice } = options;
    this.#options = options;
    this.client = connect({
      url,
      show,
      token,
      WebSocket,
      ...(traits.variant === 'msgpack' && { codec: msgpack }),
      random: random.next,
    });
    this.#listen();
    void this.#every(traits.chatEveryMs, () => this.chat(voice.phrase(random, this.#mood(), ...this.#words())));
    void this.#every(traits.heartsEveryMs, () => this.#heart());
    void this.#every(traits.dropEveryMs, () => {
      if (this.client.status.at === 'open') this.client.reconnect();
    });
  }

  nowMs(): number {
    return performance.now();
  }

  async request({ t, key, sale, lines, reservation }: UserRequest): Promise<Reply> {
    const outcome =
      t === 'reserve'
        ? await this.client.reserve({ sale: String(sale), lines: lines as Item[], key: String(key) })
        : await this.client.release(String(reservation), { key: String(key) });
    return outcome.ok ? { t: 'ok', data: outcome.value } : { at: Number.NaN, ...outcome.error, t: 'error' };
  }

  /** The SDK queues and repeats requests without a connection. */
  async connected(): Promise<void> {}

  async waitUntil(atMs: number): Promise<boolean> {
    try {
      await sleep(Math.max(0, atMs - this.nowMs()), undefined, { signal: this.#options.signal });
    } catch {
      return false;
    }
    return !this.#hasLeft;
  }

  /** Sends a chat message now; a refusal is counted by its code. */
  chat(text: string): void {
    const { counters, name } = this.#options;
    if (this.client.status.at !== 'open') return;
    counters.chatSent(name, text);
    void this.client.chat(text).then((outcome) => {
      if (outcome.ok || this.#hasLeft) return;
      counters.sent.chatRefused += 1;
      counters.refused(`chat: ${outcome.error.code}`);
    });
  }

  /** Closes the connection and adds its statistics to the counters. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    const { connections, delivered } = this.#options.counters;
    const { connects, resumes, snapshots, gaps, frames } = this.client.stats;
    connections.connects += connects;
    connections.reconnects += Math.max(0, connects - 1);
    connections.resumes += resumes;
    connections.snapshots += snapshots;
    connections.gaps += gaps;
    delivered.frames += frames;
    this.client.close();
  }

  #listen(): void {
    const { counters, probe, name } = this.#options;
    const { delivered, connections } = counters;
    const { client } = this;
    client.on('welcome', () => {
      this.#connectedAt = this.nowMs();
      for (const sale of client.model.sales.values()) this.#consider(sale);
      for (const reservation of client.model.reservations.values()) probe.changed(reservation);
    });
    client.on('event', (event) => {
      delivered.events += 1;
      const sale = event.data.sale;
      if (typeof sale === 'object' && sale !== null) this.#consider(sale as SaleView);
    });
    client.on('chat', ({ messages, history }) => {
      if (history) return;
      for (const message of messages) counters.chatReceived(message.name, message.text, name, this.#connectedAt);
    });
    client.on('state', () => delivered.state++);
    client.on('missed', (count) => {
      delivered.missed += count;
    });
    client.on('you', (reservation) => {
      delivered.personal += 1;
      probe.changed(reservation);
    });
    client.on('status', (state) => {
      if (state.at === 'waiting' || state.at === 'connecting') this.#connectedAt = Infinity;
      if (state.at !== 'closed' || this.#hasLeft) return;
      connections.stopped += 1;
      counters.violation(`the server closed the connection of ${name} for good: ${state.code} ${state.reason}`);
    });
  }

  /** Buys once in each sale, from when the sale is announced or found open. */
  #consider(sale: SaleView): void {
    const { traits, random, user, pay, signal } = this.#options;
    if (!traits.buys || this.#sales.has(sale.id)) return;
    if (sale.state !== 'scheduled' && sale.state !== 'open') return;
    this.#sales.add(sale.id);
    const countdown = this.client.countdown(sale.id);
    const draw = random.fork(this.#sales.size);
    const buyer = new Buyer({
      user,
      sale: sale.id,
      opensAtMs: this.nowMs() + (countdown?.to === 'open' ? countdown.remainingMs : 0),
      connection: this,
      plan: this.#plan(sale, draw),
      random: draw,
      log: { attempt: (action, dueMs, send) => this.#attempt(sale, action, dueMs, send) },
      http: (_what, reservation, key) => pay(reservation, key),
      isOver: () => signal.aborted,
    });
    void buyer.play();
  }

  #plan({ id, perBuyer }: SaleView, draw: Prng): BuyerPlan {
    const { habit, intent } = this.#options.traits;
    const current = (): SaleView | undefined => this.client.model.sales.get(id);
    let watchUntil: number | null = null;
    return {
      rounds: TRIES_MAX,
      reactionMs: draw.waitMs(REACTION_MEAN_MS),
      pauseMs: [0, 0],
      ...(habit === 'early' ? { earlyMs: draw.int(80, 2_500) } : {}),
      ...(habit === 'repeater' ? { repeatsAfterMs: [0, 0] } : {}),
      ...(habit === 'greedy' ? { overLimitQty: perBuyer + draw.int(1, 3) } : {}),
      reusesKey: habit === 'muddled',
      items: (random) => {
        const sale = current();
        if (sale === undefined || sale.state === 'ended' || sale.state === 'cancelled') return null;
        return [{ sku: chooseSku(random, sale), qty: Math.min(perBuyer, random.chance(0.25) ? 2 : 1) }];
      },
      decide: (random, { heldUntil, createdAt }) => ({
        what: intent,
        afterMs: random.int(800, Math.round((heldUntil - createdAt) * 0.6)),
      }),
      afterRefusal: async (_buyer, _refusal, _items, _round, random) => {
        watchUntil ??= this.nowMs() + WATCH_MS;
        while (this.nowMs() < watchUntil) {
          if (!(await this.waitUntil(this.nowMs() + WATCH_STEP_MS * (0.5 + random.next())))) return false;
          const sale = current();
          if (sale?.state !== 'open') return false;
          if (sale.skus.some((sku) => sku.left > 0)) return true;
        }
        return false;
      },
    };
  }

  async #attempt({ id }: SaleView, action: Action, dueMs: number, send: () => Promise<Reply>): Promise<Reply> {
    const { counters, probe, user } = this.#options;
    const { sent, outcomes } = counters;
    if (action.do === 'reserve') sent.reserves += 1;
    if (action.do === 'reserve' && action.kind === 'repeat') sent.repeats += 1;
    if (action.do === 'release') sent.releases += 1;
    const reply = await send();
    const reservation = reservationOf(reply);
    if (action.do === 'confirm') outcomes[reservation === null ? 'confirmFailed' : 'confirmed'] += 1;
    if (reservation !== null) probe.changed(reservation);
    else if (reply.t === 'error') counters.refused(action.do === 'confirm' ? `confirm: ${reply.code}` : reply.code);
    if (action.do !== 'reserve') return reply;
    const reserve = { user, key: action.key, sale: id, lines: action.items, sentMs: dueMs };
    if (reservation !== null) {
      outcomes[isReplayed(reply) ? 'replayed' : 'accepted'] += 1;
      probe.granted(reserve, reservation, isReplayed(reply));
      if (reservation.user !== user)
        counters.violation(`reservation ${reservation.id} of ${reservation.user} was granted to ${user}`);
      if (listed(reservation.lines) !== listed(action.items))
        counters.violation(`key ${action.key} was accepted for two different requests`);
    } else if (reply.t === 'error') {
      if (reply.code === 'unknown_outcome') outcomes.unknown += 1;
      probe.refused(reserve, reply, this.nowMs(), Number.NaN);
    }
    return reply;
  }

  #heart(): void {
    const count = this.#options.random.int(1, 6);
    this.#options.counters.sent.hearts += count;
    this.client.heart(count);
  }

  async #every(meanMs: number | null, act: () => void): Promise<void> {
    if (meanMs === null) return;
    while (await this.waitUntil(this.nowMs() + this.#options.random.waitMs(meanMs))) act();
  }

  #mood(): Mood {
    const now = this.client.serverNow();
    for (const sale of this.client.model.sales.values()) {
      if (sale.state === 'scheduled') return 'waiting';
      if (sale.state === 'open') return sale.opensAt !== null && now - sale.opensAt < RUSH_MS ? 'rush' : 'after';
    }
    return 'after';
  }

  #words(): [products: string[], sizes: string[]] {
    const products = [...this.client.model.products.values()];
    const sizes = products.flatMap(({ skus }) => skus.map(({ sku, title }) => title ?? sku));
    return [products.map(({ title }) => title), sizes];
  }
}

/** Each SKU is a tenth less popular than the one before it. Sold-out ones are pressed rarely. */
function chooseSku(random: Prng, sale: SaleView): string {
  const available = sale.skus.filter((sku) => sku.left > 0);
  const choice = available.length > 0 && !random.chance(0.1) ? available : sale.skus;
  return random.weighted(choice.map((sku, index) => [sku.sku, 0.9 ** index] as const));
}
