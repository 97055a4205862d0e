/** `page`: sends products and sales that did not fit into the snapshot of a large show. */
import type { ClientMessage } from '../../protocol/messages.ts';
import { chargeBulk } from '../rate-limits.ts';
import { encodeReplyAround } from '../replies.ts';
import { type Connection, type HandlerResult, REPLIES_LATER } from './context.ts';

export function onPage(
  connection: Connection,
  { id, after }: Extract<ClientMessage, { t: 'page' }>,
  now: number,
): HandlerResult {
  const data = connection.room.welcomes.page(after, connection.variant);
  chargeBulk(connection, data.length);
  // Events that the page contains must not arrive after it.
  connection.flushPendingFrames();
  connection.write(encodeReplyAround(id, now, data));
  connection.inFlight -= 1;
  return REPLIES_LATER;
}
