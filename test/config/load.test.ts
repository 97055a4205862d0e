/** Configuration from environment and flags. Each error names its source and the allowed values. */
import { generateKeyPairSync } from 'node:crypto';
import { join, resolve } from 'node:path';
import t from 'tap';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import {
  type Config,
  commandHelp,
  commandWithSettings,
  configErrorsText,
  type LoadOptions,
  loadConfig,
  SETTINGS,
} from '../../src/config/index.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';

const SECRET = 'a secret of thirty-two bytes, just';
const SHARED = { REDIS_URL: 'redis://localhost:6379', AUTH_SECRET: SECRET, API_KEYS: 'host:0123456789abcdef' };
type Env = Record<string, string>;
type More = Partial<LoadOptions>;

const load = (env: Env = {}, argv: string[] = [], more: More = {}) => loadConfig({ argv, env, ...more });

function configOf(env: Env = {}, argv: string[] = [], more: More = {}): Config {
  const loaded = load(env, argv, more);
  if (!loaded.ok) throw new Error(configErrorsText(loaded.errors));
  return loaded.config;
}
function errorsOf(env: Env, argv: string[] = [], more: More = {}): string[] {
  const loaded = load(env, argv, more);
  return loaded.ok ? [] : loaded.errors.map(({ source, problem }) => `${source}: ${problem}`);
}

t.test('without settings the engine runs all roles on loopback with an embedded Redis', async (t) => {
  const config = configOf();
  t.match(config, {
    roles: ['gateway', 'control', 'jobs'],
    workers: 1,
    host: '127.0.0.1',
    gatewayPort: 8080,
    controlPort: 8081,
    redis: null,
    keyPrefix: 'stampede:',
    allowedOrigins: null,
    corsOrigins: [],
    frameAncestors: [],
    authSecret: null,
    apiKeys: null,
    appendfsync: 'everysec',
    demoTokens: false,
    logLevel: 'info',
    nodeName: /^[A-Za-z0-9_.-]{1,64}$/,
  });
  t.equal(config.dataDir, resolve('data'), 'an absolute path');
});

t.test('the configuration is deeply frozen', async (t) => {
  const config = configOf({ ...SHARED, ALLOWED_ORIGINS: 'https://a.example', ROLES: 'jobs,control' });
  for (const part of [config, ...Object.values(config)]) t.ok(Object.isFrozen(part));
  t.same(config.roles, ['control', 'jobs'], 'roles have one order');
});

t.test('a flag overrides its variable, and an empty variable counts as not set', async (t) => {
  t.equal(configOf({ GATEWAY_PORT: '9000' }, ['--gateway-port', '9001']).gatewayPort, 9001);
  t.equal(configOf({ GATEWAY_PORT: '9000' }, ['--gateway-port=0']).gatewayPort, 0);
  t.equal(configOf({ GATEWAY_PORT: '' }).gatewayPort, 8080);
  const loaded = load({}, ['--gateway-port', '9001', '--log-level=warn']);
  t.same(loaded.ok && loaded.flagsAsVariables, { GATEWAY_PORT: '9001', LOG_LEVEL: 'warn' });
});

const KEY = 'fedcba9876543210';
const GOOD: ReadonlyArray<[variable: string, raw: string, field: keyof Config, value: unknown]> = [
  ['REDIS_URL', 'redis://localhost', 'redis', redisTarget('redis://localhost')],
  [
    'REDIS_URL',
    'rediss://user:pass@redis.example:6380/2',
    'redis',
    redisTarget('rediss://user:pass@redis.example:6380/2'),
  ],
  ['REDIS_URL', 'unix:///run/redis/redis.sock', 'redis', redisTarget('unix:///run/redis/redis.sock')],
  ['REDIS_URL', 'redis://a:7000, redis://b:7000', 'redis', redisTarget('redis://a:7000, redis://b:7000')],
  ['KEY_PREFIX', 'shop-1:', 'keyPrefix', 'shop-1:'],
  ['WORKERS', '64', 'workers', 64],
  ['HOST', '::1', 'host', '::1'],
  ['GATEWAY_PORT', '0', 'gatewayPort', 0],
  ['CONTROL_PORT', '65535', 'controlPort', 65535],
  ['PUBLIC_GATEWAY_URL', 'wss://live.example/', 'publicGatewayUrl', 'wss://live.example'],
  ['ALLOWED_ORIGINS', '*', 'allowedOrigins', null],
  ['ALLOWED_ORIGINS', 'https://a.example,http://b:3000/', 'allowedOrigins', ['https://a.example', 'http://b:3000']],
  ['ALLOWED_ORIGINS', 'capacitor://localhost', 'allowedOrigins', ['capacitor://localhost']],
  ['ALLOWED_ORIGINS', 'HTTPS://*.Shop.example:443', 'allowedOrigins', ['https://*.shop.example']],
  ['CORS_ORIGINS', '*', 'corsOrigins', null],
  ['FRAME_ANCESTORS', 'https://shop.example', 'frameAncestors', ['https://shop.example']],
  ['TRUSTED_PROXIES', '10.0.0.1, 10.0.0.0/8,::/32', 'trustedProxies', ['10.0.0.1', '10.0.0.0/8', '::/32']],
  ['CONNECTIONS_MAX', '50000', 'connectionsMax', 50_000],
  ['CONNECTIONS_PER_ADDRESS', '100', 'connectionsPerAddress', 100],
  ['CONNECTIONS_PER_USER', '3', 'connectionsPerUser', 3],
  ['JOINS_PER_SECOND', '1', 'joinsPerSecond', 1],
  ['JOINS_PER_SECOND_PER_ADDRESS', '50', 'joinsPerSecondPerAddress', 50],
  ['GUEST_BYTES_PER_SECOND', '1000000', 'guestBytesPerSecond', 1_000_000],
  ['CHAT_PER_SECOND', '50', 'chatPerSecond', 50],
  ['REQUESTS_PER_SECOND', '200', 'requestsPerSecond', 200],
  ['HTTP_READS_PER_MINUTE', '600', 'httpReadsPerMinute', 600],
  ['HTTP_COMMANDS_PER_MINUTE', '60000', 'httpCommandsPerMinute', 60_000],
  ['APPENDFSYNC', 'always', 'appendfsync', 'always'],
  ['MAXMEMORY', '2gb', 'maxMemory', { bytes: 2 * 2 ** 30 }],
  ['MAXMEMORY', '60%', 'maxMemory', { share: 0.6 }],
  ['DEMO_TOKENS', 'yes', 'demoTokens', true],
  ['NODE_NAME', 'gateway-1.eu', 'nodeName', 'gateway-1.eu'],
  ['LOG_LEVEL', 'silent', 'logLevel', 'silent'],
  ['API_KEYS', 'host:0123456789abcdef,a.b:fedcba9876543210', 'apiKeys', { host: '0123456789abcdef', 'a.b': KEY }],
];
for (const [variable, raw, field, value] of GOOD) {
  t.test(`${variable}=${raw} is accepted`, async (t) => t.same(configOf({ ...SHARED, [variable]: raw })[field], value));
}

const BAD: ReadonlyArray<[variable: string, raw: string, says: RegExp]> = [
  ['REDIS_URL', 'localhost:6379', /must be redis:\/\/, rediss:\/\/ or unix:/],
  ['REDIS_URL', 'http://localhost', /must be redis:/],
  ['REDIS_URL', 'redis://', /must be redis:|must name a host/],
  ['REDIS_URL', 'unix://relative.sock', /absolute path/],
  ['REDIS_URL', 'redis://a,unix:///b.sock', /\(entry 2\)/],
  ['REDIS_URL', 'redis://a/1,redis://b', /database in a cluster \(entry 1\)/],
  ['REDIS_URL', 'redis://a/one', /database number/],
  ['REDIS_URL', ' , ', /must not be empty/],
  ['KEY_PREFIX', '{shop}:', /no braces/],
  ['KEY_PREFIX', 'a b', /letters, digits/],
  ['ROLES', 'gateway,cook', /one of gateway, control, jobs, got "cook"/],
  ['ROLES', 'gateway,gateway', /"gateway" twice/],
  ['ROLES', ',', /empty list/],
  ['WORKERS', '0', /from 1 to 64, got 0/],
  ['WORKERS', '65', /from 1 to 64, got 65/],
  ['WORKERS', 'two', /whole number from 1 to 64, got "two"/],
  ['WORKERS', '1.5', /whole number/],
  ['HOST', 'two words', /IP address/],
  ['GATEWAY_PORT', '-1', /from 0 to 65535/],
  ['GATEWAY_PORT', '65536', /from 0 to 65535/],
  ['GATEWAY_PORT', '0x50', /whole number/],
  ['CONTROL_PORT', '99999999999999999999', /whole number/],
  ['PUBLIC_GATEWAY_URL', 'https://live.example', /ws:\/\/ or wss:/],
  ['PUBLIC_GATEWAY_URL', 'wss://live.example/?x=1', /without query/],
  ['ALLOWED_ORIGINS', 'shop.example', /origin such as/],
  ['ALLOWED_ORIGINS', 'https://shop.example/path', /no path/],
  ['ALLOWED_ORIGINS', 'https://*.example', /origin such as/],
  ['ALLOWED_ORIGINS', 'https://shop.*', /origin such as/],
  ['CORS_ORIGINS', 'https://a.example,https://a.example', /twice/],
  ['TRUSTED_PROXIES', 'true', /IP address or a network such as/],
  ['TRUSTED_PROXIES', '10.0.0.0/33', /network/],
  ['TRUSTED_PROXIES', '10/8', /network/],
  ['TRUSTED_PROXIES', '::1/129', /network/],
  ['TRUSTED_PROXIES', '10.0.0.0/8/8', /network/],
  ['CONNECTIONS_MAX', '0', /from 1 to 1000000/],
  ['JOINS_PER_SECOND', '0', /from 1 to 100000/],
  ['AUTH_SECRET', 'short', /at least 32 bytes long, got 5/],
  ['AUTH_PUBLIC_KEYS', '/does/not/exist.pem', /\/does\/not\/exist\.pem cannot be read \(ENOENT\)/],
  ['API_KEYS', 'host', /entry 1 must be name:secret/],
  ['API_KEYS', 'host:short', /the secret of "host" must be 16 to 256 characters long, got 5/],
  ['API_KEYS', 'ho st:0123456789abcdef', /entry 1 must be name:secret/],
  ['API_KEYS', 'a:0123456789abcdef,a:fedcba9876543210', /names "a" twice/],
  ['API_KEYS', 'a:0123456789abcdef,b:0123456789abcdef', /gives "b" the secret of another key/],
  ['APPENDFSYNC', 'no', /one of everysec, always/],
  ['MAXMEMORY', '2000', /a size such as 512mb, 2gb or 40%/],
  ['MAXMEMORY', '1mb', /at least 32mb/],
  ['MAXMEMORY', '95%', /from 1% to 90%/],
  ['DEMO_TOKENS', 'maybe', /true or false/],
  ['NODE_NAME', 'a/b', /letters, digits/],
  ['LOG_LEVEL', 'loud', /one of trace, debug/],
];
for (const [variable, raw, says] of BAD) {
  t.test(`${variable}=${raw} is one error with its source`, async (t) => {
    const errors = errorsOf({ ...SHARED, [variable]: raw });
    t.equal(errors.length, 1, errors.join('\n'));
    t.match(errors[0], new RegExp(`^${variable}: `));
    t.match(errors[0], says);
    if (variable !== 'AUTH_PUBLIC_KEYS') t.ok(errors[0]?.includes('Allowed: '), 'with the allowed values');
  });
}

t.test('all errors of variables and flags are returned at once', async (t) => {
  const argv = '--gateway-port http --colour red extra --roles= --auth-secret x --log-level --host=::1'.split(' ');
  const errors = errorsOf({ WORKERS: '0', REDIS_URL: 'nope' }, argv);
  const flags = ['--gateway-port', '--colour', '"extra"', '--roles', '--auth-secret', '--log-level'];
  const sources = errors.map((error) => error.slice(0, error.indexOf(': ')));
  t.same(new Set(sources), new Set([...flags, 'REDIS_URL', 'WORKERS']));
  t.equal(errors.length, 8);
  const secret = errors.find((error) => error.startsWith('--auth-secret'));
  t.match(secret, /set AUTH_SECRET/, 'a secret has a variable only');
});

t.test('no error contains a secret', async (t) => {
  for (const [variable, raw] of [
    ['REDIS_URL', 'http://user:hunter2hunter2@host'],
    ['REDIS_URL', 'redis://user:hunter2hunter2@host/x'],
    ['AUTH_SECRET', 'hunter2hunter2'],
    ['API_KEYS', 'host:hunter2hunter2,b'],
    ['API_KEYS', 'hunter2hunter2'],
  ] as const) {
    const errors = errorsOf({ [variable]: raw });
    t.ok(errors.length > 0);
    t.notMatch(errors.join('\n'), /hunter2/);
  }
});

const ONE_PORT = { GATEWAY_PORT: '9000', CONTROL_PORT: '9000' };
const RELATIONS: ReadonlyArray<[env: Env, errors: RegExp[], more?: More]> = [
  [{ ROLES: 'gateway' }, [/^REDIS_URL: is needed for roles in separate processes/]],
  [
    { REDIS_URL: 'redis://a' },
    [
      /^AUTH_SECRET: is needed with REDIS_URL, .*openssl rand.*AUTH_PUBLIC_KEYS may/,
      /^API_KEYS: is needed with REDIS_URL/,
    ],
  ],
  [{ ...SHARED, ...ONE_PORT }, [/^CONTROL_PORT: must differ from GATEWAY_PORT \(9000\)/]],
  [{ ...SHARED, ...ONE_PORT, ROLES: 'gateway' }, []],
  [{ ...SHARED, ROLES: 'control', WORKERS: '2' }, [/^WORKERS: /]],
  [{ REDIS_URL: 'redis://a', ROLES: 'jobs' }, []],
  [{ REDIS_URL: 'redis://a', ROLES: 'gateway', AUTH_SECRET: SECRET }, []],
  [{ REDIS_URL: 'redis://a' }, [], { purpose: 'inspect' }],
  [{ REDIS_URL: 'redis://a' }, [/^AUTH_SECRET: is needed to sign/], { purpose: 'token' }],
];
t.test('settings are checked together, as far as the roles use them', async (t) => {
  for (const [env, expected, more] of RELATIONS) {
    const errors = errorsOf(env, [], more);
    t.equal(errors.length, expected.length, JSON.stringify(env));
    t.match(errors, expected);
  }
});

t.test('public keys are read and checked', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const folder = t.testdir({
    'good.pem': publicKey.export({ type: 'spki', format: 'pem' }),
    'private.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'odd.pem': 'hello',
  });
  const [good, secret, odd] = ['good.pem', 'private.pem', 'odd.pem'].map((name) => join(folder, name));
  const env = { REDIS_URL: 'redis://a', API_KEYS: SHARED.API_KEYS };
  t.equal(configOf({ ...env, AUTH_PUBLIC_KEYS: good ?? '' }).authPublicKeys.length, 1);
  const expected = [/^AUTH_PUBLIC_KEYS: .*private\.pem is a private key/, /^AUTH_PUBLIC_KEYS: .*odd\.pem is not a PEM/];
  t.match(errorsOf({ ...env, AUTH_PUBLIC_KEYS: `${good},${secret},${odd}` }), expected);
});

t.test('the flags of a command are returned beside the configuration', async (t) => {
  const own = { show: { placeholder: 'id', help: '' }, loud: { placeholder: null, help: '' } };
  const loaded = load({}, ['--show', 'friday', '--loud'], { own });
  t.same(loaded.ok && loaded.own, { show: 'friday', loud: true });
  t.match(errorsOf({}, ['--show', '--loud=yes'], { own }), [/^--show: needs a value/]);
  t.match(errorsOf({}, ['--loud=yes'], { own }), [/^--loud: takes no value/]);
  t.match(errorsOf({}, ['--shows', 'friday'], { own })[0], /is not a flag.*Did you mean --show\?/, 'a suggestion');
});

t.test('the engine accepts the secrets that the configuration accepts', async (t) => {
  const API_KEYS = `a:${'x'.repeat(16)},b.c-d_e:${'y'.repeat(256)}`;
  const config = configOf({ ...SHARED, API_KEYS, AUTH_SECRET: 'z'.repeat(32) });
  t.doesNotThrow(() => createApiKeys(config.apiKeys ?? {}));
  t.doesNotThrow(() => createTokens({ secret: config.authSecret ?? '', nowMs: Date.now }));
});

t.test('the help names every setting', async (t) => {
  const help = commandHelp(commandWithSettings('stampede serve [flags]', ''));
  for (const { variable, flag } of Object.values(SETTINGS)) {
    t.ok(help.includes(variable), variable);
    if (flag !== null) t.ok(help.includes(`--${flag} `), flag);
  }
});
