/**
 * The connection to a gateway. Reconnects after a loss as the policy of the close code says, with
 * full jitter, and not before the time that the server sent.
 */
import { closePolicy, FORBIDDEN, OVERLOADED, TOKEN_EXPIRED } from '../protocol/close-codes.ts';
import {
  type Bye,
  type ClientMessage,
  type ServerMessage,
  subprotocolOf,
  TOKEN_PROTOCOL_PREFIX,
} from '../protocol/messages.ts';
import { Backoff, boundedMs } from './backoff.ts';
import { monotonicNowMs } from './clock.ts';
import type { ClientCodec } from './codec.ts';
import { type Failed, failed, NOT_CONNECTED } from './outcome.ts';
import type { TokenSource } from './token-source.ts';

/** The used part of a WebSocket, of browsers and of the `ws` package. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
}
/** The class of a WebSocket: that of the platform, or of the `ws` package. */
export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

/**
 * The state of a connection. `code` is the close code, `reason` a text for logs, of the
 * server or of the client.
 */
export type ConnectionState =
  | { readonly at: 'connecting'; readonly attempt: number }
  | { readonly at: 'open' }
  /** Reconnects after `retryInMs`. */
  | { readonly at: 'waiting'; readonly retryInMs: number; readonly code: number; readonly reason: string }
  /** Closed for good. */
  | { readonly at: 'closed'; readonly code: number; readonly reason: string };

export interface ConnectionOptions {
  /** Returns the URL for the next attempt, with the resume position. */
  readonly url: () => string;
  readonly tokens: TokenSource;
  readonly Socket: SocketClass;
  readonly codec: ClientCodec;
  readonly random: () => number;
  readonly onState: (state: ConnectionState) => void;
  readonly onMessage: (message: ServerMessage) => void;
  /** What was received is inconsistent. */
  readonly onInvalid: () => void;
}

const UPGRADE_TIMEOUT_MS = 10_000;
/**
 * On a slow connection the welcome alone takes many seconds, and its bytes are not seen before it
 * is complete. Grows by as much with each failed attempt.
 */
const WELCOME_TIMEOUT_MS = 30_000;
/** Shortest wait with the policy `retry` (overload, Redis unavailable). */
const RETRY_MIN_MS = 1_000;
/** A connection that is open for this long resets the backoff. */
const STABLE_AFTER_MS = 5_000;
/** So many fetched tokens in a row may be refused. */
const REFUSED_TOKENS_MAX = 3;
const CLOSED_BY_US = 1000;
const ABNORMAL = 1006;
/** Many clients may wake at once, so the next attempt of each is within this time. */
export const WAKE_JITTER_MS = 500;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #backoff: Backoff;
  state: ConnectionState = { at: 'connecting', attempt: 0 };
  #socket: SocketLike | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stableTimer: ReturnType<typeof setTimeout> | undefined;
  #bye: Bye | undefined;
  /** No attempt before this local time: the server asked for it. */
  #notBefore = 0;
  /** The local time of the next attempt. */
  #attemptAt = 0;
  #refusedTokens = 0;
  /** The limit of the server for one message. */
  #maxBytes = Infinity;
  #receivedAtWall = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  /** How long nothing arrived, on the wall clock, which goes on while the machine is suspended. */
  get silentMs(): number {
    return Date.now() - this.#receivedAtWall;
  }

  start(): void {
    if (this.state.at !== 'closed') this.#connect();
  }

  /** Returns why it sends nothing: without a connection, or above the size limit of the server. */
  send(message: ClientMessage): Failed | undefined {
    if (this.state.at !== 'open') return NOT_CONNECTED;
    const data = this.#options.codec.encode(message);
    // One character for each byte of UTF-8. React Native may have no TextEncoder.
    const bytes = typeof data === 'string' ? encodeURI(data).replace(/%../g, '_') : data;
    if (bytes.length > this.#maxBytes)
      return failed('invalid_message', `It has ${bytes.length} bytes; at most ${this.#maxBytes} are allowed.`);
    this.#socket?.send(data);
  }

  /** Drops a dead or inconsistent connection and reconnects. */
  restart(reason: string): void {
    if (this.#socket) this.#lost(ABNORMAL, reason);
  }

  /** Restarts after messages that are inconsistent. */
  startOver(reason: string): void {
    this.#options.onInvalid();
    this.restart(reason);
  }

  /** Ends the wait for the next attempt soon, but not before the server's time. */
  hurry(jitterMs = 0): void {
    if (this.state.at !== 'waiting') return;
    const now = monotonicNowMs();
    const withinMs = this.#options.random() * jitterMs;
    const inMs = Math.min(this.#attemptAt - now, Math.max(this.#notBefore - now, withinMs));
    clearTimeout(this.#timer);
    if (inMs <= 0) this.#connect();
    else this.#wait({ ...this.state, retryInMs: Math.round(inMs) });
  }

  close(): void {
    if (this.state.at !== 'closed') this.#finish(CLOSED_BY_US, 'Closed by this client.');
  }

  #connect(): void {
    // What it says is valid for one attempt; the next one uses the token again.
    const bye = this.#bye;
    this.#bye = undefined;
    const attempt: ConnectionState = { at: 'connecting', attempt: this.#backoff.attempts };
    this.#enter(attempt);
    // A listener, or the token function, may have closed the client.
    const { tokens } = this.#options;
    tokens.current(bye?.pass).then(
      (token) => this.state === attempt && this.#open(token, bye),
      (error: unknown) => {
        if (this.state !== attempt) return;
        if (tokens.isRenewable) this.#lost(ABNORMAL, `The token could not be fetched: ${error}`);
        else this.#finish(ABNORMAL, `${error}`);
      },
    );
  }

  /** `bye`: may have named the gateway and the pass of this attempt. */
  #open(token: string | undefined, bye: Bye | undefined): void {
    const protocols = [subprotocolOf(this.#options.codec.variant)];
    if (token !== undefined) protocols.push(`${TOKEN_PROTOCOL_PREFIX}${token}`);
    let socket: SocketLike;
    try {
      socket = new this.#options.Socket(this.#options.url(), protocols);
    } catch (error) {
      if (!bye) this.#finish(ABNORMAL, `${error}`);
      else this.#lost(ABNORMAL, 'Invalid address or pass.');
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = ({ data }: { data: unknown }) => this.#received(data);
    socket.onclose = ({ code, reason }: { code: number; reason: string }) =>
      this.#lost(code, reason || 'No connection. Is `url` the gateway?');
    // A close event follows. Only the `ws` package reports the HTTP status of a refused upgrade.
    socket.onerror = (event: { message?: unknown }) => {
      const status = /server response: (\d{3})/.exec(String(event.message))?.[1];
      if (status === undefined || this.#socket !== socket) return;
      // A proxy: the gateway refuses for good by close codes.
      this.#lost(/^5|429/.test(status) ? OVERLOADED : ABNORMAL, `The server refused: HTTP ${status}`);
    };
    const giveUpAfter = (ms: number): void => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#lost(ABNORMAL, 'No welcome arrived in time.'), ms);
    };
    giveUpAfter(UPGRADE_TIMEOUT_MS);
    const welcomeMs = WELCOME_TIMEOUT_MS * (1 + this.#backoff.attempts);
    socket.onopen = () => {
      if (this.#socket === socket) giveUpAfter(welcomeMs);
    };
  }

  #received(data: unknown): void {
    this.#receivedAtWall = Date.now();
    try {
      this.#apply(this.#options.codec.decode(data));
    } catch (error) {
      this.startOver(`An invalid message: ${error}`);
    }
  }

  #apply(message: ServerMessage): void {
    if (message.t === 'welcome') {
      clearTimeout(this.#timer);
      this.#refusedTokens = 0;
      this.#maxBytes = message.limits.frameBytes;
      this.#options.tokens.isAccepted = true;
      this.#stableTimer = setTimeout(() => (this.#backoff.attempts = 0), STABLE_AFTER_MS);
      this.#enter({ at: 'open' });
    } else if (message.t === 'bye') {
      this.#bye = message;
    }
    this.#options.onMessage(message);
  }

  #lost(code: number, reason: string): void {
    this.#dropSocket();
    const bye = this.#bye;
    const why = bye === undefined ? { code, reason } : { code: bye.code, reason: bye.message ?? bye.reason };
    const policy = this.#renewsToken(why.code) ? 'resume' : closePolicy(why.code);
    if (policy === 'stop') return this.#enter({ at: 'closed', ...why });
    const minMs = boundedMs(bye?.reconnectAfterMs, policy === 'retry' ? RETRY_MIN_MS : 0);
    this.#notBefore = monotonicNowMs() + minMs;
    this.#wait({ at: 'waiting', retryInMs: this.#backoff.nextMs(minMs), ...why });
  }

  #wait(state: Extract<ConnectionState, { at: 'waiting' }>): void {
    this.#attemptAt = monotonicNowMs() + state.retryInMs;
    this.#timer = setTimeout(() => this.#connect(), state.retryInMs);
    this.#enter(state);
  }

  /** Returns whether the next attempt has a new token. A function may return wrong ones. */
  #renewsToken(code: number): boolean {
    const { tokens } = this.#options;
    const isWrong = code === TOKEN_EXPIRED || (code === FORBIDDEN && !tokens.isAccepted);
    if (!isWrong || !tokens.isRenewable) return false;
    tokens.keep();
    tokens.isAccepted = false;
    this.#refusedTokens += 1;
    return this.#refusedTokens <= REFUSED_TOKENS_MAX;
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
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    try {
      socket.close(CLOSED_BY_US);
    } catch {
      // `ws` throws before the handshake is complete; its socket is closed anyway
    }
  }

  #enter(state: ConnectionState): void {
    this.state = state;
    this.#options.onState(state);
  }
}
