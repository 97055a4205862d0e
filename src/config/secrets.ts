/**
 * The secrets of an engine with an embedded Redis. Nobody configures them: they are made at the
 * first start and kept beside the data (`DATA_DIR/secrets.json`, readable by its owner only), so
 * tokens and API keys survive a restart.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './load.ts';

export interface Secrets {
  /** null: tokens are checked with public keys and minted elsewhere. */
  readonly authSecret: string | null;
  readonly apiKeys: Readonly<Record<string, string>>;
  /** Keys that were made just now, by name: print them once. Empty after the first start. */
  readonly madeApiKeys: Readonly<Record<string, string>>;
}

interface SecretsFile {
  authSecret: string;
  apiKeys: Record<string, string>;
}

/**
 * What is configured wins; what is not, with an embedded Redis, comes from the secrets file, made
 * when absent. Throws when that file is damaged.
 */
export function ensureSecrets(
  config: Pick<Config, 'redisUrl' | 'authSecret' | 'authPublicKeys' | 'apiKeys' | 'dataDir'>,
): Secrets {
  const needsSecret = config.authSecret === null && config.authPublicKeys.length === 0;
  if (config.redisUrl !== null || (!needsSecret && config.apiKeys !== null))
    return Object.freeze({ authSecret: config.authSecret, apiKeys: config.apiKeys ?? {}, madeApiKeys: {} });

  const path = join(config.dataDir, 'secrets.json');
  const kept = readSecrets(path);
  const file = kept ?? makeSecrets(path);
  return Object.freeze({
    authSecret: config.authSecret ?? (needsSecret ? file.authSecret : null),
    apiKeys: config.apiKeys ?? file.apiKeys,
    madeApiKeys: kept === null && config.apiKeys === null ? file.apiKeys : {},
  });
}

function readSecrets(path: string): SecretsFile | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`${path} cannot be read`, { cause });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = null;
  }
  if (!isSecrets(parsed))
    throw new Error(
      `${path} is damaged: delete it to make new secrets (tokens and API keys given out so far stop working)`,
    );
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
  return parsed;
}

function isSecrets(value: unknown): value is SecretsFile {
  if (typeof value !== 'object' || value === null) return false;
  const { authSecret, apiKeys } = value as Partial<SecretsFile>;
  if (typeof authSecret !== 'string' || authSecret.length < 32 || typeof apiKeys !== 'object' || apiKeys === null)
    return false;
  return (
    Object.keys(apiKeys).length > 0 &&
    Object.values(apiKeys).every((secret) => typeof secret === 'string' && secret.length >= 16)
  );
}

function makeSecrets(path: string): SecretsFile {
  const made: SecretsFile = {
    authSecret: randomBytes(32).toString('base64url'),
    apiKeys: { host: randomBytes(24).toString('base64url') },
  };
  mkdirSync(join(path, '..'), { recursive: true });
  // Written whole beside it, then linked: two processes that start at once agree on one file, and a
  // crash leaves none half written.
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return made;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    return readSecrets(path) ?? made;
  } finally {
    rmSync(draft, { force: true });
  }
}
