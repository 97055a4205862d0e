/** `react`: hearts, summed per node and second without their senders. */
import { fail, ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import { takeHearts } from '../rate-limits.ts';
import type { Connection, HandlerContext, Reply } from './context.ts';

export function onReact(
  connection: Connection,
  { n = 1 }: Extract<ClientMessage, { t: 'react' }>,
  context: HandlerContext,
  nowMs: number,
): Reply {
  if (connection.identity.role === 'guest')
    return fail('forbidden', 'Guests may watch only: connect with a token to react.');
  if (context.draining()) return fail('draining');
  const allowed = takeHearts(connection, n, nowMs);
  if (!allowed.ok) return allowed;
  connection.room.addHearts(n);
  return ok(undefined);
}
