import { hash } from 'node:crypto';
import { stringify as stableStringify } from 'safe-stable-stringify';

/** Returns the hash of a request body. The order of its fields does not matter. */
export const bodyHash = (body: unknown): string =>
  hash('sha256', stableStringify(body) ?? '', 'base64url').slice(0, 22);
