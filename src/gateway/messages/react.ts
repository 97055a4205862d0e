/** `react`: hearts are summed per node and second; nobody is told who sent them. */
import { fail, ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import { takeHearts } from '../rate-limits.ts';
import type { Connection, Reply, RequestContext } from './context.ts';

export function onReact(
  connection: Connection,
  { n = 1 }: Extract<ClientMessage, { t: 'react' }>,
  { nowMs, draining }: RequestContext,
): Reply {
  if (connection.identity.role === 'guest')
    return fail('forbidden', 'Guests may watch only: connect with a token to react.');
  if (draining) return fail('draining');
  const allowed = takeHearts(connection, n, nowMs);
  if (!allowed.ok) return allowed;
  connection.room.addHearts(n);
  return ok(undefined);
}
