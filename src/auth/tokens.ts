/**
 * Viewer tokens: JSON Web Tokens that say who may do what in one show. HS256 with the engine's own
 * secret, or EdDSA, ES256 and RS256 with public keys of an identity provider. A forged, foreign or
 * odd token is `unauthenticated`, one past its `exp` is `token_expired`; nothing throws.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { type Algorithm, createSigner, createVerifier, TOKEN_ERROR_CODES } from 'fast-jwt';
import { LIMITS } from '../limits.ts';
import { fail, failure, ok, type Result, StampedeError } from '../protocol/codes.ts';
import { type Claims, readClaims } from './claims.ts';
import { createPasses } from './passes.ts';

export interface TokensOptions {
  /**
   * Shared secret for HS256; without it tokens are only verified, never minted. At least 32 bytes.
   */
  readonly secret?: string;
  /**
   * PEM public keys (Ed25519, P-256, RSA of 2048 bits and more). The first that fits the signature
   * wins.
   */
  readonly publicKeys?: readonly string[];
  /** The clock that decides about expiry, milliseconds since the Unix epoch: the store's. */
  readonly nowMs: () => number;
}

export interface Tokens {
  /** False when no secret is configured: `mint` then throws `forbidden`. */
  readonly canMint: boolean;
  /**
   * Signs a token that expires `ttlSeconds` from now. Throws `StampedeError` without a secret or
   * with claims `verify` would refuse.
   */
  mint(claims: Omit<Claims, 'exp'>, ttlSeconds: number): string;
  /**
   * Checks signature, claims and expiry, of a pass too. Failures: `unauthenticated`,
   * `token_expired`.
   */
  verify(token: string): Result<Claims>;
  /** A pass for another node, null without a shared secret. */
  pass(claims: Claims): string | null;
}

/**
 * A reconnect storm brings the same tokens again. Of public keys, whose signatures take 50 us and
 * more to check, they are remembered. With the shared secret remembering (about 10 us, and 300
 * bytes of every viewer) costs more than checking again (about 8 us).
 */
const VERIFIED_TOKENS_REMEMBERED = 10_000;
const SECRET_BYTES_MIN = 32;
const RSA_BITS_MIN = 2048;

type Verify = (token: string) => unknown;

export function createTokens(options: TokensOptions): Tokens {
  const verifiers = buildVerifiers(options);
  const sign =
    options.secret === undefined
      ? null
      : createSigner<Record<string, unknown>>({ key: options.secret, algorithm: 'HS256' });
  const passes = options.secret === undefined ? null : createPasses({ secret: options.secret, nowMs: options.nowMs });

  return {
    canMint: sign !== null,
    pass: (claims) => passes?.mint(claims) ?? null,
    mint(claims, ttlSeconds) {
      if (!sign)
        throw new StampedeError(
          failure(
            'forbidden',
            'This engine holds no signing secret and only verifies tokens: mint them where the private key is.',
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
      // Asked on every call, also for a remembered signature: the library's cache knows only the
      // local clock.
      if (claims.value.exp * 1000 <= options.nowMs())
        return fail(
          'token_expired',
          `The token expired at ${new Date(claims.value.exp * 1000).toISOString()}: get a new one.`,
        );
      const notBefore = payload.value.nbf;
      if (notBefore !== undefined && (typeof notBefore !== 'number' || notBefore * 1000 > options.nowMs()))
        return fail('unauthenticated', 'The token is not valid yet.');
      return claims;
    },
  };
}

/**
 * Expiry is left to the caller: it belongs to the store's clock. Algorithms are fixed per key, so a
 * public key never serves as an HMAC secret.
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
        cache: VERIFIED_TOKENS_REMEMBERED,
        key: key.export({ type: 'spki', format: 'pem' }),
        algorithms: [algorithmOf(key, index)],
      }),
    );
  }
  if (verifiers.length === 0) throw new Error('tokens need a secret or at least one public key');
  return verifiers;
}

function readPublicKey(pem: string, index: number): KeyObject {
  if (/PRIVATE KEY/.test(pem)) throw new Error(`public key ${index + 1} is a private key: give its public half`);
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
  return fail('unauthenticated', 'The token is not signed with a key this engine trusts.');
}
