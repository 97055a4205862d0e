/** The virtual users of a scenario. What buyers send and receive is recorded in the history. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import { replyOf } from '../../bench/users/back-office.ts';
import {
  type Action,
  Buyer,
  type BuyerPlan,
  type Decision,
  isReplayed,
  isUnknown,
  type Reply,
  reservationOf,
  UNKNOWN_OUTCOME,
  type UserConnection,
  type UserRequest,
} from '../../bench/users/buyer.ts';
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import { HistoryRecorder, type Operation, type Outcome } from '../support/history-checker.ts';
import { type EngineUnderTest, SHOW } from './engine-under-test.ts';
import { type FlashSaleShow, SKUS, signToken } from './flash-sale.ts';
import { PlainClient } from './plain-client.ts';

export interface World {
  readonly staged: FlashSaleShow;
  readonly gatewayUrls: readonly string[];
  readonly history: HistoryRecorder;
  /** Nothing is repeated after this moment (this machine's clock). */
  readonly untilMs: number;
  /** Presses are spread over this time after the opening. */
  readonly spreadMs: number;
}

type Grant = { readonly key: string; readonly reservation: ReservationView; readonly repliedAt: number };

const TEMPORARY = ['sale_not_open', 'sale_paused', 'overloaded', 'rate_limited', 'too_many_in_flight', 'draining'];
/** Codes after which the same key may be sent again. */
const RETRIES: ReadonlySet<string> = new Set([...UNKNOWN_OUTCOME, ...TEMPORARY]);
/** How long a buyer on the waitlist waits for an offer. */
const OFFER_WAIT_MS = [50, 900] as const;
const CHAT_PAUSE_MS = [150, 500] as const;
/** Weights of what a buyer does with its hold. */
const WEIGHTS = { pay: 50, release: 20, 'release over HTTP': 10, abandon: 20 };
const DECISIONS = Object.entries(WEIGHTS) as Array<[Decision, number]>;
/** One buyer in so many has a second device. */
const DEVICE_EVERY = 3;

/** How the history records a reply. */
export function outcomeOf(reply: Reply): Outcome {
  if (isUnknown(reply)) return { type: 'unknown' };
  if (reply.t === 'error') return { type: 'fail', code: reply.code };
  const id = reservationOf(reply)?.id;
  return { type: 'ok', ...(id ? { reservation: id } : {}), ...(isReplayed(reply) ? { replayed: true } : {}) };
}

/** A buyer on the plain client, and what it was granted. */
export class FaultBuyer implements UserConnection {
  readonly user: string;
  readonly client: PlainClient;
  readonly grants: Grant[] = [];
  /** Offers from the waitlist that this buyer saw. */
  readonly offers: Omit<Grant, 'key'>[] = [];
  /** Every request to join the waitlist, by key; `joinedAt` when it was accepted. */
  readonly joins = new Map<string, { item: Item; joinedAt: number | null }>();
  /** How a reservation ended, by the replies to this buyer. */
  readonly ended = new Map<string, { state: string; orderRef?: string; repliedAt: number }>();
  /** Requests whose outcome was unknown when time was up. */
  readonly unresolved: string[] = [];
  readonly refused = new Map<string, number>();
  readonly buyer: Buyer;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #sale: string;

  constructor(user: string, world: World, prng: Prng, { id: sale, opensAt }: FlashSaleShow['sales'][number]) {
    const { staged, gatewayUrls: urls, spreadMs, untilMs } = world;
    this.user = user;
    this.#world = world;
    this.#prng = prng;
    this.#sale = sale;
    this.client = new PlainClient({ urls, show: SHOW, token: signToken(user), prng: prng.fork(7) });
    this.buyer = new Buyer({
      user,
      sale,
      opensAtMs: opensAt,
      connection: this,
      plan: this.#plan(spreadMs),
      random: prng,
      log: { attempt: (action, _, send) => this.#attempt(action, send), decided: (...all) => this.#decided(...all) },
      http: (what, { id, amount }, key) => {
        const office = prng.pick(staged.offices);
        if (what === 'release') return replyOf(office.release(SHOW, id, key));
        return replyOf(office.confirm(SHOW, id, { orderRef: `order-${id}`, amount }, key));
      },
      isOver: () => Date.now() > untilMs,
      keyOf: (round) => `r-${round}`,
    });
  }

  nowMs(): number {
    return Date.now();
  }

  async waitUntil(atMs: number): Promise<boolean> {
    await sleep(Math.max(0, atMs - Date.now()));
    return true;
  }

  async connected(): Promise<void> {
    await this.client.until(() => this.client.connected, Math.max(0, this.#world.untilMs - Date.now()));
  }

  async request(message: UserRequest): Promise<Reply> {
    if (!this.client.connected) await this.connected();
    return this.client.request(message);
  }

  /** The hold, or null when it was refused for good. */
  async reserve(key: string): Promise<ReservationView | null> {
    const reply = await this.buyer.reserve(key, drawItems(this.#prng), 'late', Date.now());
    return reply === null ? null : reservationOf(reply);
  }

  #plan(spreadMs: number): BuyerPlan {
    const prng = this.#prng;
    return {
      rounds: prng.int(1, 3),
      wantsMore: true,
      // Some press before the sale opens.
      reactionMs: prng.int(-150, spreadMs),
      pauseMs: [0, 150],
      retries: RETRIES,
      items: drawItems,
      decide: (draw) => ({ what: draw.weighted(DECISIONS), afterMs: draw.int(0, 250) }),
      afterRefusal: async (_buyer, refusal, [first], round, draw) => {
        if (refusal.t === 'error' && refusal.code === 'sold_out' && first) await this.#wait(first, round, draw);
        return true;
      },
    };
  }

  /** Joins the waitlist and decides on an offer. Without one it sometimes leaves the waitlist. */
  async #wait(item: Item, round: number, draw: Prng): Promise<void> {
    const key = `w-${round}`;
    this.joins.set(key, { item, joinedAt: null });
    const joined = await this.buyer.waitlist('join', key, item);
    if (joined?.t === 'ok') this.joins.set(key, { item, joinedAt: Date.now() });
    else if (joined?.t === 'error' && joined.code !== 'already_waiting') return;
    const isSeen = (id: string): boolean => this.offers.some(({ reservation }) => reservation.id === id);
    const offered = () =>
      [...this.client.mine.values()].find(({ id, offer, state }) => offer && state === 'held' && !isSeen(id));
    await this.client.until(() => offered() !== undefined, draw.int(...OFFER_WAIT_MS));
    const reservation = offered() as ReservationView | undefined;
    if (reservation) {
      this.offers.push({ reservation, repliedAt: Date.now() });
      await this.buyer.decide(reservation, draw);
    } else if (draw.chance(0.4)) await this.buyer.waitlist('leave', `l-${round}`, item);
  }

  async #attempt(action: Action, send: () => Promise<Reply>): Promise<Reply> {
    const operation = operationOf(this.user, this.#sale, action);
    const reply = await (operation === null ? send() : this.#world.history.record(operation, send, outcomeOf));
    if (reply.t === 'error') this.refused.set(reply.code, (this.refused.get(reply.code) ?? 0) + 1);
    return reply;
  }

  #decided(action: Action, reply: Reply | null): void {
    if (reply === null) this.unresolved.push(`${action.do} ${action.key}`);
    const reservation = reply === null ? null : reservationOf(reply);
    if (reservation === null) return;
    if (action.do === 'reserve') this.granted(action.key, reservation);
    else this.end(reservation);
  }

  granted(key: string, reservation: ReservationView): void {
    this.grants.push({ key, reservation, repliedAt: Date.now() });
    // From its deadline on the hold may have expired.
    const { entries } = this.#world.history;
    const invoke = { do: 'expire', reservation: reservation.id } as const;
    const expire = () => entries.push({ id: -1 - entries.length, invoke });
    setTimeout(expire, reservation.heldUntil - Date.now()).unref();
  }

  end({ id, state, orderRef }: Pick<ReservationView, 'id' | 'state' | 'orderRef'>): void {
    this.ended.set(id, { state, ...(orderRef ? { orderRef } : {}), repliedAt: Date.now() });
  }
}

const drawItems = (draw: Prng): Item[] =>
  draw.chance(0.2) ? SKUS.map((sku) => ({ sku, qty: 1 })) : [{ sku: draw.pick(SKUS), qty: draw.int(1, 2) }];

function operationOf(user: string, sale: string, action: Action): Operation | null {
  const { key } = action;
  if (action.do === 'reserve') return { do: 'reserve', user, key, sale, lines: action.items };
  const isEnd = action.do === 'confirm' || action.do === 'release';
  return isEnd ? { do: action.do, reservation: action.reservation.id, key } : null;
}

export type AcceptedMessage = ReturnType<typeof createWriter>['accepted'][number];

/** A viewer that writes chat. A refused or lost message is not repeated: chat has no keys. */
function createWriter(user: string, { gatewayUrls: urls, untilMs }: World, prng: Prng) {
  const token = signToken(user, 3_600_000, 'viewer');
  const client = new PlainClient({ urls, show: SHOW, token, prng: prng.fork(7) });
  const accepted: Array<{ epoch: string; id: number; text: string; repliedAt: number }> = [];
  const write = async (isOver: () => boolean): Promise<void> => {
    for (let n = 1; !isOver() && Date.now() < untilMs; n++) {
      const text = `${user} says ${n}`;
      const reply = await client.request({ t: 'chat', text });
      const { epoch } = client;
      if (reply.t === 'ok') accepted.push({ epoch, id: Number(reply.data?.chat), text, repliedAt: Date.now() });
      await sleep(prng.int(...CHAT_PAUSE_MS));
    }
  };
  return { client, accepted, write };
}

export interface UsersPlan {
  readonly buyers?: number;
  readonly viewers?: number;
  readonly writers?: number;
  readonly spreadMs?: number;
  /** How long after the opening a lost request is repeated. */
  readonly patienceMs?: number;
  readonly gatewayUrls?: readonly string[];
  /** Viewers without a token go to another node too. */
  readonly viewersMove?: boolean;
}

export type Users = Awaited<ReturnType<typeof joinUsers>>;

/** Connects all users. */
export async function joinUsers(engine: EngineUnderTest, staged: FlashSaleShow, prng: Prng, plan: UsersPlan = {}) {
  const { patienceMs = 30_000, spreadMs = 600, gatewayUrls = engine.gatewayUrls } = plan;
  const untilMs = staged.opensAt + patienceMs;
  const world: World = { staged, gatewayUrls, history: new HistoryRecorder(), untilMs, spreadMs };
  const times = <T>(length: number, make: (at: number) => T): T[] => Array.from({ length }, (_, at) => make(at));
  const client = (urls: readonly string[], token: string | null, label: number): PlainClient =>
    new PlainClient({ urls, show: SHOW, token, prng: prng.fork(label) });

  const saleOf = (at: number) => staged.sales[at % staged.sales.length] as (typeof staged.sales)[number];
  const buyers = times(plan.buyers ?? 40, (at) => new FaultBuyer(`buyer-${at}`, world, prng.fork(at), saleOf(at)));
  // A viewer stays on one node, so that its connection breaks only with that node.
  const nodeUrls = (at: number) => (plan.viewersMove ? gatewayUrls : [gatewayUrls[at % gatewayUrls.length] ?? '']);
  const viewers = times(plan.viewers ?? 4, (at) => client(nodeUrls(at), null, 1_000 + at));
  // Second devices send nothing and must receive everything.
  const owners = buyers.filter((_, at) => at % DEVICE_EVERY === 0);
  const devices = owners.map(({ user }, at) => ({ user, client: client(gatewayUrls, signToken(user), 2_000 + at) }));
  const writers = times(plan.writers ?? 3, (at) => createWriter(`talker-${at}`, world, prng.fork(3_000 + at)));
  const clients = [...[...buyers, ...devices, ...writers].map((user) => user.client), ...viewers];
  await Promise.all(clients.map((each) => each.connect()));
  const users = { world, buyers, viewers, writers, devices, clients };
  return {
    ...users,
    /** Resolves at a moment before or after the opening; at once when it has passed. */
    opening: (plusMs = 0): Promise<void> => sleep(Math.max(0, staged.opensAt + plusMs - Date.now())),
    /** Buyers buy, writers write, and the fault happens. Resolves when all is decided. */
    async rush(fault: () => Promise<unknown> = async () => {}): Promise<void> {
      let isOver = false;
      const playing = Promise.all(buyers.map(({ buyer }) => buyer.play())).then(() => {
        isOver = true;
      });
      await Promise.all([playing, fault(), ...writers.map((writer) => writer.write(() => isOver))]);
      // Messages about the last decisions are still under way.
      await sleep(50);
    },
    leave: () => Promise.all(clients.map((each) => each.close())),
  };
}
