/**
 * The line to a gateway: opens a socket, says what arrives, comes back after a loss. Which loss
 * means what is in the close code's policy; the crowd is spread by full jitter, and a server that
 * says when to come back is believed.
 */
import { CLOSE, closePolicy } from '../protocol/codes.ts';
import {
  type Bye,
  type ClientMessage,
  type ServerMessage,
  subprotocolOf,
  TOKEN_PROTOCOL_PREFIX,
} from '../protocol/messages.ts';
import { Backoff } from './backoff.ts';
import type { ClientCodec } from './codec.ts';

/** As much of a WebSocket as is used here: the browser's, and that of the `ws` package. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
}
export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

export type LineState =
  | { readonly at: 'connecting'; readonly attempt: number }
  | { readonly at: 'open' }
  /** Comes back by itself after `retryInMs`. */
  | { readonly at: 'waiting'; readonly retryInMs: number; readonly code: number; readonly reason: string }
  /** Over: `code` and `reason` say why; nothing more will happen. */
  | { readonly at: 'closed'; readonly code: number; readonly reason: string };

export interface LineOptions {
  /** The address for the next try: a resume position travels in it. */
  readonly address: () => string;
  readonly token: string | undefined;
  readonly Socket: SocketClass;
  readonly loadCodec: () => Promise<ClientCodec>;
  readonly random: () => number;
  readonly onState: (state: LineState) => void;
  readonly onMessage: (message: ServerMessage) => void;
}

const CONNECT_TIMEOUT_MS = 10_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Policy `retry` (overload, Redis away): not sooner than this. */
const RETRY_LEAST_MS = 1_000;
/**
 * A connection that lasted this long was a good one: the next loss starts from the short waits
 * again.
 */
const STABLE_AFTER_MS = 5_000;
const CLOSED_BY_US = 1000;
const ABNORMAL = 1006;
/** What a refused upgrade would have been called on an open connection. */
const REFUSALS: Readonly<Record<number, number>> = {
  401: CLOSE.token_expired,
  403: CLOSE.forbidden,
  404: CLOSE.show_gone,
  400: CLOSE.bad_frames,
};

export class Line {
  readonly #options: LineOptions;
  readonly #backoff: Backoff;
  #state: LineState = { at: 'connecting', attempt: 0 };
  #socket: SocketLike | undefined;
  #codec: ClientCodec | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stableTimer: ReturnType<typeof setTimeout> | undefined;
  #bye: Bye | undefined;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: BACKOFF_FIRST_MS, maxMs: BACKOFF_MAX_MS, random: options.random });
  }

  get state(): LineState {
    return this.#state;
  }

  async start(): Promise<void> {
    try {
      this.#codec = await this.#options.loadCodec();
    } catch (error) {
      this.#finish(ABNORMAL, `the encoding could not be loaded: ${String(error)}`);
      return;
    }
    if (this.#state.at !== 'closed') this.#connect();
  }

  /** False when there is no open connection: nothing was sent. */
  send(message: ClientMessage): boolean {
    if (this.#state.at !== 'open' || this.#socket === undefined || this.#codec === undefined) return false;
    this.#socket.send(this.#codec.encode(message));
    return true;
  }

  /**
   * Drops the connection and comes back: used when the line is found dead or its content not to be
   * trusted.
   */
  restart(reason: string): void {
    if (this.#state.at === 'open' || this.#state.at === 'connecting') this.#lost(ABNORMAL, reason);
  }

  close(): void {
    if (this.#state.at !== 'closed') this.#finish(CLOSED_BY_US, 'closed by this client');
  }

  #connect(): void {
    // Good for one try: whatever becomes of it, the next one shows the token.
    const pass = this.#bye?.pass;
    this.#bye = undefined;
    this.#enter({ at: 'connecting', attempt: this.#backoff.attempts });
    const protocols = [subprotocolOf(this.#codec?.variant ?? 'json')];
    const token = pass ?? this.#options.token;
    if (token !== undefined) protocols.push(`${TOKEN_PROTOCOL_PREFIX}${token}`);
    let socket: SocketLike;
    try {
      socket = new this.#options.Socket(this.#options.address(), protocols);
    } catch (error) {
      this.#finish(ABNORMAL, String(error));
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = (event: { data: unknown }) => {
      if (this.#socket === socket) this.#received(event.data);
    };
    socket.onclose = (event: { code: number; reason: string }) => {
      if (this.#socket === socket) this.#lost(event.code, event.reason);
    };
    // A close event follows. Browsers hide why an upgrade was refused; the `ws` package names the
    // HTTP status.
    socket.onerror = (event: { message?: unknown }) => {
      const status =
        typeof event.message === 'string' ? /server response: (\d{3})/.exec(event.message)?.[1] : undefined;
      if (status !== undefined && this.#socket === socket) this.#refused(pass === undefined ? Number(status) : 503);
    };
    this.#timer = setTimeout(() => this.#lost(ABNORMAL, 'no welcome in time'), CONNECT_TIMEOUT_MS);
  }

  #received(data: unknown): void {
    let message: ServerMessage;
    try {
      if (this.#codec === undefined) return;
      message = this.#codec.decode(data);
    } catch (error) {
      this.#lost(ABNORMAL, `an unreadable frame: ${String(error)}`);
      return;
    }
    if (message.t === 'welcome') {
      clearTimeout(this.#timer);
      this.#stableTimer = setTimeout(() => this.#backoff.reset(), STABLE_AFTER_MS);
      this.#enter({ at: 'open' });
    } else if (message.t === 'bye') {
      this.#bye = message;
    }
    this.#options.onMessage(message);
  }

  /**
   * The server answered the upgrade with an HTTP error: trying again helps only where it is the
   * server's trouble.
   */
  #refused(status: number): void {
    if (status >= 500 || status === 429) this.#lost(CLOSE.overloaded, `the server answered ${status}`);
    else this.#finish(REFUSALS[status] ?? CLOSE.forbidden, `the server refused the connection: HTTP ${status}`);
  }

  #lost(code: number, reason: string): void {
    this.#dropSocket();
    const bye = this.#bye;
    const policy = closePolicy(bye?.code ?? code);
    if (policy === 'stop') {
      this.#enter({ at: 'closed', code: bye?.code ?? code, reason: bye?.reason ?? reason });
      return;
    }
    const leastMs = bye?.reconnectAfterMs ?? (policy === 'retry' ? RETRY_LEAST_MS : 0);
    const retryInMs = this.#backoff.nextMs(leastMs);
    this.#timer = setTimeout(() => this.#connect(), retryInMs);
    this.#enter({ at: 'waiting', retryInMs, code: bye?.code ?? code, reason: bye?.reason ?? reason });
  }

  #finish(code: number, reason: string): void {
    this.#dropSocket();
    this.#enter({ at: 'closed', code, reason });
  }

  #dropSocket(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#stableTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    socket.onmessage = null;
    socket.onclose = null;
    try {
      socket.close(CLOSED_BY_US);
    } catch {
      // `ws` throws when the handshake is not through; its socket is gone either way
    }
  }

  #enter(state: LineState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
