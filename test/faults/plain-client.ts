/** A viewer written from SPEC.md alone, without the SDK. It records every breach of the rules. */
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Prng } from '../../bench/generator/prng.ts';
import type { Reply } from '../../bench/users/buyer.ts';
import type {
  ChatGroup,
  Frame,
  ReservationView,
  SaleView,
  ShowEvent,
  Snapshot,
  Welcome,
} from '../../src/protocol/messages.ts';
import { holdsIn } from '../support/until.ts';

export type Fields = Readonly<Record<string, unknown>>;
/** `seenAt`: when it was received, on this machine's clock. */
type SeenEvent = ShowEvent & { readonly epoch: string; readonly seenAt: number };
/** `gone`: a hold that a welcome no longer lists. */
type Reservation = Omit<ReservationView, 'state'> & { readonly state: ReservationView['state'] | 'gone' };
type PlainReply = Exclude<Reply, { t: 'ok' }> | { readonly t: 'ok'; readonly data?: Fields };

/** `urls`: the next one is tried when a connection breaks. */
type ClientPlan = { readonly urls: readonly string[]; show: string; token: string | null; prng: Prng };

/** Longer than any reply may take: a command's timeout, its repetition, a slow machine. */
const REPLY_MS_MAX = 20_000;
const RECONNECT_MS_MAX = 1_000;
const OPEN_MS_MAX = 15_000;

export class PlainClient {
  /** Breaches of the protocol. */
  readonly problems: string[] = [];
  readonly events: SeenEvent[] = [];
  readonly mine = new Map<string, Reservation>();
  readonly sales = new Map<string, { rev: number; state: string; left: Map<string, number> }>();
  readonly replyMs: number[] = [];
  /** Chat by epoch and id. */
  readonly heard = new Map<string, string>();
  /** Id of the last chat message; null after a snapshot, until the next message. */
  chatAt: number | null = null;
  /** Messages that did not come, less those that were announced as missed. */
  #chatHoles = 0;
  epoch = '';
  offset = 0;
  /** Snapshots after the first: each replaces events that were not received one by one. */
  snapshots = 0;
  /** Connections lost. */
  losses = 0;
  resumed = 0;
  node = '';
  lastClose: { code: number; bye: Fields | null } | null = null;
  /** The last upgrade that was refused (H-4). */
  lastRefusal: { status: number; code: string } | null = null;
  readonly #plan: ClientPlan;
  readonly #waiting = new Map<number, { sentAt: number; resolve: (reply: PlainReply) => void }>();
  #socket: WebSocket | null = null;
  #welcomed = false;
  #everWelcomed = false;
  #wanted = true;
  #nextId = 1;
  #at: number;
  #gap = false;
  #bye: Fields | null = null;
  #connecting: Promise<void> | null = null;

  constructor(plan: ClientPlan) {
    this.#plan = plan;
    this.#at = plan.prng.int(0, plan.urls.length - 1);
  }

  get connected(): boolean {
    return this.#welcomed;
  }

  /** Resolves with the welcome. Keeps trying until then, and after every loss. */
  connect(): Promise<void> {
    this.#connecting ??= this.#keepTrying();
    return this.#connecting;
  }

  async #keepTrying(): Promise<void> {
    for (let attempt = 0; this.#wanted && !(await this.#open()); attempt++) {
      this.#at++;
      await sleep(this.#plan.prng.next() * Math.min(RECONNECT_MS_MAX, 50 * 2 ** attempt));
    }
    this.#connecting = null;
  }

  #open(): Promise<boolean> {
    const { urls, show, token } = this.#plan;
    const chat = this.chatAt === null ? '' : `&chat=${this.chatAt}`;
    const position = this.#everWelcomed ? `?epoch=${encodeURIComponent(this.epoch)}&offset=${this.offset}${chat}` : '';
    const url = `${urls[this.#at % urls.length]}/v1/shows/${show}${position}`;
    const socket = new WebSocket(url, ['stampede.v1.json', ...(token === null ? [] : [`token.${token}`])], {
      handshakeTimeout: OPEN_MS_MAX,
    });
    this.#socket = socket;
    this.#bye = null;
    return new Promise((resolve) => {
      const late = setTimeout(() => socket.terminate(), OPEN_MS_MAX);
      socket.on('message', (data) => {
        this.#receive(JSON.parse(String(data)) as Fields);
        if (this.#welcomed) {
          clearTimeout(late);
          resolve(true);
        }
      });
      socket.on('error', () => {});
      socket.on('unexpected-response', async (request, response) => {
        this.lastRefusal = { status: response.statusCode ?? 0, code: codeIn(await text(response)) };
        request.destroy();
        socket.terminate();
      });
      socket.on('close', (code) => {
        clearTimeout(late);
        resolve(false);
        this.#onClose(socket, code);
      });
    });
  }

  #onClose(socket: WebSocket, code: number): void {
    if (socket !== this.#socket) return;
    const had = this.#welcomed;
    this.#welcomed = false;
    this.#gap = false;
    this.lastClose = { code, bye: this.#bye };
    if (had) this.losses++;
    for (const { resolve } of this.#waiting.values()) resolve({ t: 'lost' });
    this.#waiting.clear();
    if (!this.#wanted) return;
    // 42xx: a reconnect is useless.
    if (code >= 4200 && code < 4300) this.#wanted = false;
    else if (had) void this.connect();
  }

  /** Resolves with the one reply. No reply in time on an open connection is a breach of Q-5. */
  request(message: Fields): Promise<PlainReply> {
    const socket = this.#socket;
    if (!this.#welcomed || !socket) return Promise.resolve({ t: 'lost' });
    const id = this.#nextId++;
    return new Promise((done) => {
      const late = setTimeout(() => {
        this.#waiting.delete(id);
        this.problems.push(`Q-5: ${String(message.t)} got no reply within ${REPLY_MS_MAX} ms`);
        done({ t: 'lost' });
        socket.terminate();
      }, REPLY_MS_MAX);
      const resolve = (reply: PlainReply): void => {
        clearTimeout(late);
        done(reply);
      };
      this.#waiting.set(id, { sentAt: performance.now(), resolve });
      socket.send(JSON.stringify({ ...message, id }));
    });
  }

  async close(): Promise<void> {
    this.#wanted = false;
    const socket = this.#socket;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.close(1000);
    await Promise.race([closed, sleep(1_000)]);
    socket.terminate();
  }

  until(holds: () => boolean, timeoutMs = 10_000): Promise<boolean> {
    return holdsIn(timeoutMs, holds, 5);
  }

  #receive(message: Fields): void {
    switch (message.t) {
      case 'welcome':
        return this.#onWelcome(message as unknown as Welcome);
      case 'frame':
        if (!this.#welcomed) this.problems.push('W-1: a frame before the welcome');
        return this.#onFrame(message as unknown as Frame);
      case 'you':
        return this.#own(message.reservation as Reservation | undefined);
      case 'holdings':
        return this.#ownExactly(message.reservations as Reservation[]);
      case 'bye':
        this.#bye = message;
        return;
      case 'ok':
      case 'error':
        this.#onReply(message);
    }
  }

  #onReply(message: Fields): void {
    const waiting = this.#waiting.get(Number(message.id));
    if (!waiting)
      return void this.problems.push(`Q-5: a reply to no open request: ${JSON.stringify(message).slice(0, 200)}`);
    this.#waiting.delete(Number(message.id));
    this.replyMs.push(performance.now() - waiting.sentAt);
    const { reservation, replayed } = (message.data ?? {}) as { reservation?: Reservation; replayed?: true };
    this.#own(reservation, replayed);
    waiting.resolve(message as PlainReply);
  }

  /** An ended reservation stays ended: messages and replies may overtake each other (M-5). */
  #own(reservation: Reservation | undefined, replayed = false): void {
    if (!reservation) return;
    const known = this.mine.get(reservation.id);
    if (replayed && known && reservation.state === 'held') return; // The recorded reply.
    if (!known || known.state === 'held' || known.state === 'gone') this.mine.set(reservation.id, reservation);
  }

  /** A welcome lists the live reservations. Others have ended, unless Redis is unavailable. */
  #ownOnly(live: readonly Reservation[]): void {
    for (const [id, reservation] of this.mine)
      if (reservation.state === 'held' && !live.some((listed) => listed.id === id))
        this.mine.set(id, { ...reservation, state: 'gone' });
    for (const reservation of live) this.#own(reservation);
  }

  /** W-7: what is not listed was lost, and an end may have been lost. */
  #ownExactly(live: readonly Reservation[]): void {
    for (const [id, { state }] of this.mine) if (state === 'held' || state === 'confirmed') this.mine.delete(id);
    for (const reservation of live) this.mine.set(reservation.id, reservation);
  }

  #onWelcome({ snapshot, resumed, you, node, chat }: Welcome): void {
    this.node = node;
    this.#ownOnly(you.reservations);
    if (snapshot) {
      if (this.#everWelcomed) this.snapshots++;
      this.#adopt(snapshot);
      this.#onChat(chat);
      this.chatAt ??= 0;
    } else if (resumed && this.#everWelcomed) this.resumed++;
    else this.problems.push('W-1: a welcome with neither snapshot nor resumed');
    this.#welcomed = true;
    this.#everWelcomed = true;
  }

  #adopt({ epoch, offset, sales }: Snapshot): void {
    this.epoch = epoch;
    this.offset = offset;
    this.#gap = false;
    this.chatAt = null;
    this.#chatHoles = 0;
    this.sales.clear();
    for (const sale of sales) this.#adoptSale(sale);
  }

  /** Messages up to `last` that neither came nor were announced; negative: too many announced. */
  chatLeftOut(last: number): number {
    return this.chatAt === null ? 0 : this.#chatHoles + Math.max(0, last - this.chatAt);
  }

  #onChat(groups: readonly ChatGroup[]): void {
    for (const [firstId, , items] of groups)
      for (const [i, , , text] of items) {
        const id = firstId + i;
        const place = `${this.epoch}/${id}`;
        const known = this.heard.get(place);
        if (known !== undefined && known !== text)
          this.problems.push(`C-4: chat ${id} was ${JSON.stringify(known)} and is ${JSON.stringify(text)}`);
        this.heard.set(place, text);
        if (this.chatAt !== null && id <= this.chatAt) continue;
        if (this.chatAt !== null) this.#chatHoles += id - this.chatAt - 1;
        this.chatAt = id;
      }
  }

  #adoptSale({ id, rev, state, skus }: SaleView): void {
    const known = this.sales.get(id);
    if (known && rev < known.rev) return;
    this.sales.set(id, { rev, state, left: new Map(skus.map(({ sku, left }) => [sku, left])) });
  }

  #onFrame({ epoch, events = [], snapshot, state, chat = [], missed = 0 }: Frame): void {
    if (snapshot) {
      this.snapshots++;
      this.#adopt(snapshot);
    }
    this.#chatHoles -= missed;
    this.#onChat(chat);
    for (const event of events) this.#onEvent(epoch ?? this.epoch, event);
    for (const sale of state?.sales ?? []) {
      const known = this.sales.get(sale.id);
      if (!known || sale.rev < known.rev) continue;
      known.rev = sale.rev;
      known.state = sale.state;
      for (const [sku, units] of Object.entries(sale.left)) known.left.set(sku, units);
    }
  }

  #onEvent(epoch: string, event: ShowEvent): void {
    const { offset, data } = event;
    if (epoch === this.epoch && offset <= this.offset) return;
    if (epoch !== this.epoch || offset > this.offset + 1) return this.#onGap();
    this.offset = offset;
    this.events.push({ ...event, epoch, seenAt: Date.now() });
    if (data.sale && typeof data.sale === 'object') this.#adoptSale(data.sale as SaleView);
  }

  /** E-2: requests a resume once, and ignores events until it is done. */
  #onGap(): void {
    if (this.#gap) return;
    this.#gap = true;
    const chat = this.chatAt === null ? {} : { chat: this.chatAt };
    void this.request({ t: 'resume', epoch: this.epoch, offset: this.offset, ...chat }).then((reply) => {
      this.#gap = false;
      if (reply.t === 'error' && this.#welcomed) setTimeout(() => this.#onGap(), 200).unref();
    });
  }
}

function codeIn(body: string): string {
  try {
    return String((JSON.parse(body) as Fields).code);
  } catch {
    return body.slice(0, 100);
  }
}
