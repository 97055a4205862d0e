/** What the handlers of client messages share. */
import type { Health } from '../../domain/health.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { RequestId } from '../../protocol/validate.ts';
import type { Connection } from '../connection.ts';
import type { Reply } from '../replies.ts';

export interface HandlerContext {
  readonly health: Health;
  readonly draining: () => boolean;
  /** Sends the reply of a call. */
  finish(call: Call, reply: Reply): void;
}

/**
 * A handler returns its reply, or a promise of it. `REPLIES_LATER` avoids promises for frequent
 * messages: then the handler has created a `Call`, whose `reply` is called once.
 */
export const REPLIES_LATER = Symbol('later');
export type HandlerResult = Reply | Promise<Reply> | typeof REPLIES_LATER;

/** A request that waits for Redis, from its frame to its reply. */
export class Call {
  readonly connection: Connection;
  readonly type: ClientMessage['t'];
  readonly id: RequestId | undefined;
  readonly startedMs: number;
  private readonly context: HandlerContext;

  constructor(context: HandlerContext, connection: Connection, { t, id }: ClientMessage, startedMs: number) {
    this.context = context;
    this.connection = connection;
    this.type = t;
    this.id = id;
    this.startedMs = startedMs;
  }

  reply(reply: Reply): void {
    this.context.finish(this, reply);
  }
}

export type { Connection, Reply };
