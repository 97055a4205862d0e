/** Closes connections after a `bye` that says when and where the client may connect again. */
import type { Tokens } from '../auth/tokens.ts';
import { encodeFor } from '../fanout/frames.ts';
import { LIMITS } from '../limits.ts';
import { CLOSE, type CloseReason, type ErrorCode, type Failure } from '../protocol/codes.ts';
import type { Bye } from '../protocol/messages.ts';
import type { Connection, Refusal, SocketData } from './connection.ts';
import type { WebSocket } from './uws.ts';

export interface CloserOptions {
  /** Redis time. */
  readonly now: () => number;
  readonly tokens: Pick<Tokens, 'pass'>;
  /** Where clients of a draining node connect; undefined = the same URL. */
  readonly reconnectUrl: string | undefined;
}

/** Close reasons of errors found after the upgrade. */
const CLOSE_REASONS: Partial<Record<ErrorCode, CloseReason>> = {
  show_not_found: 'show_gone',
  show_archived: 'show_gone',
  format_newer: 'format_newer',
  unauthenticated: 'forbidden',
  forbidden: 'forbidden',
  origin_not_allowed: 'forbidden',
  token_expired: 'token_expired',
  redis_unavailable: 'redis_unavailable',
  redis_readonly: 'redis_unavailable',
  redis_full: 'redis_unavailable',
};

type ByeDetails = Partial<Record<'message' | 'url' | 'pass', string | null | undefined>> & {
  reconnectAfterMs?: number | undefined;
};

export class Closer {
  private readonly options: CloserOptions;

  constructor(options: CloserOptions) {
    this.options = options;
  }

  close(connection: Connection, reason: CloseReason, details: ByeDetails = {}): void {
    connection.sendMessage(this.bye(reason, details));
    connection.close(reason);
  }

  /** Sends a client that was refused the reason, and closes its socket. */
  refuse(socket: WebSocket<SocketData>, { variant, error: { code, message } }: Refusal): void {
    const reason = CLOSE_REASONS[code] ?? 'forbidden';
    socket.send(encodeFor(variant, this.bye(reason, { message })), variant !== 'json', false);
    socket.end(CLOSE[reason], reason);
  }

  private bye(reason: CloseReason, details: ByeDetails): Bye {
    const present = Object.entries(details).filter(([, value]) => value !== undefined && value !== null);
    return { t: 'bye', at: this.options.now(), code: CLOSE[reason], reason, ...Object.fromEntries(present) };
  }

  /** Closes a connection whose viewer may not watch, or whose room cannot be opened. */
  reject(connection: Connection, { code, message, retryAfterMs }: Failure): void {
    const reason = CLOSE_REASONS[code] ?? 'overloaded';
    if (reason === 'format_newer') this.sendToOtherNode(connection, reason, message);
    else this.close(connection, reason, { message, reconnectAfterMs: retryAfterMs });
  }

  /** The time is random, so that clients do not return together. */
  sendToOtherNode(connection: Connection, reason: CloseReason = 'draining', message?: string): void {
    this.close(connection, reason, {
      message,
      reconnectAfterMs: Math.round(Math.random() * LIMITS.drainReconnectSpreadMs),
      url: this.options.reconnectUrl,
      pass: this.passFor(connection),
    });
  }

  private passFor({ identity, room }: Connection): string | null {
    const { user, name, role, expiresAtSeconds: exp } = identity;
    if (user === null || name === null || exp === null) return null;
    return this.options.tokens.pass({ show: room.showId, user, name, role, exp });
  }
}
