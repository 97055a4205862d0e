/** One viewer of one show: combines connection, clock, model and requests. */
import type { Page, ReservationView, ServerMessage, Welcome } from '../protocol/messages.ts';
import { gatewayBase, showAddress } from './address.ts';
import { emitChanges } from './changes.ts';
import { type ClockReading, ServerClock } from './clock.ts';
import { jsonCodec } from './codec.ts';
import { Connection, type ConnectionState, type SocketClass, WAKE_JITTER_MS } from './connection.ts';
import { Emitter } from './emitter.ts';
import { GapCloser } from './gap-closer.ts';
import { Hearts } from './hearts.ts';
import { KeyedRequests } from './keyed-requests.ts';
import { Model, type ModelChanges, type ShowModel, waitKey } from './model.ts';
import type { Outcome } from './outcome.ts';
import { PageLoop } from './page-loop.ts';
import { RefreshLoop } from './refresh-loop.ts';
import { Requests } from './requests.ts';
import { chatRefusal, countdownOf, reservationResult, waitlistResult } from './results.ts';
import { SyncLoop } from './sync-loop.ts';
import { TokenSource } from './token-source.ts';
import type {
  ClientEvents,
  ClientOptions,
  ClientStats,
  CountdownReading,
  JoinRequest,
  KeyedOptions,
  ReserveRequest,
  ReserveResult,
  WaitlistRequest,
  WaitlistResult,
} from './types.ts';
import { watchForWake } from './wake.ts';

const REQUEST_TIMEOUT_MS = 6_000;
/** A page or a resume may take so many times as long: the connection is slow, but alive. */
const PATIENCE = 20;

/** A viewer of a show: reconnects by itself, keeps the model and the clock, and sends requests. */
export class StampedeClient {
  readonly #options: ClientOptions;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #model = new Model();
  readonly #clock = new ServerClock();
  readonly #connection: Connection;
  readonly #requests: Requests;
  readonly #sync: SyncLoop;
  readonly #pages: PageLoop;
  readonly #gaps: GapCloser;
  readonly #refreshes: RefreshLoop;
  readonly #keyed: KeyedRequests;
  readonly #stopWatching: () => void;
  readonly #hearts = new Hearts((n) => void this.#connection.send({ t: 'react', n }));
  #stats = { connects: 0, resumes: 0, snapshots: 0, gaps: 0, frames: 0 };
  #connectStartedAt = 0;
  /** URL from a `bye`, used for one attempt. */
  #movedTo: string | null = null;
  #idleMs = Infinity;
  #chatChars = Infinity;
  #you: Welcome['you'] | null = null;
  #version = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { url, show, token, codec = jsonCodec, random = Math.random, ...rest } = options ?? {};
    const Socket = rest.WebSocket ?? (globalThis as { WebSocket: SocketClass }).WebSocket;
    const attemptTimeoutMs = rest.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    const base = gatewayBase(url) as string;
    const valid = {
      url: base,
      show: show && typeof show === 'string',
      WebSocket: typeof Socket === 'function',
      token: /string|function|undefined/.test(typeof token),
      codec: codec?.variant,
      requestTimeoutMs: typeof attemptTimeoutMs === 'number' && attemptTimeoutMs > 0,
      random: typeof random === 'function',
    };
    for (const [name, isValid] of Object.entries(valid))
      if (!isValid) throw new TypeError(`The option "${name}" is wrong. See ClientOptions.`);
    const tokens = new TokenSource(token);
    this.#connection = new Connection({
      Socket,
      tokens,
      random,
      codec,
      url: () => this.#url(base),
      onState: (state) => this.#onState(state),
      onMessage: (message) => this.#onMessage(message),
      onInvalid: () => {
        this.#model.epoch = null; // without a position the next welcome contains a snapshot
      },
    });
    this.#requests = new Requests({
      send: (message) => this.#connection.send(message),
      attemptTimeoutMs,
      onSlow: () => this.#sync.probe(),
    });
    this.#keyed = new KeyedRequests(this.#requests, random);
    this.#sync = new SyncLoop({
      clock: this.#clock,
      exchange: (at) => this.#requests.once({ t: 'sync', at }),
      silentMs: () => this.#connection.silentMs,
      isPatient: () => this.#pages.isRunning || this.#gaps.isRunning,
      onTimeout: () => this.#connection.restart('The server does not respond.'),
      random,
    });
    this.#pages = new PageLoop({
      request: (after) => this.#requests.once({ t: 'page', after }, PATIENCE),
      onPage: (isLast) => {
        this.#model.isComplete = isLast;
        this.#emitter.emit('page', this.#model);
        this.#changed();
      },
    });
    this.#gaps = new GapCloser({
      isOpen: () => this.#connection.state.at === 'open',
      resume: () => {
        const { epoch, offset, lastChat: chat } = this.#model;
        return this.#requests.once({ t: 'resume', epoch: epoch ?? '', offset, chat }, PATIENCE);
      },
      onFailed: (code) => this.#connection.startOver(`A gap could not be closed: ${code}`),
    });
    this.#refreshes = new RefreshLoop({
      tokens,
      now: () => this.serverNow(),
      refresh: (token) => this.#requests.once({ t: 'refresh', token }),
      onRefreshed: (renewed) => this.#updateYou(renewed),
    });
    this.#stopWatching = watchForWake(() => this.wake());
    // The caller adds its listeners first.
    queueMicrotask(() => this.#connection.start());
  }

  /**
   * Adds a listener. Returns a function that removes it. Throws a TypeError if `listener` is no
   * function.
   */
  on<Type extends keyof ClientEvents>(type: Type, listener: (payload: ClientEvents[Type]) => void): () => void {
    return this.#emitter.on(type, listener);
  }

  /** Adds a listener for the next event only. Returns a function that removes it. */
  once<Type extends keyof ClientEvents>(type: Type, listener: (payload: ClientEvents[Type]) => void): () => void {
    return this.#emitter.once(type, listener);
  }

  /** The current state of the show. */
  get model(): ShowModel {
    return this.#model;
  }

  /** Your identity and whether you are muted; null before the first welcome. */
  get you(): Welcome['you'] | null {
    return this.#you;
  }

  /** The connection: connecting, open, waiting to reconnect, or closed for good. */
  get status(): ConnectionState {
    return this.#connection.state;
  }

  /** Grows with each change of `model`, `you` and `status`. */
  get version(): number {
    return this.#version;
  }

  /** Counts of what has happened since this client was made. */
  get stats(): ClientStats {
    return this.#stats;
  }

  /** Returns milliseconds since the Unix epoch on the server's clock. */
  serverNow(): number {
    return this.#clock.read().now;
  }

  /** Returns the server's clock with the bound of its error. */
  clock(): ClockReading {
    return this.#clock.read();
  }

  /** Returns the time until a sale opens or closes, or null if neither is planned. */
  countdown(saleId: string): CountdownReading | null {
    return countdownOf(this.#model.sales.get(saleId), this.#clock.read());
  }

  /**
   * Sends a chat message and returns its id. It is not repeated: after `unknown_outcome` it may
   * have been sent. `leftOut`: the display cap left it out, so only you see it, as a `chat` event.
   */
  async chat(text: string): Promise<Outcome<{ chat: number; leftOut: boolean }>> {
    const refusal = chatRefusal(text, this.#chatChars);
    if (refusal !== null) return refusal;
    const outcome = await this.#requests.once({ t: 'chat', text });
    if (!outcome.ok) return outcome;
    const { at, data } = outcome.value;
    const value = { chat: Number(data?.chat ?? 0), leftOut: data?.leftOut === true };
    if (value.leftOut) {
      const message = { id: value.chat, at, name: this.#you?.name ?? '', text: text.trim(), mark: 0 };
      if (this.#model.addOwnChat(message)) this.#emitter.emit('chat', { messages: [message], history: false });
      this.#changed();
    }
    return { ok: true, value };
  }

  /** Sends hearts, collected into one message; hearts above its limit are dropped. */
  heart(count = 1): void {
    this.#hearts.add(count);
  }

  /**
   * Reserves all items or none. The request is repeated with one key until a reply arrives, so a
   * call never reserves twice. Nor does the same call again after `unknown_outcome`, or while the
   * first one is on its way: it gets the result of the first. Pass a `key` to decide yourself.
   */
  async reserve(request: ReserveRequest): Promise<Outcome<ReserveResult>> {
    const { key, outcome } = await this.#keyed.repeat(request, ({ sale, lines }) => ({
      ...{ t: 'reserve', sale, lines: lines.map(({ sku, qty }) => ({ sku, qty })) },
    }));
    return reservationResult(outcome, key, this.#model);
  }

  /** Releases a hold: its units are free again. */
  async release(reservation: string, options: KeyedOptions = {}): Promise<Outcome<ReserveResult>> {
    const { key, outcome } = await this.#keyed.repeat(options, () => ({ t: 'release', reservation }));
    return reservationResult(outcome, key, this.#model);
  }

  /**
   * Joins the waitlist of a sold-out SKU. When it is your turn, free units are held for you: a
   * `you` event with `offer` set, on any device. Refused with `units_free` while units are free.
   */
  async joinWaitlist(request: JoinRequest): Promise<Outcome<WaitlistResult>> {
    const outcome = await this.#waitlist('join', request);
    if (outcome.ok) {
      const { sale, sku, qty = 1 } = request;
      const { place } = outcome.value;
      this.#model.waits.set(waitKey(sale, sku), { sale, sku, qty, place, joinedAt: this.serverNow() });
      this.#changed();
    }
    return outcome;
  }

  /** Leaves the waitlist of a SKU. It ends the entry on all devices. */
  async leaveWaitlist(request: WaitlistRequest): Promise<Outcome<WaitlistResult>> {
    const outcome = await this.#waitlist('leave', request);
    if (outcome.ok || outcome.error.code === 'not_waiting') {
      this.#model.waits.delete(waitKey(request.sale, request.sku));
      this.#changed();
    }
    return outcome;
  }

  async #waitlist(op: 'join' | 'leave', request: JoinRequest) {
    const { key, outcome } = await this.#keyed.repeat(request, ({ sale, sku, qty }) => {
      return { t: 'waitlist', op, sale, sku, qty };
    });
    return waitlistResult(outcome, key);
  }

  /**
   * Reconnects now at the same position: drops an open connection, and ends the wait for the next
   * attempt, unless the server asked for it.
   */
  reconnect(): void {
    this.#connection.hurry();
    this.#connection.restart('Requested by this client.');
  }

  /**
   * Checks the connection after a pause of the page or the machine. Pages do it by themselves; apps
   * call it when they return from the background.
   */
  wake(): void {
    this.#connection.hurry(WAKE_JITTER_MS);
    if (this.#connection.state.at !== 'open') return;
    if (this.#connection.silentMs > this.#idleMs) this.#connection.restart('Silent for too long.');
    else this.#sync.probe();
  }

  /** Closes for good, after a last `status` and `change`. Pending requests: `unknown_outcome`. */
  close(): void {
    this.#connection.close();
  }

  #url(base: string): string {
    this.#connectStartedAt = this.#clock.localNow();
    const gateway = this.#movedTo ?? base;
    this.#movedTo = null;
    return showAddress(gateway, this.#options.show, this.#model);
  }

  #onState(state: ConnectionState): void {
    if ('code' in state) {
      this.#sync.stop();
      this.#refreshes.stop();
      this.#gaps.disconnected();
      this.#requests.disconnected(state.at === 'closed' ? state.reason : null);
      if (state.at === 'closed') {
        this.#stopWatching();
      }
    }
    // `open` is emitted with the welcome, when the model is updated.
    if (state.at === 'open') return;
    this.#emitter.emit('status', state);
    this.#changed();
    if (state.at === 'closed') this.#emitter.clear();
  }

  #updateYou(changes: object = {}): void {
    if (this.#you !== null) this.#you = { ...this.#you, ...changes };
    this.#changed();
  }

  #changed(): void {
    this.#version += 1;
    this.#emitter.emit('change', this.#version);
  }

  #onMessage(message: ServerMessage): void {
    switch (message.t) {
      case 'welcome':
        this.#onWelcome(message);
        break;
      case 'frame':
        this.#stats.frames += 1;
        this.#apply(() => this.#model.applyFrame(message), message.snapshot !== undefined);
        if (message.state !== undefined) this.#emitter.emit('state', message.state);
        if (message.snapshot !== undefined) this.#pages.restart(message.snapshot.more);
        if (message.missed) this.#emitter.emit('missed', message.missed);
        break;
      case 'ok': {
        // Now, not when the caller continues: a later message may say that it was lost.
        const { reservation, products } = message.data ?? {};
        if (products !== undefined) this.#model.applyPage(message.data as unknown as Page);
        if (reservation !== undefined) this.#model.applyReservation(reservation as ReservationView);
        this.#requests.onReply(message);
        if (reservation === undefined) return;
        break;
      }
      case 'error':
        return this.#requests.onReply(message);
      case 'you':
        this.#model.applyReservation(message.reservation);
        this.#emitter.emit('you', this.#model.reservations.get(message.reservation.id) ?? message.reservation);
        break;
      case 'holdings': {
        const { lost, changed } = this.#model.applyHoldings(message);
        for (const reservation of changed) this.#emitter.emit('you', reservation);
        if (lost.length > 0) this.#emitter.emit('lost', lost);
        break;
      }
      case 'mute':
        return this.#updateYou({ mutedUntil: message.until });
      case 'waits':
        this.#model.applyWaits(message.waits);
        break;
      case 'bye':
        this.#movedTo = gatewayBase(message.url);
        this.#emitter.emit('bye', message);
        return;
      default:
        return; // from a newer server
    }
    this.#changed();
  }

  #onWelcome(welcome: Welcome): void {
    const arrivedAt = this.#clock.localNow();
    this.#clock.reset();
    this.#clock.add(this.#connectStartedAt, welcome.at, welcome.at, arrivedAt);
    this.#stats.connects += 1;
    if (welcome.resumed === true) this.#stats.resumes += 1;
    this.#you = welcome.you;
    this.#apply(() => {
      const applied = this.#model.applyWelcome(welcome);
      this.#emitter.emit('status', this.#connection.state);
      this.#emitter.emit('welcome', welcome);
      return applied;
    }, true);
    // A listener may have closed the client: no timer may start then.
    if (this.#connection.state.at !== 'open') return;
    this.#requests.connected();
    this.#sync.start(welcome.limits.heartbeatMs);
    this.#refreshes.start(welcome.you.expiresAt);
    this.#idleMs = welcome.limits.idleMs;
    this.#chatChars = welcome.limits.chatChars;
    if (welcome.snapshot !== undefined) this.#pages.restart(welcome.snapshot.more);
    else this.#pages.continue();
  }

  /** Changes the model, and emits what changed. `history`: its chat may be older. */
  #apply(change: () => ModelChanges, history: boolean): void {
    const { show, epoch, offset } = this.#model;
    const applied = change();
    if (applied.snapshot) this.#stats.snapshots += 1;
    emitChanges(this.#emitter, this.#model, show === null ? null : { epoch, offset }, applied, history);
    if (applied.gap && this.#gaps.close()) this.#stats.gaps += 1;
    else if (!applied.gap && (applied.events.length > 0 || applied.snapshot)) this.#gaps.closed();
  }
}
