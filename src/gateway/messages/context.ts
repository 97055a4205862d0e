/** What the handlers of client messages share. */

import type { Health } from '../../domain/health.ts';
import type { Result } from '../../protocol/codes.ts';
import type { DecisionReceiver } from '../../rooms/room.ts';
import type { Connection } from '../connection.ts';

export interface RequestContext extends DecisionReceiver {
  readonly health: Health;
  /** Monotonic milliseconds, for rates. */
  readonly nowMs: number;
  /** When the message came, Redis time. */
  readonly receivedAt: number;
  readonly draining: boolean;
  reply(answer: Reply): void;
}

/** The data of the one `ok`, or why not. */
export type Reply = Result<Record<string, unknown> | undefined>;
/**
 * The handler has seen to it that `done` or `decided` is called, once. What comes by the ten
 * thousand a second answers like this, without promises.
 */
export const REPLIES_LATER = Symbol('later');
/** A handler answers now or later; it never throws for an operating error. */
export type HandlerResult = Reply | Promise<Reply> | typeof REPLIES_LATER;
export type { Connection };
