/** One viewer of one show: puts the line, the clock, the model and the requests together. */
import { LIMITS } from '../protocol/limits.ts';
import type { Ok, Item as ReservationLine, ReservationView, ServerMessage, Welcome } from '../protocol/messages.ts';
import { type ClockReading, ServerClock } from './clock.ts';
import { type ClientCodec, jsonCodec } from './codec.ts';
import type {
  ClientEvents,
  ClientOptions,
  ClientStats,
  CountdownReading,
  Durability,
  Reserved,
  Waiting,
} from './contract.ts';
import { Emitter } from './emitter.ts';
import { type Outcome, refused } from './failures.ts';
import { Hearts } from './hearts.ts';
import { Line, type LineState, type SocketClass } from './line.ts';
import { type Applied, Model, type ShowModel, waitKey } from './model.ts';
import { Requests } from './requests.ts';
import { SyncLoop } from './sync-loop.ts';

const REQUEST_TIMEOUT_MS = 6_000;
/** How long a keyed request is repeated before its outcome is called unknown. */
const KEYED_DEADLINE_MS = 30_000;
/** A gap that comes back after so many resumes in a row is answered by starting over. */
const RESUMES_IN_A_ROW_MAX = 3;

export class StampedeClient {
  readonly #options: ClientOptions;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #model = new Model();
  readonly #clock = new ServerClock();
  readonly #line: Line;
  readonly #requests: Requests;
  readonly #sync: SyncLoop;
  readonly #hearts = new Hearts((n) => void this.#line.send({ t: 'react', n }));
  #stats = { connects: 0, resumes: 0, snapshots: 0, gaps: 0, frames: 0 };
  #connectStartedAt = 0;
  /** Where a leaving node sent us: tried once, then the address we were given counts again. */
  #movedTo: string | null = null;
  #resuming = false;
  #resumesInARow = 0;
  #you: Welcome['you'] | null = null;

  constructor(options: ClientOptions) {
    this.#options = options;
    const Socket = options.WebSocket ?? (globalThis as { WebSocket?: SocketClass }).WebSocket;
    if (Socket === undefined)
      throw new TypeError('This platform has no WebSocket: pass one, for example that of the "ws" package.');
    const base = gatewayBase(options.url);
    this.#line = new Line({
      Socket,
      token: options.token,
      random: options.random ?? Math.random,
      loadCodec: () => loadCodec(options.variant ?? 'json'),
      address: () => this.#address(base),
      onState: (state) => this.#onState(state),
      onMessage: (message) => this.#onMessage(message),
    });
    this.#requests = new Requests({
      send: (message) => this.#line.send(message),
      attemptTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      waitingMax: LIMITS.inFlightPerConnectionMax,
    });
    this.#sync = new SyncLoop({
      clock: this.#clock,
      exchange: (at) => this.#requests.once((id) => ({ t: 'sync', id, at })),
      onSilence: () => this.#line.restart('the server does not answer'),
      random: options.random ?? Math.random,
    });
    void this.#line.start();
  }

  /** Calls `listener` on every event of the type; answers a function that stops it. */
  on<Type extends keyof ClientEvents>(type: Type, listener: (payload: ClientEvents[Type]) => void): () => void {
    return this.#emitter.on(type, listener);
  }

  once<Type extends keyof ClientEvents>(type: Type, listener: (payload: ClientEvents[Type]) => void): () => void {
    return this.#emitter.once(type, listener);
  }

  /** What is known of the show right now. */
  get model(): ShowModel {
    return this.#model;
  }

  /** Who you are, as the server said it; null before the first welcome. */
  get you(): Welcome['you'] | null {
    return this.#you;
  }

  get status(): LineState {
    return this.#line.state;
  }

  get stats(): ClientStats {
    return this.#stats;
  }

  /** Milliseconds since the Unix epoch on the server's clock. */
  serverNow(): number {
    return this.#clock.read().now;
  }

  /** The server's clock with the bound of its error. */
  clock(): ClockReading {
    return this.#clock.read();
  }

  /** What a sale counts down to, or null when it has no moment ahead. */
  countdown(saleId: string): CountdownReading | null {
    const sale = this.#model.sales.get(saleId);
    if (sale === undefined) return null;
    const reading = this.#clock.read();
    const toOpen = sale.state === 'scheduled';
    const at = toOpen ? sale.opensAt : sale.state === 'open' || sale.state === 'paused' ? sale.closesAt : null;
    return at === null
      ? null
      : { to: toOpen ? 'open' : 'close', at, remainingMs: Math.max(0, at - reading.now), errorMs: reading.errorMs };
  }

  /**
   * Says something; answers the message's number. Not repeated by itself: `unknown_outcome` may
   * have been said. `leftOut`: the room is louder than it shows, and only you see this one; it
   * comes as `chat` like the others.
   */
  async chat(text: string): Promise<Outcome<{ chat: number; leftOut: boolean }>> {
    const outcome = await this.#requests.once((id) => ({ t: 'chat', id, text }));
    if (!outcome.ok) return outcome;
    const { at, data } = outcome.value;
    const value = { chat: Number(data?.chat ?? 0), leftOut: data?.leftOut === true };
    if (value.leftOut) {
      const message = { id: value.chat, at, name: this.#you?.name ?? '', text: text.trim(), mark: 0 };
      if (this.#model.addOwnChat(message)) this.#emitter.emit('chat', { messages: [message], history: false });
    }
    return { ok: true, value };
  }

  /**
   * Sends hearts, gathered for a moment into one message; more than one message may carry are not
   * counted.
   */
  heart(count = 1): void {
    this.#hearts.add(count);
  }

  /**
   * Reserves units, all lines or nothing. Repeats the same key by itself until there is an answer,
   * so one call can never take units twice; after `unknown_outcome`, call again with the same `key`
   * and lines.
   */
  async reserve(request: {
    sale: string;
    lines: readonly ReservationLine[];
    key?: string;
    deadlineMs?: number;
  }): Promise<Outcome<Reserved>> {
    const key = request.key ?? newKey();
    const lines = request.lines.map((line) => ({ ...line }));
    const outcome = await this.#requests.repeat(
      (id) => ({ t: 'reserve', id, key, sale: request.sale, lines }),
      request.deadlineMs ?? KEYED_DEADLINE_MS,
    );
    return this.#reservationOutcome(outcome, key);
  }

  /** Gives a hold back before it lapses. */
  async release(reservation: string, options: { key?: string; deadlineMs?: number } = {}): Promise<Outcome<Reserved>> {
    const key = options.key ?? newKey();
    const outcome = await this.#requests.repeat(
      (id) => ({ t: 'release', id, key, reservation }),
      options.deadlineMs ?? KEYED_DEADLINE_MS,
    );
    return this.#reservationOutcome(outcome, key);
  }

  /**
   * Joins the line for a sold-out SKU. When units come free and it is your turn they are held for
   * you: a `you` event with `offer` set, on any device. Refused with `units_free` while there is
   * something to reserve.
   */
  async joinWaitlist(request: {
    sale: string;
    sku: string;
    qty?: number;
    key?: string;
    deadlineMs?: number;
  }): Promise<Outcome<Waiting>> {
    const { sale, sku, qty = 1 } = request;
    const outcome = await this.#waitlist('join', request, { qty });
    if (outcome.ok)
      this.#model.waits.set(waitKey(sale, sku), {
        sale,
        sku,
        qty,
        place: outcome.value.place,
        joinedAt: this.serverNow(),
      });
    return outcome;
  }

  /** Gives up the place in line. */
  async leaveWaitlist(request: {
    sale: string;
    sku: string;
    key?: string;
    deadlineMs?: number;
  }): Promise<Outcome<Waiting>> {
    const outcome = await this.#waitlist('leave', request, {});
    if (outcome.ok || outcome.error.code === 'not_waiting')
      this.#model.waits.delete(waitKey(request.sale, request.sku));
    return outcome;
  }

  async #waitlist(
    op: 'join' | 'leave',
    request: { sale: string; sku: string; key?: string; deadlineMs?: number },
    more: { qty?: number },
  ): Promise<Outcome<Waiting>> {
    const { sale, sku, key = newKey(), deadlineMs = KEYED_DEADLINE_MS } = request;
    const outcome = await this.#requests.repeat(
      (id) => ({ t: 'waitlist', id, key, op, sale, sku, ...more }),
      deadlineMs,
    );
    if (!outcome.ok) return outcome;
    const { place, waiting, replayed } = outcome.value.data ?? {};
    return { ok: true, value: { place: Number(place), waiting: Number(waiting), replayed: replayed === true, key } };
  }

  /**
   * Drops the connection and comes back at once from the same position, as a lost network would
   * make it.
   */
  reconnect(): void {
    this.#line.restart('asked for by the caller');
  }

  /**
   * Ends for good. Waiting requests are answered `closed`, those already sent `unknown_outcome`.
   */
  close(): void {
    this.#line.close();
    this.#requests.close();
    this.#sync.stop();
    this.#hearts.stop();
  }

  #reservationOutcome(outcome: Outcome<Ok>, key: string): Outcome<Reserved> {
    if (!outcome.ok) return outcome;
    const reservation = outcome.value.data?.reservation as ReservationView | undefined;
    if (reservation === undefined) return refused('invalid_message', 'The answer carries no reservation.');
    this.#model.applyReservation(reservation);
    const { replayed, durability } = outcome.value.data ?? {};
    return {
      ok: true,
      value: {
        reservation: this.#model.reservations.get(reservation.id) ?? reservation,
        replayed: replayed === true,
        durability: (durability as Durability | undefined) ?? 'unknown',
        key,
      },
    };
  }

  #address(base: string): string {
    this.#connectStartedAt = this.#clock.localNow();
    const gateway = this.#movedTo ?? base;
    this.#movedTo = null;
    const address = new URL(`${gateway}/v1/shows/${encodeURIComponent(this.#options.show)}`);
    if (this.#model.epoch !== null) {
      address.searchParams.set('epoch', this.#model.epoch);
      address.searchParams.set('offset', String(this.#model.offset));
      address.searchParams.set('chat', String(this.#model.lastChat));
    }
    return address.href;
  }

  #onState(state: LineState): void {
    if (state.at === 'waiting' || state.at === 'closed') {
      this.#sync.stop();
      this.#resuming = false;
      this.#requests.disconnected();
      if (state.at === 'closed') this.#requests.close();
    }
    // "open" is announced with the welcome, when the model is already right.
    if (state.at !== 'open') this.#emitter.emit('status', state);
  }

  #onMessage(message: ServerMessage): void {
    switch (message.t) {
      case 'welcome':
        this.#onWelcome(message);
        return;
      case 'frame':
        this.#stats.frames += 1;
        this.#announce(this.#model.applyFrame(message), message.snapshot !== undefined);
        if (message.state !== undefined) this.#emitter.emit('state', message.state);
        if (message.missed !== undefined && message.missed > 0) this.#emitter.emit('missed', message.missed);
        return;
      case 'ok':
      case 'error':
        this.#requests.answer(message);
        return;
      case 'you':
        this.#model.applyReservation(message.reservation);
        this.#emitter.emit('you', this.#model.reservations.get(message.reservation.id) ?? message.reservation);
        return;
      case 'bye':
        this.#movedTo = message.url === undefined ? null : gatewayBaseOrNull(message.url);
        this.#emitter.emit('bye', message);
        return;
      default:
        return; // a newer server may say things this version does not know
    }
  }

  #onWelcome(welcome: Welcome): void {
    const arrivedAt = this.#clock.localNow();
    this.#clock.reset();
    this.#clock.add(this.#connectStartedAt, welcome.at, welcome.at, arrivedAt);
    this.#stats.connects += 1;
    if (welcome.resumed === true) this.#stats.resumes += 1;
    this.#you = welcome.you;
    const applied = this.#model.applyWelcome(welcome);
    this.#emitter.emit('status', this.#line.state);
    this.#emitter.emit('welcome', welcome);
    this.#announce(applied, true);
    this.#requests.connected();
    this.#sync.start(welcome.limits.heartbeatMs);
  }

  #announce(applied: Applied, history: boolean): void {
    if (applied.snapshot) {
      this.#stats.snapshots += 1;
      this.#emitter.emit('snapshot', this.#model);
    }
    for (const event of applied.events) this.#emitter.emit('event', event);
    if (applied.chat.length > 0) this.#emitter.emit('chat', { messages: applied.chat, history });
    if (applied.gap) void this.#closeGap();
    else if (applied.events.length > 0 || applied.snapshot) this.#resumesInARow = 0;
  }

  async #closeGap(): Promise<void> {
    if (this.#resuming || this.#line.state.at !== 'open') return;
    this.#resuming = true;
    this.#stats.gaps += 1;
    this.#resumesInARow += 1;
    const { epoch, offset, lastChat } = this.#model;
    const outcome =
      this.#resumesInARow > RESUMES_IN_A_ROW_MAX
        ? refused('internal', 'Resuming does not help.')
        : await this.#requests.once((id) => ({ t: 'resume', id, epoch: epoch ?? '', offset, chat: lastChat }));
    this.#resuming = false;
    if (outcome.ok || this.#line.state.at !== 'open') return;
    this.#model.epoch = null; // without a position the next welcome brings a snapshot
    this.#resumesInARow = 0;
    this.#line.restart(`a gap could not be closed: ${outcome.error.code}`);
  }
}

/**
 * A key no two calls share. `crypto.randomUUID` is missing on plain http pages, `getRandomValues`
 * never.
 */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function gatewayBase(url: string): string {
  const parsed = new URL(url);
  if (parsed.protocol === 'http:') parsed.protocol = 'ws:';
  if (parsed.protocol === 'https:') parsed.protocol = 'wss:';
  if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:') throw new TypeError(`Not a WebSocket address: ${url}`);
  return parsed.href.replace(/\/+$/, '');
}

/** An address somebody else gave: not worth an exception. */
function gatewayBaseOrNull(url: string): string | null {
  try {
    return gatewayBase(url);
  } catch {
    return null;
  }
}

async function loadCodec(variant: 'json' | 'msgpack'): Promise<ClientCodec> {
  if (variant === 'json') return jsonCodec;
  return (await import('./msgpack.ts')).msgpackCodec;
}
