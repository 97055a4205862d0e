/** `refresh`: a new token for a connection, so that it outlives the one before (H-6.2). */
import type { Tokens } from '../../auth/tokens.ts';
import { fail, ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import { identityFor } from '../upgrade.ts';
import type { Connection, Reply } from './context.ts';

export function onRefresh(
  connection: Connection,
  { token }: Extract<ClientMessage, { t: 'refresh' }>,
  tokens: Pick<Tokens, 'verify'>,
): Reply {
  const { identity, room } = connection;
  if (identity.user === null) return fail('forbidden', 'You are a guest. Connect again with the token.');
  const verified = tokens.verify(token);
  if (!verified.ok) return verified;
  const renewed = identityFor(room.showId, verified.value);
  if (!renewed.ok) return renewed;
  if (renewed.value.user !== identity.user)
    return fail('forbidden', 'The token is for another user. Connect again with it.');
  connection.identity = renewed.value;
  const { name, role, exp } = verified.value;
  return ok({ name, role, expiresAt: exp * 1000 });
}
