import { generateKeyPairSync } from 'node:crypto';
import { createSigner } from 'fast-jwt';
import t from 'tap';
import { createTokens } from '../../src/auth/tokens.ts';
import { LIMITS } from '../../src/limits.ts';

const secret = 'a-secret-of-at-least-thirty-two-bytes';
const claims = { show: 'gala', user: 'u1', name: 'Ada', role: 'buyer' } as const;
const payload = { sub: 'u1', name: 'Ada', show: 'gala', role: 'buyer', exp: 4_000_000_000 };
const codeOf = (result: { ok: boolean; error?: { code: string } }): string =>
  result.ok ? 'ok' : (result.error?.code ?? '?');

t.test('a minted token comes back as its claims', async (t) => {
  const tokens = createTokens({ secret, nowMs: () => 1_000_000_000_500 });
  t.equal(tokens.canMint, true);
  const checked = tokens.verify(tokens.mint(claims, 60));
  t.strictSame(checked, { ok: true, value: { ...claims, exp: 1_000_000_060 } });
});

t.test('expiry is decided by the given clock on every call, remembered signature or not', async (t) => {
  let now = 1_000_000_000_000;
  const tokens = createTokens({ secret, nowMs: () => now });
  const token = tokens.mint(claims, 60);
  t.equal(codeOf(tokens.verify(token)), 'ok');
  now += 59_999;
  t.equal(codeOf(tokens.verify(token)), 'ok');
  now += 1;
  t.equal(codeOf(tokens.verify(token)), 'token_expired');
  now -= 1;
  t.equal(codeOf(tokens.verify(token)), 'ok');
});

t.test('forged, foreign and odd tokens are unauthenticated', async (t) => {
  const tokens = createTokens({ secret, nowMs: Date.now });
  const sign = createSigner({ key: secret });
  const good = sign(payload);
  const [head, body, tail] = good.split('.');
  const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${body}.`;
  const cases: Record<string, string> = {
    empty: '',
    'not a token': 'hello',
    'changed body': `${head}.${Buffer.from(JSON.stringify({ ...payload, role: 'host' })).toString('base64url')}.${tail}`,
    'another secret': createSigner({ key: 'another-secret-of-thirty-two-bytes!!' })(payload),
    'another HMAC': createSigner({ key: secret, algorithm: 'HS512' })(payload),
    unsigned,
    'no name': sign({ ...payload, name: undefined }),
    'a control character in the name': sign({ ...payload, name: 'A\nB' }),
    'a lone surrogate in the name': sign({ ...payload, name: '\ud800' }),
    'a name too long': sign({ ...payload, name: 'x'.repeat(LIMITS.nameCharsMax + 1) }),
    'an unknown role': sign({ ...payload, role: 'root' }),
    'an inherited role': sign({ ...payload, role: 'constructor' }),
    'a show that is no id': sign({ ...payload, show: '{x}' }),
    'no expiry': sign({ ...payload, exp: undefined }),
    'not valid yet': sign({ ...payload, nbf: 3_999_999_999 }),
    'too long': 'x'.repeat(LIMITS.handshakeTokenBytesMax + 1),
  };
  for (const [name, token] of Object.entries(cases)) t.equal(codeOf(tokens.verify(token)), 'unauthenticated', name);
  t.equal(codeOf(tokens.verify(good)), 'ok');
});

t.test('public keys: EdDSA, ES256 and RS256 verify, and never mint', async (t) => {
  const pairs = [
    generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    }),
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    }),
    generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    }),
  ];
  const tokens = createTokens({ publicKeys: pairs.map((pair) => pair.publicKey), nowMs: Date.now });
  for (const pair of pairs) t.equal(codeOf(tokens.verify(createSigner({ key: pair.privateKey })(payload))), 'ok');
  t.equal(tokens.canMint, false);
  t.throws(() => tokens.mint(claims, 60), { message: /^forbidden:/ });
  const confused = createSigner({ key: pairs[0]!.publicKey.replaceAll('-----', ''), algorithm: 'HS256' })(payload);
  t.equal(codeOf(tokens.verify(confused)), 'unauthenticated', 'a public key does not serve as an HMAC secret');
});

t.test('bad set-ups and claims are refused at once', async (t) => {
  t.throws(() => createTokens({ nowMs: Date.now }), /secret or at least one public key/);
  t.throws(() => createTokens({ secret: 'short', nowMs: Date.now }), /32 bytes/);
  t.throws(() => createTokens({ publicKeys: ['x'], nowMs: Date.now }), /public key 1/);
  const { privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  t.throws(() => createTokens({ publicKeys: [privateKey], nowMs: Date.now }), /private key/);
  const tokens = createTokens({ secret, nowMs: Date.now });
  t.throws(() => tokens.mint({ ...claims, name: '' }, 60), { message: /^invalid_request:/ });
});
