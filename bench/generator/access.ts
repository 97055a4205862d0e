/** How person i joins a show: its name, its token, the local address of its connection. */
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

export const userOf = (person: number): string => `p${person}`;

/** Null: the person joins as a guest. Throws when there are fewer tokens than people. */
export function tokenMaker(access: Access, show: string, role: Role): (person: number) => string | null {
  if (access.kind === 'guest') return () => null;
  if (access.kind === 'tokens') {
    return (person) => {
      const token = access.tokens[person];
      if (token === undefined) throw new Error(`there are only tokens for ${access.tokens.length} people`);
      return token;
    };
  }
  const tokens = createTokens({ secret: access.secret, nowMs: () => Date.now() });
  return (person) => tokens.mint({ show, user: userOf(person), name: userOf(person), role }, TOKEN_TTL_SECONDS);
}

/** On loopback many people connect from several addresses. */
export function sourceAddress(host: string, person: number): string | undefined {
  const block = Math.floor(person / CONNECTIONS_PER_ADDRESS);
  return host === '127.0.0.1' && block > 0 && block < 250 ? `127.0.0.${block + 1}` : undefined;
}
