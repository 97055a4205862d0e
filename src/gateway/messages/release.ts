/** `release`: ends a hold of the buyer without an order. */
import { fail } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Connection, HandlerContext, Reply } from './context.ts';
import { DRAINING, decisionReply } from './reserve.ts';

export async function onRelease(
  { identity, member, room }: Connection,
  message: Extract<ClientMessage, { t: 'release' }>,
  context: HandlerContext,
): Promise<Reply> {
  if (member === null || identity.role === 'guest')
    return fail('forbidden', 'Guests hold nothing: connect with the token of the buyer.');
  if (context.draining()) return DRAINING;
  return decisionReply(await room.sales.release(member, message));
}
