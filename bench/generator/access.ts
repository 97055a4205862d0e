/** How virtual user i joins a show: its name, its token, the local address of its connection. */
import { createTokens } from '../../src/auth/tokens.ts';
import type { Role, Variant } from '../../src/protocol/messages.ts';
import type { WireVariant } from '../scenarios/common-flags.ts';
import type { Access } from '../scenarios/target.ts';

type Variants = Readonly<Record<WireVariant, Variant>>;
export const VARIANTS: Variants = { json: 'json', msgpack: 'msgpack', deflate: 'msgpack.deflate' };

const TOKEN_TTL_SECONDS = 24 * 60 * 60;
/** Fewer than the ports of a local address, and than the engine accepts per address. */
const CONNECTIONS_PER_ADDRESS = 15_000;
export const userOf = (userIndex: number): string => `p${userIndex}`;

/** Returns a function that makes the token of a user; its result is null for guests. */
export function tokenMaker(access: Access, show: string, role: Role): (userIndex: number) => string | null {
  if (access.kind === 'guest') return () => null;
  if (access.kind === 'tokens')
    return (userIndex) => {
      const token = access.tokens[userIndex];
      if (token === undefined) throw new Error(`there are only tokens for ${access.tokens.length} users`);
      return token;
    };
  const tokens = createTokens({ secret: access.secret, nowMs: () => Date.now() });
  return (userIndex) =>
    tokens.mint({ show, user: userOf(userIndex), name: userOf(userIndex), role }, TOKEN_TTL_SECONDS);
}

/** Returns a local address for a user: on loopback, many users need several addresses. */
export function sourceAddress(host: string, userIndex: number): string | undefined {
  const block = Math.floor(userIndex / CONNECTIONS_PER_ADDRESS);
  return host === '127.0.0.1' && block > 0 && block < 250 ? `127.0.0.${block + 1}` : undefined;
}
