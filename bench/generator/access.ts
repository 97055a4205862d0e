/** How person i of a show gets in: a name, a token, an address of this machine to come from. */
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
/**
 * Below what one source address has ports for, and below the engine's own limit of connections from
 * one address.
 */
const CONNECTIONS_PER_ADDRESS = 15_000;

export const userOf = (person: number): string => `p${person}`;

/**
 * Null: that person comes without a token, as a guest. Throws when there are fewer tokens than
 * people.
 */
export function tokenMaker(access: Access, show: string, role: Role): (person: number) => string | null {
  if (access.kind === 'guest') return () => null;
  if (access.kind === 'tokens') {
    return (person) => {
      const token = access.tokens[person];
      if (token === undefined) throw new Error(`there are tokens for ${access.tokens.length} people only`);
      return token;
    };
  }
  const tokens = createTokens({ secret: access.secret, nowMs: () => Date.now() });
  return (person) => tokens.mint({ show, user: userOf(person), name: userOf(person), role }, TOKEN_TTL_SECONDS);
}

/** On loopback, where a whole network of addresses is ours, crowds come from several. */
export function sourceAddress(host: string, person: number): string | undefined {
  const bay = Math.floor(person / CONNECTIONS_PER_ADDRESS);
  return host === '127.0.0.1' && bay > 0 && bay < 250 ? `127.0.0.${bay + 1}` : undefined;
}
