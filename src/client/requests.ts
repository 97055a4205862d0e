/**
 * Pending requests. A one-shot request (chat, sync) is sent once; without a reply its outcome is
 * unknown. A keyed one (reserve, release) is repeated with the same key, over reconnects, until a
 * reply arrives or its deadline passes: for a known key the server returns the recorded result.
 */
import { IN_FLIGHT_PER_CONNECTION_MAX } from '../protocol/limits.ts';
import type { ClientMessage, ErrorMessage, Ok } from '../protocol/messages.ts';
import { boundedMs } from './backoff.ts';
import { type ClientFailure, type Failed, failed, NOT_CONNECTED, type Outcome } from './outcome.ts';

export interface RequestsOptions {
  /** Returns why it sends nothing, such as `NOT_CONNECTED`. */
  readonly send: (message: ClientMessage) => Failed | undefined;
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
const REPEAT_AFTER = /^(redis_\w+|idempotency_in_progress|overloaded|draining|internal)$/;
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
    return this.repeat(request, this.#options.attemptTimeoutMs * patience, false);
  }

  /** Settles the request of a reply, or schedules its next attempt. */
  onReply(message: Ok | ErrorMessage): void {
    const pending = this.#byId.get(message.id as number);
    if (pending === undefined) return;
    if (message.t === 'ok') {
      this.#settle(pending, { ok: true, value: message });
    } else if (pending.isKeyed && REPEAT_AFTER.test(message.code)) {
      this.#forgetAttempts(pending);
      const pauseMs = boundedMs(message.retryAfterMs, REPEAT_PAUSE_MS * pending.attempts);
      pending.attemptTimer = setTimeout(() => this.#attempt(pending), pauseMs);
    } else {
      this.#settle(pending, { ok: false, error: failureOf(message) });
    }
  }

  connected(): void {
    for (const pending of this.#pending) if (pending.isKeyed) this.#attempt(pending);
  }

  /** `closed`: why no connection follows. */
  disconnected(closed: string | null): void {
    this.#closed = closed;
    for (const pending of [...this.#pending]) {
      this.#forgetAttempts(pending);
      if (closed === null && pending.isKeyed) continue;
      const why = closed ?? 'The connection was lost before the reply.';
      this.#settle(pending, pending.attempts > 0 ? unknownAfter(why) : failed('closed', why));
    }
  }

  /** Sends when connected, and again after a lost connection, a timeout or a transient failure. */
  async repeat(request: RequestBody, deadlineMs: number, isKeyed = true): Promise<Outcome<Ok>> {
    if (this.#closed !== null) return failed('closed', this.#closed);
    if (this.#pending.size >= IN_FLIGHT_PER_CONNECTION_MAX)
      return failed('queue_full', 'Too many requests are pending.');
    return new Promise((resolve) => {
      const pending: Pending = { request, isKeyed, settle: resolve, attempts: 0 };
      this.#pending.add(pending);
      pending.deadlineTimer = setTimeout(() => {
        this.#settle(pending, pending.attempts > 0 ? unknownAfter('No reply arrived in time.') : NOT_CONNECTED);
      }, deadlineMs);
      this.#attempt(pending);
    });
  }

  #attempt(pending: Pending): void {
    clearTimeout(pending.attemptTimer);
    this.#lastId += 1;
    const id = this.#lastId;
    const refusal = this.#options.send({ ...pending.request, id } as ClientMessage);
    if (refusal !== undefined) {
      // A keyed request waits for the connection.
      if (!pending.isKeyed || refusal !== NOT_CONNECTED) this.#settle(pending, refusal);
      return;
    }
    this.#byId.set(id, pending);
    pending.attempts += 1;
    if (pending.isKeyed)
      pending.attemptTimer = setTimeout(() => {
        // Only then: each probe starts the wait for a sign of life again.
        if (pending.attempts === 1) this.#options.onSlow();
        this.#attempt(pending);
      }, this.#options.attemptTimeoutMs);
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

const unknownAfter = (what: string) => failed('unknown_outcome', `${what} The request may have succeeded.`);
const failureOf = ({ t: _type, id: _id, at: _at, ...failure }: ErrorMessage): ClientFailure => failure;
