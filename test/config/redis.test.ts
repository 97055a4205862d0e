/** The settings of the connection to Redis: each alone, together, and their files. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig } from '../../src/config/index.ts';
import type { RedisTarget } from '../../src/domain/redis-target.ts';
import { selfSigned } from '../support/self-signed.ts';

type Env = Record<string, string>;
const URL = 'rediss://redis.example';

function load(env: Env): { redis: RedisTarget | null; errors: string[] } {
  const loaded = loadConfig({ argv: [], env, purpose: 'inspect' });
  return loaded.ok
    ? { redis: loaded.config.redis, errors: [] }
    : { redis: null, errors: loaded.errors.map(({ source, problem }) => `${source}: ${problem}`) };
}

const folder = t.testdir({ 'text.pem': 'hello', 'broken.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n' });
const file = (name: string): string => join(folder, name);
const ca = selfSigned(folder, 'ca');
const client = selfSigned(folder, 'client', { signedBy: ca });
const lockedKeyFile = file('locked-key.pem');
execFileSync('openssl', [
  ...['pkcs8', '-topk8', '-in', client.keyFile, '-out', lockedKeyFile],
  ...['-passout', 'pass:open sesame'],
]);
const textOf = (path: string): string => readFileSync(path, 'utf8');

t.test('TLS files are read into the target', async (t) => {
  const env = {
    REDIS_URL: URL,
    REDIS_TLS_CA_FILE: ca.certFile,
    REDIS_TLS_CERT_FILE: client.certFile,
    REDIS_TLS_KEY_FILE: lockedKeyFile,
    REDIS_TLS_KEY_PASSPHRASE: 'open sesame',
    REDIS_TLS_SERVER_NAME: 'redis.internal',
  };
  t.match(load(env).redis?.tls, {
    ca: textOf(ca.certFile),
    cert: textOf(client.certFile),
    key: textOf(lockedKeyFile),
    passphrase: 'open sesame',
    serverName: 'redis.internal',
  });
  const none = { ca: null, cert: null, key: null, passphrase: null, serverName: null };
  t.same(load({ REDIS_URL: URL }).redis?.tls, none, 'without settings the authorities of Node.js are trusted');
});

t.test('sentinels are listed in REDIS_URL, and have a separate login', async (t) => {
  const env = {
    REDIS_URL: 'redis://app:pw@s1,[::1]:7000/3',
    REDIS_SENTINEL_MASTER: 'main',
    REDIS_SENTINEL_USERNAME: 'watcher',
    REDIS_SENTINEL_PASSWORD: 'p@ss',
  };
  t.match(load(env).redis, {
    servers: [
      { host: 's1', port: 26379 },
      { host: '::1', port: 7000 },
    ],
    username: 'app',
    password: 'pw',
    db: 3,
    sentinel: { masterName: 'main', username: 'watcher', password: 'p@ss' },
  });
});

const WRONG: ReadonlyArray<[env: Env, ...errors: RegExp[]]> = [
  [{ REDIS_TLS_CA_FILE: ca.certFile }, /^REDIS_TLS_CA_FILE: needs REDIS_URL\. Allowed: a path, together with a redi/],
  [{ REDIS_SENTINEL_MASTER: 'main' }, /^REDIS_SENTINEL_MASTER: needs REDIS_URL\. Allowed: a name/],
  [{ REDIS_URL: 'unix:///a', REDIS_SENTINEL_MASTER: 'main' }, /^REDIS_SENTINEL_MASTER: needs the sentinels in REDIS/],
  [{ REDIS_URL: URL, REDIS_SENTINEL_PASSWORD: 'pw' }, /^REDIS_SENTINEL_PASSWORD: needs REDIS_SENTINEL_MASTER/],
  [
    { REDIS_URL: 'redis://a', REDIS_TLS_CA_FILE: ca.certFile, REDIS_TLS_SERVER_NAME: 'b' },
    /^REDIS_TLS_CA_FILE: needs a REDIS_URL that starts with rediss:/,
    /^REDIS_TLS_SERVER_NAME: needs a REDIS_URL that starts with rediss:/,
  ],
  [{ REDIS_TLS_SERVER_NAME: 'https://b' }, /^REDIS_TLS_SERVER_NAME: must be a host name, got "https:/],
  [{ REDIS_TLS_CA_FILE: file('none.pem') }, /^REDIS_TLS_CA_FILE: .*none\.pem cannot be read \(ENOENT\)/],
  [{ REDIS_TLS_CA_FILE: file('text.pem') }, /^REDIS_TLS_CA_FILE: .*text\.pem is not a file of PEM certificates/],
  [{ REDIS_TLS_CA_FILE: file('broken.pem') }, /^REDIS_TLS_CA_FILE: .*broken\.pem is not a file of PEM certificates/],
  [{ REDIS_TLS_CA_FILE: ca.keyFile }, /^REDIS_TLS_CA_FILE: .*ca-key\.pem is not a file of PEM certificates/],
  [{ REDIS_TLS_CERT_FILE: client.certFile }, /^REDIS_TLS_KEY_FILE: is needed with REDIS_TLS_CERT_FILE/],
  [{ REDIS_TLS_KEY_PASSPHRASE: 'x' }, /^REDIS_TLS_KEY_PASSPHRASE: opens nothing without REDIS_TLS_KEY_FILE/],
  [
    { REDIS_TLS_CERT_FILE: client.certFile, REDIS_TLS_KEY_FILE: ca.keyFile },
    /^REDIS_TLS_KEY_FILE: .*ca-key\.pem is not the key of the certificate in .*client\.pem/,
  ],
  [
    { REDIS_TLS_CERT_FILE: client.certFile, REDIS_TLS_KEY_FILE: lockedKeyFile, REDIS_TLS_KEY_PASSPHRASE: 'wrong' },
    /^REDIS_TLS_KEY_FILE: .*locked-key\.pem is not a PEM private key that REDIS_TLS_KEY_PASSPHRASE opens/,
  ],
];
t.test('settings that miss another one and unusable files are refused with what to do', async (t) => {
  for (const [env, ...expected] of WRONG) {
    const isAlone = env.REDIS_URL !== undefined || expected.some(({ source }) => source.includes('needs REDIS_URL'));
    const { errors } = load(isAlone ? env : { REDIS_URL: URL, ...env });
    t.equal(errors.length, expected.length, errors.join('\n'));
    t.match(errors, expected);
  }
});

t.test('an error of a flag names the flag', async (t) => {
  const loaded = loadConfig({ argv: ['--redis-url', 'http://a'], env: {} });
  t.match(loaded, { ok: false, errors: [{ source: '--redis-url', problem: /must be redis:.*Allowed: redis:/ }] });
});
