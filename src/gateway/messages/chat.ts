/** `chat`: appended to the log; the reply carries the id of the message. */
import { fail, ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import { takeChat } from '../rate-limits.ts';
import { Call, type Connection, type HandlerContext, type HandlerResult, REPLIES_LATER } from './context.ts';

const MARK_NONE = 0;
const MARK_ORDER = 1;
const MARK_MODERATOR = 2;
const MARK_HOST = 3;

export function onChat(
  connection: Connection,
  message: Extract<ClientMessage, { t: 'chat' }>,
  context: HandlerContext,
  nowMs: number,
): HandlerResult {
  const { identity, member, room } = connection;
  const receivedAt = context.health.now();
  if (identity.role === 'guest' || member === null)
    return fail('forbidden', 'Guests may watch only: connect with a token to chat.');
  if (context.draining()) return fail('draining');
  if (room.replica.show.state === 'ended') return fail('show_ended');
  const mutedUntil = room.mutedUntil(member.user);
  if (mutedUntil !== null) return fail('muted', undefined, { retryAfterMs: Math.ceil(mutedUntil - receivedAt) });
  const allowed = takeChat(connection, member.user, nowMs);
  if (!allowed.ok) return allowed;
  const call = new Call(context, connection, message, nowMs);
  const entry = {
    user: member.user,
    name: identity.name ?? '',
    text: message.text,
    mark: markOf(connection),
    at: receivedAt,
  };
  room.chat(entry, (result) => {
    if (!result.ok) return call.reply(result);
    const { id, leftOut } = result.value;
    call.reply(ok(leftOut ? { chat: id, leftOut } : { chat: id }));
  });
  return REPLIES_LATER;
}

function markOf({ identity, member }: Connection): number {
  if (identity.role === 'host') return MARK_HOST;
  if (identity.role === 'moderator') return MARK_MODERATOR;
  return member?.hasOrder ? MARK_ORDER : MARK_NONE;
}
