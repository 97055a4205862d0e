/** How virtual user i joins a show: its name, its token, the local address of its connection. */
import { createTokens } from '../../src/auth/tokens.ts';
import type { Role, Variant } from '../../src/protocol/messages.ts';
import type { WireVariant } from '../scenarios/common-flags.ts';
import type { Access } from '../scenarios/target.ts';

export const VARIANTS: Readonly<Record<WireVariant, Variant>> = {
  json: 'json',
  msgpack: 'msgpack',
  deflate: 'msgpack.deflate',
};

const TOKEN_TTL_SECONDS = 24 * 60 * 60;
/** Below the ports of one local address, and below the engine's limit per address. */
const CONNECTIONS_PER_ADDRESS = 15_000;

export const userOf = (userIndex: number): string => `p${userIndex}`;

/** Null: the user joins as a guest. Throws when there are fewer tokens than users. */
export function tokenMaker(access: Access, show: string, role: Role): (userIndex: number) => string | null {
  if (access.kind === 'guest') return () => null;
  if (access.kind === 'tokens') {
    return (userIndex) => {
      const token = access.tokens[userIndex];
      if (token === undefined) throw new Error(`there are only tokens for ${access.tokens.length} users`);
      return token;
    };
  }
  const tokens = createTokens({ secret: access.secret, nowMs: () => Date.now() });
  return (userIndex) =>
    tokens.mint({ show, user: userOf(userIndex), name: userOf(userIndex), role }, TOKEN_TTL_SECONDS);
}

/** On loopback many users connect from several addresses. */
export function sourceAddress(host: string, userIndex: number): string | undefined {
  const block = Math.floor(userIndex / CONNECTIONS_PER_ADDRESS);
  return host === '127.0.0.1' && block > 0 && block < 250 ? `127.0.0.${block + 1}` : undefined;
}
