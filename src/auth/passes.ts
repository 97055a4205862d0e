/**
 * Passes for people whom a stopping node sends to another one: who they are, as the first node
 * verified it, under a short-lived HMAC-SHA256 of the shared secret. A rolling restart brings
 * everybody back within seconds; a pass spares the next node the signature check of a token (some
 * 50 us with public keys) and clients a walk to their identity provider.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { Claims } from './claims.ts';

export interface Passes {
  /** Good for `LIMITS.passTtlMs`, and not longer than the token it stands for. */
  mint(claims: Claims): string;
  isPass(text: string): boolean;
  /** Failures: `unauthenticated`, `token_expired`. */
  verify(pass: string): Result<Claims>;
}

type Packed = [show: string, user: string, name: string, role: Claims['role'], exp: number, untilMs: number];

const PREFIX = 'pass1.';

export function createPasses({ secret, nowMs }: { secret: string; nowMs: () => number }): Passes {
  // A key of its own: no pass can be taken for a token, nor the other way round.
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'stampede pass', 32));
  const signature = (body: string): Buffer => createHmac('sha256', key).update(body).digest();
  return {
    isPass: (text) => text.startsWith(PREFIX),
    mint({ show, user, name, role, exp }) {
      const packed: Packed = [show, user, name, role, exp, Math.min(exp * 1000, nowMs() + LIMITS.passTtlMs)];
      const body = `${PREFIX}${Buffer.from(JSON.stringify(packed)).toString('base64url')}`;
      return `${body}.${signature(body).toString('base64url')}`;
    },
    verify(pass) {
      const end = pass.lastIndexOf('.');
      const body = pass.slice(0, end);
      const given = Buffer.from(pass.slice(end + 1), 'base64url');
      const right = signature(body);
      if (given.length !== right.length || !timingSafeEqual(given, right))
        return fail('unauthenticated', 'This is not a pass of this engine.');
      const [show, user, name, role, exp, untilMs] = JSON.parse(
        Buffer.from(body.slice(PREFIX.length), 'base64url').toString(),
      ) as Packed;
      if (untilMs <= nowMs()) return fail('token_expired', 'The pass has lapsed: connect with your token.');
      return ok({ show, user, name, role, exp });
    },
  };
}
