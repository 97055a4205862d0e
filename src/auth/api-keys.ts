/**
 * API keys of hosts and back offices. Only SHA-256 digests stay in memory. Each check compares all
 * of them in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export interface ApiKeys {
  /** Returns the name of the presented key, or null if it is unknown. */
  check(presented: string): string | null;
}

const SECRET_CHARS_MIN = 16;
const SECRET_CHARS_MAX = 256;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

const digestOf = (secret: string): Buffer => createHash('sha256').update(secret, 'utf8').digest();

/**
 * `keys` maps a key's name, which the ledger shows as `host:<name>`, to its secret. Throws if a
 * name is invalid, or a secret is weak or used twice.
 */
export function createApiKeys(keys: Readonly<Record<string, string>>): ApiKeys {
  const known = Object.entries(keys).map(([name, secret]) => {
    if (!NAME.test(name)) throw new Error(`the API key name ${JSON.stringify(name)} must match ${NAME.source}`);
    if (secret.length < SECRET_CHARS_MIN || secret.length > SECRET_CHARS_MAX)
      throw new Error(`the API key "${name}" must be ${SECRET_CHARS_MIN} to ${SECRET_CHARS_MAX} characters long`);
    return { name, digest: digestOf(secret) };
  });
  if (new Set(known.map(({ digest }) => digest.toString('hex'))).size !== known.length)
    throw new Error('two API keys share one secret: give each key a different one');

  return {
    check(presented) {
      if (presented.length > SECRET_CHARS_MAX) return null;
      const digest = digestOf(presented);
      let found: string | null = null;
      for (const key of known) {
        if (timingSafeEqual(key.digest, digest)) found = key.name;
      }
      return found;
    },
  };
}
