/**
 * Pending requests. A one-shot request (chat, sync) is sent once; without a reply its outcome is
 * unknown. A keyed one (reserve, release) is repeated with the same key, over reconnects, until a
 * reply arrives or its deadline passes: for a known key the server returns the recorded result.
 */
import { IN_FLIGHT_PER_CONNECTION_MAX } from '../protocol/limits.ts';
import type { ClientMessage, ErrorMessage, Ok } from '../protocol/messages.ts';
import { boundedMs } from './backoff.ts';
import { type ClientFailure, failed, NOT_CONNECTED, type Outcome } from './outcome.ts';

export interface RequestsOptions {
  /** Returns false without an open connection. */
  readonly send: (message: ClientMessage) => boolean;
  /** Wait this long for the reply to one attempt. */
  readonly attemptTimeoutMs: number;
  /** The first attempt of a keyed request got no reply in time: perhaps the connection is dead. */
  readonly onSlow: () => void;
}

type WithoutId<Message> = Message extends unknown ? Omit<Message, 'id'> : never;
/** A message without the id, which each attempt adds. */
export type RequestBody = WithoutId<ClientMessage>;

interface Pending {
  readonly request: RequestBody;
  readonly isKeyed: boolean;
  readonly settle: (outcome: Outcome<Ok>) => void;
  attempts: number;
  attemptTimer?: ReturnType<typeof setTimeout>;
  deadlineTimer?: ReturnType<typeof setTimeout>;
}

/** Failures after which the result is not known: repeating the key reveals it. */
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
  /** By the ids of all attempts on this connection; a reply to any of them settles the request. */
  readonly #byId = new Map<number, Pending>();
  #lastId = 0;
  /** Why; null = open. */
  #closed: string | null = null;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Sends once, now. Waits `patience` times as long as for other replies. */
  once(request: RequestBody, patience = 1): Promise<Outcome<Ok>> {
    return this.#start(request, false, this.#options.attemptTimeoutMs * patience);
  }

  /** Sends when connected, and again after a lost connection, a timeout or a transient failure. */
  repeat(request: RequestBody, deadlineMs: number): Promise<Outcome<Ok>> {
    return this.#start(request, true, deadlineMs);
  }

  /** Settles the request of a reply, or schedules its next attempt. */
  onReply(message: Ok | ErrorMessage): void {
    const pending = typeof message.id === 'number' ? this.#byId.get(message.id) : undefined;
    if (pending === undefined) return;
    if (message.t === 'ok') {
      this.#settle(pending, { ok: true, value: message });
    } else if (pending.isKeyed && REPEAT_AFTER.has(message.code)) {
      this.#retryLater(pending, boundedMs(message.retryAfterMs, REPEAT_PAUSE_MS * pending.attempts));
    } else {
      this.#settle(pending, { ok: false, error: failureOf(message) });
    }
  }

  connected(): void {
    for (const pending of this.#pending) if (pending.isKeyed) this.#attempt(pending);
  }

  disconnected(): void {
    for (const pending of [...this.#pending]) {
      this.#forgetAttempts(pending);
      if (!pending.isKeyed) this.#settle(pending, unknownAfter('The connection was lost before the reply.'));
    }
  }

  close(reason: string): void {
    this.#closed = reason;
    for (const pending of [...this.#pending]) {
      this.#settle(pending, pending.attempts > 0 ? unknownAfter(reason) : failed('closed', reason));
    }
  }

  async #start(request: RequestBody, isKeyed: boolean, deadlineMs: number): Promise<Outcome<Ok>> {
    if (this.#closed !== null) return failed('closed', this.#closed);
    if (this.#pending.size >= IN_FLIGHT_PER_CONNECTION_MAX)
      return failed('queue_full', 'Too many requests are pending.');
    return new Promise((resolve) => {
      const pending: Pending = { request, isKeyed, settle: resolve, attempts: 0 };
      this.#pending.add(pending);
      pending.deadlineTimer = setTimeout(() => this.#giveUp(pending), deadlineMs);
      const sent = this.#attempt(pending);
      if (!sent && !isKeyed) this.#settle(pending, NOT_CONNECTED);
    });
  }

  #attempt(pending: Pending): boolean {
    clearTimeout(pending.attemptTimer);
    this.#lastId += 1;
    const id = this.#lastId;
    if (!this.#options.send({ ...pending.request, id } as ClientMessage)) return false;
    this.#byId.set(id, pending);
    pending.attempts += 1;
    if (pending.isKeyed)
      pending.attemptTimer = setTimeout(() => {
        // Only then: each probe starts the wait for a sign of life again.
        if (pending.attempts === 1) this.#options.onSlow();
        this.#attempt(pending);
      }, this.#options.attemptTimeoutMs);
    return true;
  }

  #retryLater(pending: Pending, pauseMs: number): void {
    this.#forgetAttempts(pending);
    pending.attemptTimer = setTimeout(() => this.#attempt(pending), pauseMs);
  }

  #giveUp(pending: Pending): void {
    const advice = pending.isKeyed ? ' Make the same call again.' : '';
    this.#settle(pending, pending.attempts > 0 ? unknownAfter('No reply arrived in time.', advice) : NOT_CONNECTED);
  }

  #forgetAttempts(pending: Pending): void {
    for (const [id, request] of this.#byId) if (request === pending) this.#byId.delete(id);
    clearTimeout(pending.attemptTimer);
  }

  #settle(pending: Pending, outcome: Outcome<Ok>): void {
    if (!this.#pending.delete(pending)) return;
    this.#forgetAttempts(pending);
    clearTimeout(pending.deadlineTimer);
    pending.settle(outcome);
  }
}

const unknownAfter = (what: string, advice = '') =>
  failed('unknown_outcome', `${what} The request may have succeeded.${advice}`);
const failureOf = ({ t: _type, id: _id, at: _at, ...failure }: ErrorMessage): ClientFailure => failure;
