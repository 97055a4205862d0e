/** `reserve`: refused from the local view where that is certain, decided by Redis otherwise. */

import type { Decision } from '../../domain/reservation.ts';
import { fail, ok, type Result } from '../../protocol/codes.ts';
import type { ClientMessage, Role } from '../../protocol/messages.ts';
import { type Connection, type HandlerResult, REPLIES_LATER, type Reply, type RequestContext } from './context.ts';

/** Roles that may buy. */
export const BUYERS: ReadonlySet<Role> = new Set<Role>(['buyer', 'moderator', 'host']);

export function onReserve(
  connection: Connection,
  message: Extract<ClientMessage, { t: 'reserve' }>,
  context: RequestContext,
): HandlerResult {
  const { identity, member, room } = connection;
  if (member === null || !BUYERS.has(identity.role))
    return fail('forbidden', 'Your token does not allow buying: its role must be buyer.');
  if (context.draining)
    return fail('draining', 'This node is stopping: connect again and repeat the request with the same key.');
  // In a rush nearly every request ends here: no promise, no queue.
  const refusal = room.refuseLocally(member, message.sale, message.lines);
  if (refusal !== null) return { ok: false, error: refusal };
  room.reserve(member, connection, message, context);
  return REPLIES_LATER;
}

/** The answer of a decision, with how durably Redis keeps it. */
export function decisionReply(result: Result<Decision>): Reply {
  if (!result.ok) return result;
  const { reservation, replayed, durability, epoch } = result.value;
  return ok(replayed ? { reservation, replayed, durability, epoch } : { reservation, durability, epoch });
}
