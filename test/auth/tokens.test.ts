import { generateKeyPairSync } from 'node:crypto';
import { createSigner } from 'fast-jwt';
import t from 'tap';
import { createTokens } from '../../src/auth/tokens.ts';
import { checkViewer } from '../../src/domain/viewer.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Result } from '../../src/protocol/codes.ts';

const secret = 'a-secret-of-at-least-thirty-two-bytes';
const claims = { show: 'gala', user: 'u1', name: 'Ada', role: 'buyer' } as const;
const payload = { sub: 'u1', name: 'Ada', show: 'gala', role: 'buyer', exp: 4_000_000_000 };
/** Users that the API refuses to make a token for. */
const WRONG_USERS = [
  ...['', ' ', '\u3000', '\u200b', '\u3164', '\u202eevil', 'a\u2066b', 'a\nb', 'a\u2028b', 'a\0b', '\ud800'],
  ...['x'.repeat(LIMITS.userIdCharsMax + 1), `a${'\u0301'.repeat(6)}`, 'a\u{e0041}', 7],
];
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code);

t.test('verify returns the claims of a minted token', async (t) => {
  const tokens = createTokens({ secret, nowMs: () => 1_000_000_000_500 });
  t.equal(tokens.canMint, true);
  const checked = tokens.verify(tokens.mint(claims, 60));
  t.strictSame(checked, { ok: true, value: { ...claims, exp: 1_000_000_060 } });
});

t.test('the given clock decides about expiry on every call', async (t) => {
  let now = 1_000_000_000_000;
  const tokens = createTokens({ secret, nowMs: () => now });
  const token = tokens.mint(claims, 60);
  for (const [passedMs, code] of [
    [0, 'ok'],
    [59_999, 'ok'],
    [1, 'token_expired'],
    [-1, 'ok'],
  ] as const) {
    now += passedMs;
    t.equal(codeOf(tokens.verify(token)), code);
  }
});

t.test('a token is accepted if and only if the API would make one for its user (H-3.2)', async (t) => {
  const tokens = createTokens({ secret, nowMs: Date.now });
  const sign = createSigner({ key: secret });
  const good = ['u1', ' u 1 ', 'shop|\u00fcn\u00ef', '\u6f22\u5b57', '\u{1f600}', '../x', '\u05d0\u200e', '__proto__'];
  for (const sub of [...good, ...WRONG_USERS]) {
    const isMade = checkViewer({ user: sub as string, name: 'Ada' }) === null;
    t.equal(
      codeOf(tokens.verify(sign({ ...payload, sub }))),
      isMade ? 'ok' : 'unauthenticated',
      encodeURI(JSON.stringify(sub)),
    );
    t.equal(isMade, good.includes(sub as string));
  }
});

t.test('forged, foreign and malformed tokens are unauthenticated (H-4.3)', async (t) => {
  const tokens = createTokens({ secret, nowMs: Date.now });
  const sign = createSigner({ key: secret });
  const good = sign(payload);
  const [head, body, tail] = good.split('.');
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const cases: Record<string, string> = {
    empty: '',
    'not a token': 'hello',
    'changed body': `${head}.${part({ ...payload, role: 'host' })}.${tail}`,
    'another secret': createSigner({ key: 'another-secret-of-thirty-two-bytes!!' })(payload),
    'another HMAC': createSigner({ key: secret, algorithm: 'HS512' })(payload),
    unsigned: `${part({ alg: 'none', typ: 'JWT' })}.${body}.`,
    ...Object.fromEntries(
      WRONG_USERS.map((sub) => [`the user ${encodeURI(JSON.stringify(sub))}`, sign({ ...payload, sub })]),
    ),
    'no name': sign({ ...payload, name: undefined }),
    'a control character in the name': sign({ ...payload, name: 'A\nB' }),
    'a lone surrogate in the name': sign({ ...payload, name: '\ud800' }),
    'a name without a visible character': sign({ ...payload, name: '\u3164\u200b' }),
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
  const turned = tokens.verify(sign({ ...payload, name: 'A\u202eda' }));
  t.match(turned, { ok: true, value: { name: 'Ada' } }, 'a name that turns text is cleaned (C-3.2)');
});

t.test('of the other claims only nbf counts: aud and iss are not checked (H-3.2)', async (t) => {
  const tokens = createTokens({ secret, nowMs: () => 1_000_000_000_000 });
  const verify = (more: object): string =>
    codeOf(tokens.verify(createSigner({ key: secret })({ ...payload, ...more })));
  t.equal(verify({ nbf: 1_000_000_000, iat: 1_000_000_000, jti: 'x' }), 'ok');
  t.equal(verify({ nbf: 1_000_000_001 }), 'unauthenticated');
  for (const aud of ['another-service', ['a', 'b']]) t.equal(verify({ aud, iss: 'https://idp.example' }), 'ok');
});

t.test('public keys verify EdDSA, ES256 and RS256 tokens and cannot mint', async (t) => {
  const pairs = [
    generateKeyPairSync('ed25519'),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ].map(({ publicKey, privateKey }) => ({
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }));
  const tokens = createTokens({ publicKeys: pairs.map((pair) => pair.publicKey), nowMs: Date.now });
  for (const pair of pairs) t.equal(codeOf(tokens.verify(createSigner({ key: pair.privateKey })(payload))), 'ok');
  t.equal(tokens.canMint, false);
  t.throws(() => tokens.mint(claims, 60), { message: /^forbidden:/ });
  const body = String(pairs[0]?.publicKey).replaceAll('-----', '');
  const confused = createSigner({ key: body, algorithm: 'HS256' })(payload);
  t.equal(codeOf(tokens.verify(confused)), 'unauthenticated', 'a public key is never an HMAC secret');
});

t.test('invalid keys and claims are errors', async (t) => {
  t.throws(() => createTokens({ nowMs: Date.now }), /secret or at least one public key/);
  t.throws(() => createTokens({ secret: 'short', nowMs: Date.now }), /32 bytes/);
  t.throws(() => createTokens({ publicKeys: ['x'], nowMs: Date.now }), /public key 1/);
  const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  t.throws(() => createTokens({ publicKeys: [privateKey], nowMs: Date.now }), /private key/);
  const tokens = createTokens({ secret, nowMs: Date.now });
  t.throws(() => tokens.mint({ ...claims, name: '' }, 60), { message: /^invalid_request:/ });
});
