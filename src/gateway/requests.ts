/**
 * From the bytes of a client message to its one answer: guards first, then one switch, then one
 * file a message.
 */
import type { Logger } from 'pino';
import type { Clock } from '../domain/clock.ts';
import type { Health } from '../domain/health.ts';
import type { Decision } from '../domain/reservation.ts';
import { LIMITS } from '../limits.ts';
import { CODECS } from '../protocol/codec.ts';
import { type Failure, fail, failure, type Result } from '../protocol/codes.ts';
import type { ClientMessage } from '../protocol/messages.ts';
import { parseClientMessage, type RequestId, requestIdOf } from '../protocol/validate.ts';
import type { Connection } from './connection.ts';
import { onChat } from './messages/chat.ts';
import { type HandlerResult, REPLIES_LATER, type Reply, type RequestContext } from './messages/context.ts';
import { onReact } from './messages/react.ts';
import { onRelease } from './messages/release.ts';
import { decisionReply, onReserve } from './messages/reserve.ts';
import { onResume } from './messages/resume.ts';
import { onSync } from './messages/sync.ts';
import { onWaitlist } from './messages/waitlist.ts';
import { Outbox } from './outbox.ts';
import { takeRequest } from './rate-limits.ts';
import { encodeReply } from './replies.ts';

export interface RequestsOptions {
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly draining: () => boolean;
  readonly onBadFrame: (error: Failure) => void;
  readonly onMessage: (type: ClientMessage['t']) => void;
  /** `elapsedMs` is null for what was answered at once, without asking anybody. */
  readonly onReply: (type: ClientMessage['t'], answer: Reply, elapsedMs: number | null) => void;
  /** The peer does not speak the protocol: close with `bad_frames`. */
  readonly onTooManyBadFrames: (connection: Connection) => void;
}

const IN_FLIGHT_RETRY_MS = 250;

/**
 * One request of a client under way: what its handler may know of it, and where the answer goes.
 */
class Call implements RequestContext {
  private readonly requests: Requests;
  readonly connection: Connection;
  readonly type: ClientMessage['t'];
  readonly id: RequestId | undefined;
  readonly nowMs: number;
  readonly receivedAt: number;
  readonly draining: boolean;

  constructor(
    requests: Requests,
    connection: Connection,
    type: ClientMessage['t'],
    id: RequestId | undefined,
    nowMs: number,
    draining: boolean,
  ) {
    this.requests = requests;
    this.connection = connection;
    this.type = type;
    this.id = id;
    this.nowMs = nowMs;
    this.receivedAt = requests.options.health.now();
    this.draining = draining;
  }

  get health(): Health {
    return this.requests.options.health;
  }

  reply(answer: Reply): void {
    this.requests.answer(this, answer);
  }

  decided(result: Result<Decision>): void {
    this.reply(decisionReply(result));
  }
}

export class Requests {
  readonly options: RequestsOptions;
  private readonly outbox = new Outbox();

  constructor(options: RequestsOptions) {
    this.options = options;
  }

  /** The bytes are only valid until this returns. */
  receive(connection: Connection, bytes: Uint8Array, isBinary: boolean): void {
    const { state } = connection;
    if (state.phase === 'opening') return this.receiveLater(connection, bytes, isBinary, state.roomOpened);
    const codec = CODECS[connection.variant];
    if (bytes.length > LIMITS.frameInBytesMax) {
      return this.badFrame(
        connection,
        undefined,
        failure('frame_too_large', `A message may have ${LIMITS.frameInBytesMax} bytes; this one has ${bytes.length}.`),
      );
    }
    if (isBinary !== codec.binary) {
      const wanted = codec.binary ? 'binary' : 'text';
      return this.badFrame(
        connection,
        undefined,
        failure('bad_frame', `The negotiated encoding takes ${wanted} frames.`),
      );
    }
    const decoded = codec.decode(bytes);
    if (!decoded.ok) return this.badFrame(connection, undefined, decoded.error);
    const id = requestIdOf(decoded.value);
    const parsed = parseClientMessage(decoded.value);
    if (!parsed.ok && !isMessage(decoded.value)) return this.badFrame(connection, id, parsed.error);
    const nowMs = this.options.clock.nowMs();
    const allowed = takeRequest(connection, nowMs);
    if (!allowed.ok) return connection.replyError(id, this.options.health.now(), allowed.error);
    if (parsed.ok) return this.serve(connection, parsed.value, nowMs);
    this.options.onBadFrame(parsed.error);
    connection.replyError(id, this.options.health.now(), parsed.error);
  }

  /** A client that does not wait for its welcome, in a room that is still opening. */
  private receiveLater(connection: Connection, bytes: Uint8Array, isBinary: boolean, opening: Promise<unknown>): void {
    if (connection.inFlight >= LIMITS.inFlightPerConnectionMax) {
      return this.badFrame(
        connection,
        undefined,
        failure('too_many_in_flight', 'Wait for the welcome.', { retryAfterMs: IN_FLIGHT_RETRY_MS }),
      );
    }
    const kept = bytes.slice();
    connection.inFlight += 1;
    void opening.then(() => {
      connection.inFlight -= 1;
      if (connection.isOpen) this.receive(connection, kept, isBinary);
    });
  }

  private serve(connection: Connection, message: ClientMessage, nowMs: number): void {
    const { health, draining, onMessage, onReply } = this.options;
    onMessage(message.t);
    const { id } = message;
    // Who may ask so often may have a second's worth under way.
    if (connection.inFlight >= Math.max(LIMITS.inFlightPerConnectionMax, connection.room.rates.requests.perSecond)) {
      if (id !== undefined)
        connection.replyError(
          id,
          health.now(),
          failure('too_many_in_flight', undefined, { retryAfterMs: IN_FLIGHT_RETRY_MS }),
        );
      return;
    }
    const call = new Call(this, connection, message.t, id, nowMs, draining());
    connection.inFlight += 1;
    const answered = this.dispatch(connection, message, call);
    if (answered === REPLIES_LATER) return;
    if (!(answered instanceof Promise)) {
      connection.inFlight -= 1;
      onReply(message.t, answered, null);
      if (id !== undefined) connection.reply(id, health.now(), answered);
      return;
    }
    void answered
      .catch((error: unknown): Reply => {
        this.options.logger.error({ err: error, type: message.t }, 'a request failed unexpectedly');
        return fail('internal');
      })
      .then((answer) => call.reply(answer));
  }

  /** The answer of a call that had to wait. */
  answer({ connection, type, id, nowMs }: Call, answer: Reply): void {
    const { health, clock, onReply } = this.options;
    connection.inFlight -= 1;
    onReply(type, answer, clock.nowMs() - nowMs);
    // A resume was answered together with its frames; hearts without an id want no answer.
    if (id === undefined || !connection.isOpen || (type === 'resume' && answer.ok)) return;
    this.outbox.put(connection, encodeReply(connection.variant, id, health.now(), answer));
  }

  private dispatch(connection: Connection, message: ClientMessage, context: RequestContext): HandlerResult {
    switch (message.t) {
      case 'chat':
        return onChat(connection, message, context);
      case 'react':
        return onReact(connection, message, context);
      case 'reserve':
        return onReserve(connection, message, context);
      case 'release':
        return onRelease(connection, message, context);
      case 'sync':
        return onSync(context);
      case 'resume':
        return this.resume(connection, message);
      case 'waitlist':
        return onWaitlist(connection, message, context);
    }
  }

  /** The answer goes first, then the frames, without a published frame in between. */
  private async resume(connection: Connection, message: Extract<ClientMessage, { t: 'resume' }>): Promise<Reply> {
    const { answer, frames } = await onResume(connection, message);
    connection.flushPendingFrames();
    connection.cork(() => {
      connection.reply(message.id, this.options.health.now(), answer);
      for (const frame of frames) connection.write(frame.in(connection.variant));
    });
    return answer;
  }

  private badFrame(connection: Connection, id: RequestId | undefined, error: Failure): void {
    this.options.onBadFrame(error);
    connection.badFrames += 1;
    connection.replyError(id, this.options.health.now(), error);
    if (connection.badFrames > LIMITS.badFramesPerConnectionMax) this.options.onTooManyBadFrames(connection);
  }
}

/** Is it a message at all, if perhaps a wrong one? */
function isMessage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { t?: unknown }).t === 'string';
}
