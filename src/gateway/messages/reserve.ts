/** `reserve`: refused from the local view where that is certain, decided by Redis otherwise. */
import { fail, ok, type Result } from '../../protocol/codes.ts';
import type { ClientMessage, Role } from '../../protocol/messages.ts';
import type { Decision } from '../../sales/types.ts';
import type { Answer, Answered, Connection, RequestContext } from './context.ts';

/** Roles that may buy. */
export const BUYERS: ReadonlySet<Role> = new Set<Role>(['buyer', 'moderator', 'host']);

export function onReserve(connection: Connection, { key, sale, lines }: Extract<ClientMessage, { t: 'reserve' }>, { draining }: RequestContext): Answered {
  const { identity, member, room } = connection;
  if (member === null || !BUYERS.has(identity.role)) return fail('forbidden', 'Your token does not allow buying: its role must be buyer.');
  if (draining) return fail('draining', 'This node is stopping: connect again and repeat the request with the same key.');
  // In a rush nearly every request ends here: no promise, no queue.
  const refusal = room.refuse(member, sale, lines);
  if (refusal !== null) return { ok: false, error: refusal };
  return (done) => room.reserve(member, connection, { key, sale, lines }, (result) => done(decided(result)));
}

/** The answer of a decision, with how durably Redis keeps it. */
export function decided(result: Result<Decision>): Answer {
  if (!result.ok) return result;
  const { reservation, replayed, durability, epoch } = result.value;
  return ok({ reservation, ...(replayed ? { replayed } : {}), durability, epoch });
}
