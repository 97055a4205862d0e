/** `release`: a buyer gives back their own hold. */
import { fail } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Connection, Reply, RequestContext } from './context.ts';
import { decisionReply } from './reserve.ts';

export async function onRelease(
  connection: Connection,
  { key, reservation }: Extract<ClientMessage, { t: 'release' }>,
  { draining }: RequestContext,
): Promise<Reply> {
  const { identity, member, room } = connection;
  if (member === null || identity.role === 'guest')
    return fail('forbidden', 'Guests hold nothing: connect with the token of the buyer.');
  if (draining)
    return fail('draining', 'This node is stopping: connect again and repeat the request with the same key.');
  return decisionReply(await room.release(member, connection, { key, reservation }));
}
