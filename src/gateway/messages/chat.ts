/** `chat`: taken into the log, answered with the message's id once Redis has it. */
import { fail, ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import { takeChat } from '../rate-limits.ts';
import { type Connection, type HandlerResult, REPLIES_LATER, type RequestContext } from './context.ts';

const MARK_NONE = 0;
const MARK_ORDER = 1;
const MARK_MODERATOR = 2;
const MARK_HOST = 3;

export function onChat(
  connection: Connection,
  { text }: Extract<ClientMessage, { t: 'chat' }>,
  context: RequestContext,
): HandlerResult {
  const { nowMs, receivedAt, draining } = context;
  const { identity, member, room } = connection;
  if (identity.role === 'guest' || member === null)
    return fail('forbidden', 'Guests may watch only: connect with a token to chat.');
  if (draining) return fail('draining');
  if (room.replica.show.state === 'ended') return fail('show_ended');
  const mutedUntil = room.mutedUntil(member.user);
  if (mutedUntil !== null) return fail('muted', undefined, { retryAfterMs: Math.ceil(mutedUntil - receivedAt) });
  const allowed = takeChat(connection, member.user, nowMs);
  if (!allowed.ok) return allowed;
  room.chat(
    { user: member.user, name: identity.name ?? '', text, mark: markOf(connection), at: receivedAt },
    (result) =>
      context.reply(
        result.ok ? ok({ chat: result.value.id, ...(result.value.leftOut ? { leftOut: true } : {}) }) : result,
      ),
  );
  return REPLIES_LATER;
}

function markOf({ identity, member, room }: Connection): number {
  if (identity.role === 'host') return MARK_HOST;
  if (identity.role === 'moderator') return MARK_MODERATOR;
  return member !== null && room.members.hasOrder(member) ? MARK_ORDER : MARK_NONE;
}
