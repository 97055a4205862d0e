import t from 'tap';
import type { Claims } from '../../src/auth/claims.ts';
import { createPasses } from '../../src/auth/passes.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { LIMITS } from '../../src/limits.ts';

const SECRET = 'a secret of thirty-two bytes or more';
const claims: Claims = { show: 'show', user: 'Zoë', name: 'Zoë 🦊', role: 'buyer', exp: 10_000 };

t.test('a pass stands for the token on every node that shares the secret, for a short while', async (t) => {
  let now = 1_000_000;
  const make = (secret: string): ReturnType<typeof createTokens> => createTokens({ secret, nowMs: () => now });
  const pass = make(SECRET).pass(claims) as string;
  t.match(pass, /^[A-Za-z0-9._-]+$/, 'it may travel as a subprotocol');
  t.same(make(SECRET).verify(pass), { ok: true, value: claims });
  t.match(make(`${SECRET}, another`).verify(pass), { ok: false, error: { code: 'unauthenticated' } });
  now += LIMITS.passTtlMs;
  t.match(make(SECRET).verify(pass), { ok: false, error: { code: 'token_expired' } });
  now = claims.exp * 1000 - 10;
  const last = make(SECRET).pass(claims) as string;
  now += 10;
  t.match(make(SECRET).verify(last), { ok: false, error: { code: 'token_expired' } }, 'not longer than its token');
});

t.test('nothing else is a pass', async (t) => {
  const passes = createPasses({ secret: SECRET, nowMs: () => 0 });
  const pass = passes.mint(claims);
  const [head, body, mark] = pass.split('.') as [string, string, string];
  const forged = Buffer.from(JSON.stringify(['show', 'host', 'Host', 'host', 10_000, 60_000])).toString('base64url');
  for (const wrong of [
    `${head}.${forged}.${mark}`,
    `${head}.${body}.`,
    `${head}.${body}`,
    `${head}.`,
    'pass1.',
    `${pass}A`,
    'pass1..',
    `pass1.${'x'.repeat(500)}.y`,
  ]) {
    t.match(passes.verify(wrong), { ok: false, error: { code: 'unauthenticated' } }, wrong.slice(0, 40));
  }
  t.equal(createTokens({ secret: SECRET, nowMs: () => 0 }).verify(`${body}.${mark}.`).ok, false);
});
