import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import type { Claims } from '../../src/auth/claims.ts';
import { createPasses } from '../../src/auth/passes.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { LIMITS } from '../../src/limits.ts';

const SECRET = 'a secret of thirty-two bytes or more';
const PUBLIC_KEY = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }) as string;
const claims: Claims = { show: 'show', user: 'Zoë', name: 'Zoë 🦊', role: 'buyer', exp: 10_000 };

t.test('a pass replaces the token for a minute on every node that has the secret (W-5.4)', async (t) => {
  let now = 1_000_000;
  const tokensWith = (secret: string) => createTokens({ secret, publicKeys: [PUBLIC_KEY], nowMs: () => now });
  const pass = tokensWith(SECRET).pass(claims) as string;
  t.match(pass, /^[A-Za-z0-9._-]+$/, 'it is a valid subprotocol');
  t.same(tokensWith(SECRET).verify(pass), { ok: true, value: claims });
  t.match(tokensWith(`${SECRET}, another`).verify(pass), { ok: false, error: { code: 'unauthenticated' } });
  now += LIMITS.passTtlMs;
  const expired = { ok: false, error: { code: 'token_expired' } };
  t.match(tokensWith(SECRET).verify(pass), expired);
  now = claims.exp * 1000 - 10;
  const last = tokensWith(SECRET).pass(claims) as string;
  now += 10;
  t.match(tokensWith(SECRET).verify(last), expired, 'it expires with its token');
});

t.test('only engines with a secret and public keys issue passes (W-5.4)', async (t) => {
  const nowMs = (): number => 0;
  t.equal(createTokens({ secret: SECRET, nowMs }).pass(claims), null);
  t.equal(createTokens({ publicKeys: [PUBLIC_KEY], nowMs }).pass(claims), null);
});

t.test('forged and malformed passes are rejected', async (t) => {
  const passes = createPasses({ secret: SECRET, nowMs: () => 0 });
  const pass = passes.mint(claims);
  const [head, body, mark] = pass.split('.') as [string, string, string];
  const forged = Buffer.from(JSON.stringify(['show', 'host', 'Host', 'host', 10_000, 60_000])).toString('base64url');
  const changed = [`${head}.${forged}.${mark}`, `${head}.${body}.`, `${head}.${body}`, `${head}.`, `${pass}A`];
  for (const wrong of [...changed, 'pass1.', 'pass1..', `pass1.${'x'.repeat(500)}.y`])
    t.match(passes.verify(wrong), { ok: false, error: { code: 'unauthenticated' } }, wrong.slice(0, 40));
  t.equal(createTokens({ secret: SECRET, nowMs: () => 0 }).verify(`${body}.${mark}.`).ok, false);
});
