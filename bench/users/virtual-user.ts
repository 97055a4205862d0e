/**
 * One simulated person over a real WebSocket: watches, talks, taps hearts, shops, sometimes loses
 * the network.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { connect, type StampedeClient } from '../../src/client/index.ts';
import type { ReservationView, SaleView } from '../../src/protocol/messages.ts';
import type { Prng } from '../generator/prng.ts';
import type { Tally } from './counters.ts';
import type { Mood, Voice } from './phrases.ts';
import { type Habit, type Intent, shop } from './shopping.ts';

export interface Traits {
  /** Mean pause between two messages; null = says nothing by itself. */
  readonly chatEveryMs: number | null;
  readonly heartsEveryMs: number | null;
  readonly buys: boolean;
  readonly habit: Habit;
  readonly intent: Intent;
  /** Mean time until the network fails once; null = it never does. */
  readonly losesLineEveryMs: number | null;
  readonly variant: 'json' | 'msgpack';
}

export interface PersonDeps {
  readonly gatewayUrl: string;
  readonly show: string;
  readonly user: string;
  readonly name: string;
  readonly voice: Voice;
  readonly token: string;
  readonly traits: Traits;
  readonly random: Prng;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  readonly pay: (reservation: ReservationView) => Promise<ReservationView | null>;
}

/**
 * How people are spread over habits. Shares of a hundred are guesses; every habit occurs in an
 * audience of some dozens.
 */
export function drawTraits(random: Prng, options: { talks: boolean }): Traits {
  return {
    chatEveryMs: options.talks && random.chance(0.6) ? random.int(8_000, 40_000) : null,
    heartsEveryMs: random.chance(0.5) ? random.int(2_000, 15_000) : null,
    buys: random.chance(0.85),
    habit: random.weighted<Habit>([
      ['steady', 60],
      ['early', 14],
      ['repeater', 12],
      ['greedy', 8],
      ['muddled', 6],
    ]),
    intent: random.weighted<Intent>([
      ['pay', 65],
      ['abandon', 27],
      ['release', 8],
    ]),
    losesLineEveryMs: random.chance(0.15) ? random.int(10_000, 40_000) : null,
    variant: random.chance(0.5) ? 'msgpack' : 'json',
  };
}

/**
 * The first seconds after a sale opened are a rush; minutes later people talk about what they got.
 */
const RUSH_MS = 8_000;

export class Person {
  readonly #deps: PersonDeps;
  readonly client: StampedeClient;
  readonly #shopped = new Set<string>();
  #connectedAt = Infinity;
  #stopped = false;

  constructor(deps: PersonDeps) {
    this.#deps = deps;
    this.client = connect({
      url: deps.gatewayUrl,
      show: deps.show,
      token: deps.token,
      WebSocket,
      variant: deps.traits.variant,
      random: deps.random.next,
    });
    this.#listen();
    const { chatEveryMs, heartsEveryMs, losesLineEveryMs } = deps.traits;
    if (chatEveryMs !== null)
      void this.#every(chatEveryMs, () =>
        this.say(deps.voice.say(deps.random, this.#mood(), this.#products(), this.#sizes())),
      );
    if (heartsEveryMs !== null) void this.#every(heartsEveryMs, () => this.#heart());
    if (losesLineEveryMs !== null) void this.#every(losesLineEveryMs, () => this.#loseLine());
  }

  get name(): string {
    return this.#deps.name;
  }

  /** Says something now; a refusal is counted by its code. */
  say(text: string): void {
    const { tally, name } = this.#deps;
    if (this.client.status.at !== 'open') return;
    tally.chatSent(name, text);
    void this.client.chat(text).then((outcome) => {
      if (outcome.ok || this.#stopped) return;
      tally.sent.chatRefused += 1;
      tally.refused(`chat: ${outcome.error.code}`);
    });
  }

  /** Leaves for good and adds the line's own counters to the tally. */
  leave(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const { tally } = this.#deps;
    const { connects, resumes, snapshots, gaps, frames } = this.client.stats;
    tally.line.connects += connects;
    tally.line.reconnects += Math.max(0, connects - 1);
    tally.line.resumes += resumes;
    tally.line.snapshots += snapshots;
    tally.line.gaps += gaps;
    tally.delivered.frames += frames;
    this.client.close();
  }

  #listen(): void {
    const { tally, name } = this.#deps;
    const { client } = this;
    client.on('welcome', () => {
      this.#connectedAt = performance.now();
      for (const sale of client.model.sales.values()) this.#consider(sale);
      for (const reservation of client.model.reservations.values()) tally.changed(reservation);
    });
    client.on('event', (event) => {
      tally.delivered.events += 1;
      const sale = event.data.sale;
      if (typeof sale === 'object' && sale !== null) this.#consider(sale as SaleView);
    });
    client.on('chat', ({ messages, history }) => {
      if (!history)
        for (const message of messages) tally.chatReceived(message.name, message.text, name, this.#connectedAt);
    });
    client.on('state', () => {
      tally.delivered.state += 1;
    });
    client.on('missed', (count) => {
      tally.delivered.missed += count;
    });
    client.on('you', (reservation) => {
      tally.delivered.personal += 1;
      tally.changed(reservation);
    });
    client.on('status', (state) => {
      if (state.at === 'waiting' || state.at === 'connecting') this.#connectedAt = Infinity;
      if (state.at !== 'closed' || this.#stopped) return;
      tally.line.stopped += 1;
      tally.violation(`${name} was sent away: ${state.code} ${state.reason}`);
    });
  }

  /** Everybody goes shopping once per sale, when it is announced or found open. */
  #consider(sale: SaleView): void {
    const { traits, random, tally, pay, user } = this.#deps;
    if (!traits.buys || this.#shopped.has(sale.id)) return;
    if (sale.state !== 'scheduled' && sale.state !== 'open') return;
    this.#shopped.add(sale.id);
    void shop(
      {
        client: this.client,
        user,
        random: random.fork(this.#shopped.size),
        tally,
        habit: traits.habit,
        intent: traits.intent,
        pay,
        wait: (ms) => this.#wait(ms),
      },
      sale.id,
    );
  }

  #heart(): void {
    const count = this.#deps.random.int(1, 6);
    this.#deps.tally.sent.hearts += count;
    this.client.heart(count);
  }

  #loseLine(): void {
    if (this.client.status.at === 'open') this.client.reconnect();
  }

  async #every(meanMs: number, act: () => void): Promise<void> {
    while (await this.#wait(this.#deps.random.waitMs(meanMs))) act();
  }

  async #wait(ms: number): Promise<boolean> {
    try {
      await sleep(Math.max(0, ms), undefined, { signal: this.#deps.signal });
    } catch {
      return false;
    }
    return !this.#stopped;
  }

  #mood(): Mood {
    const now = this.client.serverNow();
    for (const sale of this.client.model.sales.values()) {
      if (sale.state === 'scheduled') return 'waiting';
      if (sale.state === 'open') return sale.opensAt !== null && now - sale.opensAt < RUSH_MS ? 'rush' : 'after';
    }
    return 'after';
  }

  #products(): string[] {
    return [...this.client.model.products.values()].map((product) => product.title);
  }

  #sizes(): string[] {
    return [...this.client.model.products.values()].flatMap((product) =>
      product.skus.map((sku) => sku.title ?? sku.sku),
    );
  }
}
