/**
 * From the bytes of a client message to its one reply: guards, then one switch, then one file per
 * message in `messages/`.
 */
import type { Logger } from 'pino';
import type { Tokens } from '../auth/tokens.ts';
import type { Clock } from '../domain/clock.ts';
import type { Health } from '../domain/health.ts';
import { LIMITS } from '../limits.ts';
import { CODECS } from '../protocol/codec.ts';
import { type Failure, fail, failure, type Result } from '../protocol/codes.ts';
import type { ClientMessage } from '../protocol/messages.ts';
import { parseClientMessage, type RequestId, requestIdOf } from '../protocol/validate.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Closer } from './closer.ts';
import type { Connection } from './connection.ts';
import { bytesIn, type GuestBytes } from './guest-bytes.ts';
import { onChat } from './messages/chat.ts';
import { Call, type HandlerContext, type HandlerResult, REPLIES_LATER } from './messages/context.ts';
import { onPage } from './messages/page.ts';
import { onReact } from './messages/react.ts';
import { onRefresh } from './messages/refresh.ts';
import { onRelease } from './messages/release.ts';
import { onReserve } from './messages/reserve.ts';
import { onResume } from './messages/resume.ts';
import { onSync } from './messages/sync.ts';
import { onWaitlist } from './messages/waitlist.ts';
import { Outbox } from './outbox.ts';
import { chargeBulk, isFlood, refuseBulk, refuseUserRequest, takeRequest } from './rate-limits.ts';
import { encodeReply, type Reply } from './replies.ts';
import { recordReply } from './reply-metrics.ts';

export interface RequestsOptions {
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly draining: () => boolean;
  readonly closer: Closer;
  readonly tokens: Pick<Tokens, 'verify'>;
  readonly metrics: Metrics;
  readonly guests: GuestBytes;
}

const IN_FLIGHT_RETRY_MS = 250;
const isMessage = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && typeof (value as { t?: unknown }).t === 'string';

export class Requests implements HandlerContext {
  readonly health: Health;
  readonly draining: () => boolean;
  private readonly options: RequestsOptions;
  private readonly outbox = new Outbox();
  /** Bytes of messages that wait until their room is open. */
  private earlyBytes = 0;

  constructor(options: RequestsOptions) {
    this.options = options;
    this.health = options.health;
    this.draining = options.draining;
  }

  /** `bytes` are only valid until this returns. */
  receive(connection: Connection, bytes: Uint8Array, isBinary: boolean): void {
    const { state } = connection;
    if (bytes.length > LIMITS.frameInBytesMax) {
      const message = `A message may have ${LIMITS.frameInBytesMax} bytes; this one has ${bytes.length}.`;
      return this.badFrame(connection, undefined, failure('frame_too_large', message));
    }
    if (state.phase === 'opening') return this.receiveLater(connection, bytes, isBinary, state.roomOpened);
    const codec = CODECS[connection.variant];
    if (isBinary !== codec.binary) {
      const message = `The negotiated encoding takes ${codec.binary ? 'binary' : 'text'} frames.`;
      return this.badFrame(connection, undefined, failure('bad_frame', message));
    }
    const decoded = codec.decode(bytes);
    if (!decoded.ok) return this.badFrame(connection, undefined, decoded.error);
    const id = requestIdOf(decoded.value);
    const parsed = parseClientMessage(decoded.value);
    if (!parsed.ok && !isMessage(decoded.value)) return this.badFrame(connection, id, parsed.error);
    const nowMs = this.options.clock.nowMs();
    const allowed = takeRequest(connection, nowMs);
    if (!allowed.ok) return this.overRate(connection, id, allowed.error, nowMs);
    if (parsed.ok) return this.serve(connection, parsed.value, nowMs);
    this.options.metrics.badFrames.inc({ code: parsed.error.code });
    connection.replyError(id, this.health.now(), parsed.error);
  }

  /** The server has replied with a pong. Browsers send no pings, other clients few. */
  receivePing(connection: Connection): void {
    const nowMs = this.options.clock.nowMs();
    if (!takeRequest(connection, nowMs).ok && isFlood(connection, nowMs)) this.expel(connection);
  }

  /** Sends the reply of a call, with all others of this turn to the same connection. */
  finish({ connection, type, id, startedMs }: Call, reply: Reply): void {
    connection.inFlight -= 1;
    recordReply(this.options.metrics, type, reply, this.options.clock.nowMs() - startedMs);
    // The reply of a resume went out with its frames. Hearts without an id want no reply.
    if (id === undefined || !connection.isOpen || (type === 'resume' && reply.ok)) return;
    this.outbox.put(connection, encodeReply(connection.variant, id, this.health.now(), reply));
  }

  /** The client does not wait for its welcome, and its room is still opening. */
  private receiveLater(connection: Connection, bytes: Uint8Array, isBinary: boolean, opening: Promise<unknown>): void {
    if (connection.inFlight >= LIMITS.inFlightPerConnectionMax) {
      const hint = { retryAfterMs: IN_FLIGHT_RETRY_MS };
      return this.badFrame(connection, undefined, failure('too_many_in_flight', 'Wait for the welcome.', hint));
    }
    if (this.earlyBytes + bytes.length > LIMITS.earlyBytesPerNodeMax) {
      const error = failure('overloaded', 'Wait for the welcome.', { retryAfterMs: IN_FLIGHT_RETRY_MS });
      return this.badFrame(connection, undefined, error);
    }
    const kept = bytes.slice();
    connection.inFlight += 1;
    this.earlyBytes += kept.length;
    opening
      .then(() => {
        this.earlyBytes -= kept.length;
        connection.inFlight -= 1;
        if (connection.isOpen) this.receive(connection, kept, isBinary);
      })
      .catch((error: unknown) => this.unexpected('early', error));
  }

  private serve(connection: Connection, message: ClientMessage, nowMs: number): void {
    const { metrics } = this.options;
    metrics.framesIn.add(message.t);
    const { id } = message;
    // A connection may have as many in flight as it may send per second.
    if (connection.inFlight >= Math.max(LIMITS.inFlightPerConnectionMax, connection.room.rates.requests.perSecond)) {
      const error = failure('too_many_in_flight', undefined, { retryAfterMs: IN_FLIGHT_RETRY_MS });
      if (id !== undefined) connection.replyError(id, this.health.now(), error);
      return;
    }
    connection.inFlight += 1;
    let result: HandlerResult;
    try {
      result = this.dispatch(connection, message, nowMs);
    } catch (error) {
      result = this.unexpected(message.t, error);
    }
    if (result === REPLIES_LATER) return;
    if (!(result instanceof Promise)) {
      connection.inFlight -= 1;
      recordReply(metrics, message.t, result, null);
      if (id !== undefined) connection.reply(id, this.health.now(), result);
      return;
    }
    const call = new Call(this, connection, message, nowMs);
    result
      .catch((error: unknown): Result<never> => this.unexpected(message.t, error))
      .then((reply) => call.reply(reply))
      .catch((error: unknown) => this.unexpected(message.t, error));
  }

  /** Only this request fails: one client must not make a room synchronize again. */
  private unexpected(type: string, error: unknown): Result<never> {
    this.options.logger.error({ err: error, type }, 'a request failed unexpectedly');
    return fail('internal');
  }

  private dispatch(connection: Connection, message: ClientMessage, nowMs: number): HandlerResult {
    switch (message.t) {
      case 'chat':
        return onChat(connection, message, this, nowMs);
      case 'react':
        return onReact(connection, message, this, nowMs);
      case 'reserve':
        return refuseUserRequest(connection, nowMs) ?? onReserve(connection, message, this, nowMs);
      case 'release':
        return refuseUserRequest(connection, nowMs) ?? onRelease(connection, message, this);
      case 'sync':
        return onSync(this, this.health.now());
      case 'resume':
        return (
          refuseUserRequest(connection, nowMs) ??
          this.refuseResume(connection, nowMs) ??
          this.resume(connection, message)
        );
      case 'page':
        return refuseBulk(connection, nowMs) ?? onPage(connection, message, this.health.now());
      case 'refresh':
        return refuseUserRequest(connection, nowMs) ?? onRefresh(connection, message, this.options.tokens);
      case 'waitlist':
        return refuseUserRequest(connection, nowMs) ?? onWaitlist(connection, message, this);
    }
  }

  private refuseResume(connection: Connection, nowMs: number): Result<never> | null {
    return refuseBulk(connection, nowMs) ?? this.options.guests.refuseResume(connection);
  }

  /** Sends the reply first, then the frames, without a published frame in between. */
  private async resume(connection: Connection, message: Extract<ClientMessage, { t: 'resume' }>): Promise<Reply> {
    const { reply, frames } = await onResume(connection, message);
    // Several resumes may have waited for the same events.
    const refused = this.refuseResume(connection, this.options.clock.nowMs());
    if (refused !== null) return refused;
    const messages = frames.map((frame) => frame.in(connection.variant));
    const bytes = bytesIn(messages);
    chargeBulk(connection, Math.max(LIMITS.resumeCostBytes, bytes));
    this.options.guests.charge(connection, bytes);
    connection.flushPendingFrames();
    connection.cork(() => {
      connection.reply(message.id, this.health.now(), reply);
      for (const each of messages) connection.write(each);
    });
    return reply;
  }

  private badFrame(connection: Connection, id: RequestId | undefined, error: Failure): void {
    this.options.metrics.badFrames.inc({ code: error.code });
    connection.badFrames += 1;
    connection.replyError(id, this.health.now(), error);
    if (connection.badFrames > LIMITS.badFramesPerConnectionMax) this.expel(connection);
  }

  private overRate(connection: Connection, id: RequestId | undefined, error: Failure, nowMs: number): void {
    if (isFlood(connection, nowMs)) this.expel(connection);
    else connection.replyError(id, this.health.now(), error);
  }

  private expel(connection: Connection): void {
    if (connection.identity.user !== null) connection.room.delayJoins(connection.identity.user);
    this.options.closer.close(connection, 'bad_frames');
  }
}
