/**
 * Requests under way. A one-shot request (chat, sync) is answered once or its outcome is unknown; a
 * keyed one (reserve, release) is repeated with the same key, over reconnects, until an answer
 * comes or its deadline passes: the server answers a known key with what it recorded.
 */
import type { ClientMessage, ErrorMessage, Ok } from '../protocol/messages.ts';
import { type ClientFailure, type Outcome, refused } from './failures.ts';

export interface RequestsOptions {
  /** Puts the message on the wire; false when there is no open connection. */
  readonly send: (message: ClientMessage) => boolean;
  /** How long one attempt may stay without an answer, in milliseconds. */
  readonly attemptTimeoutMs: number;
  /** Most requests that may wait for an answer at the same time. */
  readonly waitingMax: number;
}

interface Pending {
  readonly build: (id: number) => ClientMessage;
  readonly repeatable: boolean;
  readonly settle: (outcome: Outcome<Ok>) => void;
  /**
   * The ids this request went out with on the present connection: an answer to any of them is its
   * answer.
   */
  ids: number[];
  everSent: boolean;
  attempts: number;
  attemptTimer: ReturnType<typeof setTimeout> | undefined;
  deadlineTimer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Failures after which a keyed request was not decided, or nobody knows: the same key again finds
 * out.
 */
const REPEAT_AFTER: ReadonlySet<string> = new Set([
  'redis_unavailable',
  'redis_full',
  'redis_readonly',
  'idempotency_in_progress',
  'overloaded',
  'draining',
  'internal',
]);
const REPEAT_PAUSE_MS = 400;

export class Requests {
  readonly #options: RequestsOptions;
  readonly #pending = new Set<Pending>();
  readonly #byId = new Map<number, Pending>();
  #lastId = 0;
  #closed = false;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#pending.size;
  }

  /** Sends now or not at all. */
  once(build: (id: number) => ClientMessage): Promise<Outcome<Ok>> {
    return this.#start(build, false, this.#options.attemptTimeoutMs);
  }

  /**
   * Sends now or when connected, again after a lost connection, a silence or a passing failure, for
   * at most `deadlineMs`.
   */
  repeat(build: (id: number) => ClientMessage, deadlineMs: number): Promise<Outcome<Ok>> {
    return this.#start(build, true, deadlineMs);
  }

  /** Hands an answer to its request; false when nobody waits for it. */
  answer(message: Ok | ErrorMessage): boolean {
    const pending = typeof message.id === 'number' ? this.#byId.get(message.id) : undefined;
    if (pending === undefined) return false;
    if (message.t === 'ok') {
      this.#settle(pending, { ok: true, value: message });
    } else if (pending.repeatable && REPEAT_AFTER.has(message.code)) {
      this.#again(pending, message.retryAfterMs ?? REPEAT_PAUSE_MS * pending.attempts);
    } else {
      this.#settle(pending, { ok: false, error: failureOf(message) });
    }
    return true;
  }

  connected(): void {
    for (const pending of this.#pending) if (pending.repeatable) this.#attempt(pending);
  }

  disconnected(): void {
    this.#byId.clear();
    for (const pending of [...this.#pending]) {
      pending.ids = [];
      clearTimeout(pending.attemptTimer);
      if (!pending.repeatable)
        this.#settle(pending, refused('unknown_outcome', 'The connection was lost before an answer came.'));
    }
  }

  close(): void {
    this.#closed = true;
    for (const pending of [...this.#pending]) {
      this.#settle(
        pending,
        pending.everSent
          ? refused('unknown_outcome', 'Closed before an answer came.')
          : refused('closed', 'This client was closed.'),
      );
    }
  }

  #start(build: (id: number) => ClientMessage, repeatable: boolean, deadlineMs: number): Promise<Outcome<Ok>> {
    if (this.#closed) return Promise.resolve(refused('closed', 'This client was closed.'));
    if (this.#pending.size >= this.#options.waitingMax)
      return Promise.resolve(refused('queue_full', 'Too many requests of this client wait for an answer.'));
    return new Promise((resolve) => {
      const pending: Pending = {
        build,
        repeatable,
        settle: resolve,
        ids: [],
        everSent: false,
        attempts: 0,
        attemptTimer: undefined,
        deadlineTimer: undefined,
      };
      this.#pending.add(pending);
      pending.deadlineTimer = setTimeout(() => this.#giveUp(pending), deadlineMs);
      const sent = this.#attempt(pending);
      if (!sent && !repeatable) this.#settle(pending, refused('disconnected', 'Not connected; nothing was sent.'));
    });
  }

  #attempt(pending: Pending): boolean {
    clearTimeout(pending.attemptTimer);
    this.#lastId += 1;
    const id = this.#lastId;
    if (!this.#options.send(pending.build(id))) return false;
    this.#byId.set(id, pending);
    pending.ids.push(id);
    pending.everSent = true;
    pending.attempts += 1;
    if (pending.repeatable)
      pending.attemptTimer = setTimeout(() => this.#attempt(pending), this.#options.attemptTimeoutMs);
    return true;
  }

  #again(pending: Pending, pauseMs: number): void {
    for (const id of pending.ids) this.#byId.delete(id);
    pending.ids = [];
    clearTimeout(pending.attemptTimer);
    pending.attemptTimer = setTimeout(() => this.#attempt(pending), pauseMs);
  }

  #giveUp(pending: Pending): void {
    const outcome = pending.everSent
      ? refused('unknown_outcome', 'No answer came in time; it may have happened. Repeat it with the same key.')
      : refused('disconnected', 'Not connected in time; nothing was sent.');
    this.#settle(pending, outcome);
  }

  #settle(pending: Pending, outcome: Outcome<Ok>): void {
    if (!this.#pending.delete(pending)) return;
    clearTimeout(pending.attemptTimer);
    clearTimeout(pending.deadlineTimer);
    for (const id of pending.ids) this.#byId.delete(id);
    pending.settle(outcome);
  }
}

function failureOf(message: ErrorMessage): ClientFailure {
  return {
    code: message.code,
    message: message.message,
    ...(message.retryAfterMs === undefined ? {} : { retryAfterMs: message.retryAfterMs }),
    ...(message.details === undefined ? {} : { details: message.details }),
  };
}
