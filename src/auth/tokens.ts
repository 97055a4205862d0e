/**
 * Viewer tokens: JSON Web Tokens with the user's name and role in one show. Signed with HS256 and
 * the engine's secret, or with EdDSA, ES256 or RS256 by an identity provider whose public keys are
 * configured.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { type Algorithm, createSigner, createVerifier, TOKEN_ERROR_CODES } from 'fast-jwt';
import { LIMITS } from '../limits.ts';
import { fail, failure, ok, type Result, StampedeError } from '../protocol/codes.ts';
import { type Claims, readClaims } from './claims.ts';
import { createPasses } from './passes.ts';

export interface TokensOptions {
  /** Shared secret for HS256, at least 32 bytes. Without it, tokens are verified but not minted. */
  readonly secret?: string;
  /** PEM public keys: Ed25519, P-256, or RSA of at least 2048 bits. They are tried in order. */
  readonly publicKeys?: readonly string[];
  /** The clock that decides about expiry: Redis time, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
}

export interface Tokens {
  /** False if no secret is configured; `mint` then throws `forbidden`. */
  readonly canMint: boolean;
  /**
   * Signs a token that expires in `ttlSeconds`. Throws `StampedeError` if there is no secret, or if
   * `verify` would reject the claims.
   */
  mint(claims: Omit<Claims, 'exp'>, ttlSeconds: number): string;
  /**
   * Checks signature, claims and expiry of a token or a pass. Failures: `unauthenticated`,
   * `token_expired`. Never throws.
   */
  verify(token: string): Result<Claims>;
  /** Returns a pass for another node; null unless a secret and public keys are configured. */
  pass(claims: Claims): string | null;
}

/**
 * A reconnect storm presents the same tokens again. Signatures of public keys take at least 40 us
 * to check, so their results are cached. HS256 is not cached: a lookup (10 us, and 300 bytes per
 * viewer) costs more than another check (8 us).
 */
const VERIFIED_TOKENS_CACHED = 10_000;
const SECRET_BYTES_MIN = 32;
const RSA_BITS_MIN = 2048;

type Verify = (token: string) => unknown;

export function createTokens(options: TokensOptions): Tokens {
  const verifiers = buildVerifiers(options);
  const sign =
    options.secret === undefined
      ? null
      : createSigner<Record<string, unknown>>({ key: options.secret, algorithm: 'HS256' });
  // A pass is not cheaper than an HS256 token.
  const passes =
    options.secret === undefined || !options.publicKeys?.length
      ? null
      : createPasses({ secret: options.secret, nowMs: options.nowMs });

  return {
    canMint: sign !== null,
    pass: (claims) => passes?.mint(claims) ?? null,
    mint(claims, ttlSeconds) {
      if (!sign)
        throw new StampedeError(
          failure(
            'forbidden',
            'This engine has no AUTH_SECRET and only verifies tokens. Mint tokens where the private key is.',
          ),
        );
      const iat = Math.floor(options.nowMs() / 1000);
      const payload = {
        sub: claims.user,
        name: claims.name,
        show: claims.show,
        role: claims.role,
        iat,
        exp: iat + Math.ceil(ttlSeconds),
      };
      const checked = readClaims(payload);
      if (!checked.ok) throw new StampedeError(failure('invalid_request', checked.error.message));
      return sign(payload);
    },
    verify(token) {
      if (token.length > LIMITS.handshakeTokenBytesMax)
        return fail('unauthenticated', `The token is longer than ${LIMITS.handshakeTokenBytesMax} bytes.`);
      if (passes?.isPass(token)) return passes.verify(token);
      const payload = verifySignature(verifiers, token);
      if (!payload.ok) return payload;
      const claims = readClaims(payload.value);
      if (!claims.ok) return claims;
      // Checked on every call, because the library's cache uses the local clock.
      if (claims.value.exp * 1000 <= options.nowMs())
        return fail(
          'token_expired',
          `The token expired at ${new Date(claims.value.exp * 1000).toISOString()}. Get a new one.`,
        );
      const notBefore = payload.value.nbf;
      if (notBefore !== undefined && (typeof notBefore !== 'number' || notBefore * 1000 > options.nowMs()))
        return fail('unauthenticated', 'The token is not valid yet.');
      return claims;
    },
  };
}

/**
 * Returns a verifier per key. The caller checks expiry, because Redis time decides about it. Each
 * key allows one algorithm, so that a public key is never used as an HMAC secret.
 */
function buildVerifiers(options: TokensOptions): Verify[] {
  const untimed = { ignoreExpiration: true, ignoreNotBefore: true };
  const verifiers: Verify[] = [];
  if (options.secret !== undefined) {
    if (Buffer.byteLength(options.secret) < SECRET_BYTES_MIN)
      throw new Error(`the token secret must be at least ${SECRET_BYTES_MIN} bytes long`);
    verifiers.push(createVerifier({ ...untimed, key: options.secret, algorithms: ['HS256'] }));
  }
  for (const [index, pem] of (options.publicKeys ?? []).entries()) {
    const key = readPublicKey(pem, index);
    verifiers.push(
      createVerifier({
        ...untimed,
        cache: VERIFIED_TOKENS_CACHED,
        key: key.export({ type: 'spki', format: 'pem' }),
        algorithms: [algorithmOf(key, index)],
      }),
    );
  }
  if (verifiers.length === 0) throw new Error('tokens need a secret or at least one public key');
  return verifiers;
}

function readPublicKey(pem: string, index: number): KeyObject {
  if (/PRIVATE KEY/.test(pem))
    throw new Error(`public key ${index + 1} is a private key. Configure its public key instead.`);
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new Error(`public key ${index + 1} is not a PEM public key`, { cause });
  }
}

function algorithmOf(key: KeyObject, index: number): Algorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return 'EdDSA';
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256';
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= RSA_BITS_MIN) return 'RS256';
  throw new Error(`public key ${index + 1} must be Ed25519, P-256 or RSA of at least ${RSA_BITS_MIN} bits`);
}

function verifySignature(verifiers: readonly Verify[], token: string): Result<Record<string, unknown>> {
  for (const verify of verifiers) {
    try {
      const payload = verify(token);
      if (typeof payload === 'object' && payload !== null) return ok(payload as Record<string, unknown>);
    } catch (error) {
      if ((error as { code?: unknown }).code === TOKEN_ERROR_CODES.malformed)
        return fail('unauthenticated', 'This is not a JSON Web Token.');
    }
  }
  return fail('unauthenticated', 'The token is not signed with a key that this engine trusts.');
}
