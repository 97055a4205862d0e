/**
 * Passes replace the token of a viewer who moves from a draining node to another node. The first
 * node has verified the token; the pass carries the claims under a short-lived HMAC-SHA256 of the
 * shared secret. Per viewer, signing and checking a pass takes 10 us. Checking the signature of a
 * public-key token takes 40 us (RS256) to 120 us (EdDSA), beside 75 us for the rest of a join.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { Claims } from './claims.ts';

export interface Passes {
  /** Returns a pass that is valid for `LIMITS.passTtlMs`, but not longer than the token. */
  mint(claims: Claims): string;
  isPass(text: string): boolean;
  /** Failures: `unauthenticated`, `token_expired`. */
  verify(pass: string): Result<Claims>;
}

type Packed = [show: string, user: string, name: string, role: Claims['role'], exp: number, validUntilMs: number];

const PREFIX = 'pass1.';

export function createPasses({ secret, nowMs }: { secret: string; nowMs: () => number }): Passes {
  // A separate key: a pass is never a valid token, and a token is never a valid pass.
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
      const presented = Buffer.from(pass.slice(end + 1), 'base64url');
      const expected = signature(body);
      if (presented.length !== expected.length || !timingSafeEqual(presented, expected))
        return fail('unauthenticated', 'The pass is not signed by this engine. Connect with your token.');
      const [show, user, name, role, exp, validUntilMs] = JSON.parse(
        Buffer.from(body.slice(PREFIX.length), 'base64url').toString(),
      ) as Packed;
      if (validUntilMs <= nowMs()) return fail('token_expired', 'The pass has expired. Connect with your token.');
      return ok({ show, user, name, role, exp });
    },
  };
}
