/** `waitlist`: a place in line for units that others may give back. */
import { fail, ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Connection, Reply, RequestContext } from './context.ts';
import { BUYERS } from './reserve.ts';

export async function onWaitlist(
  connection: Connection,
  { key, op, sale, sku, qty }: Extract<ClientMessage, { t: 'waitlist' }>,
  { draining }: RequestContext,
): Promise<Reply> {
  const { identity, member, room } = connection;
  if (member === null || !BUYERS.has(identity.role))
    return fail('forbidden', 'Your token does not allow buying: its role must be buyer.');
  if (draining)
    return fail('draining', 'This node is stopping: connect again and repeat the request with the same key.');
  const answered = await room.waitlist(member, { op, key, sale, sku, ...(op === 'join' ? { qty: qty ?? 1 } : {}) });
  if (!answered.ok) return answered;
  const { place, waiting, replayed } = answered.value;
  return ok({ place, waiting, ...(replayed ? { replayed } : {}) });
}
