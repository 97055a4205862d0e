/** Variables that other programs set, misspelled ones, secrets from files, and hostile values. */
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { type Config, loadConfig, SETTINGS } from '../../src/config/index.ts';
import { FIRST_SEED as seed } from '../support/seed.ts';

type Env = Record<string, string>;
const SECRET = 'a secret of thirty-two bytes, just';
const KEYS = 'host:0123456789abcdef';

function load(env: Env, argv: string[] = []): { config: Config; warnings: string[]; errors: string[] } {
  const loaded = loadConfig({ argv, env });
  const texts = (list: ReadonlyArray<{ source: string; problem: string }>) =>
    list.map(({ source, problem }) => `${source}: ${problem}`);
  if (loaded.ok) return { config: loaded.config, warnings: texts(loaded.warnings), errors: [] };
  return { config: {} as Config, warnings: [], errors: texts(loaded.errors) };
}

t.test('a port that Kubernetes sets for a service is ignored with a warning', async (t) => {
  for (const [variable, field] of [
    ['GATEWAY_PORT', 'gatewayPort'],
    ['CONTROL_PORT', 'controlPort'],
    ['METRICS_PORT', 'metricsPort'],
  ] as const) {
    const { config, warnings, errors } = load({ [variable]: 'tcp://10.43.7.12:8080' });
    t.same(errors, []);
    t.equal(config[field], SETTINGS[field].fallback);
    t.match(warnings, [new RegExp(`^${variable}: is "tcp://10.43.7.12:8080", .*enableServiceLinks: false`)]);
  }
  t.match(load({}, ['--gateway-port', 'tcp://10.43.7.12:8080']).errors, [/^--gateway-port: must be a whole number/]);
});

t.test('HOST counts if it is an address or localhost; a flag may name a host', async (t) => {
  for (const raw of ['0.0.0.0', '::', '10.0.0.1', 'localhost', ' ::1 ']) {
    const { config, warnings } = load({ HOST: raw });
    t.equal(config.host, raw.trim());
    t.same(warnings, []);
  }
  for (const raw of ['x86_64-conda-linux-gnu', 'my-laptop.local']) {
    const { config, warnings, errors } = load({ HOST: raw });
    t.same(errors, []);
    t.equal(config.host, '127.0.0.1');
    t.match(warnings, [/^HOST: is ".*" and is ignored.*IP address.*--host/]);
  }
  t.equal(load({ HOST: 'my-laptop' }, ['--host', 'gateway.internal']).config.host, 'gateway.internal');
});

t.test('letters of either case and surrounding blanks are understood', async (t) => {
  const env = {
    LOG_LEVEL: 'INFO',
    LOG_FORMAT: ' Pretty ',
    ROLES: 'Gateway, CONTROL,jobs',
    APPENDFSYNC: 'Always\n',
    DEMO_TOKENS: ' TRUE ',
    WORKERS: ' 2\t',
    REDIS_SCRIPTS: 'EVAL',
    NODE_NAME: ' a ',
    CHAT_PER_SECOND: '  ',
  };
  t.match(load(env).config, {
    logLevel: 'info',
    logFormat: 'pretty',
    roles: ['gateway', 'control', 'jobs'],
    appendfsync: 'always',
    demoTokens: true,
    workers: 2,
    redisScripts: 'eval',
    nodeName: 'a',
    chatPerSecond: SETTINGS.chatPerSecond.fallback,
  });
  t.match(load({ ROLES: 'jobs,Jobs' }).errors, [/^ROLES: names "Jobs" twice/]);
});

t.test('a line break at the end of a secret is removed with a warning, others are refused', async (t) => {
  const env = { REDIS_URL: 'redis://a\n', AUTH_SECRET: `${SECRET}\r\n`, API_KEYS: `${KEYS}\n` };
  const { config, warnings } = load(env);
  t.match(config, { authSecret: SECRET, apiKeys: { host: '0123456789abcdef' } });
  t.match(warnings.sort(), [/^API_KEYS: ended with a line break/, /^AUTH_SECRET: ended with a line break/]);
  t.match(load({ AUTH_SECRET: `a\n${SECRET}` }).errors, [/^AUTH_SECRET: must not contain line breaks/]);
  t.match(load({ API_KEYS: `${KEYS}\tx` }).errors, [/^API_KEYS: the secret of "host" must not contain line breaks/]);
  t.match(load({ METRICS_TOKEN: `0123456789\u0007abcdef` }).errors, [/^METRICS_TOKEN: must not contain line breaks/]);
  t.match(load({ AUTH_SECRET: `"${SECRET}"` }).warnings, [/^AUTH_SECRET: starts and ends with a quote/]);
  t.equal(load({ AUTH_SECRET: ` ${SECRET} ` }).config.authSecret, ` ${SECRET} `, 'blanks may be part of it');
});

t.test('a secret may be in a file that a variable names', async (t) => {
  const folder = t.testdir({
    secret: `${SECRET}\n`,
    keys: `${KEYS},\nshop:fedcba9876543210\n`,
    url: 'redis://a\n',
    none: '\n',
  });
  const file = (name: string): string => join(folder, name);
  const env = { REDIS_URL_FILE: file('url'), AUTH_SECRET_FILE: file('secret'), API_KEYS_FILE: file('keys') };
  const { config, warnings } = load(env);
  t.same(warnings, []);
  t.match(config, {
    redis: { servers: [{ host: 'a' }] },
    authSecret: SECRET,
    apiKeys: { host: '0123456789abcdef', shop: 'fedcba9876543210' },
  });
  t.match(load({ AUTH_SECRET_FILE: file('absent') }).errors, [
    /^AUTH_SECRET_FILE: .*absent cannot be read \(ENOENT\)\. Check the path/,
  ]);
  t.match(load({ AUTH_SECRET_FILE: folder }).errors, [/^AUTH_SECRET_FILE: .* cannot be read \(EISDIR\)/]);
  t.match(load({ AUTH_SECRET_FILE: file('none') }).errors, [/^AUTH_SECRET_FILE: .*none is empty/]);
  const both = load({ AUTH_SECRET: SECRET, AUTH_SECRET_FILE: file('secret') });
  t.match(both.errors, [/^AUTH_SECRET: is set, and AUTH_SECRET_FILE too\. Set one of them/]);
  t.match(load({ WORKERS_FILE: file('url') }).warnings, { length: 0 }, 'only secrets');
});

const RESEMBLING: ReadonlyArray<[variable: string, meant: string | null, env?: Env]> = [
  ['WORKER', 'WORKERS'],
  ['WORKRES', 'WORKERS'],
  ['API_KEY', 'API_KEYS'],
  ['REDIS_URI', 'REDIS_URL'],
  ['STAMPEDE_REDIS_URL', 'REDIS_URL'],
  ['STAMPEDE_ANYTHING', null],
  ['LOGLEVEL', 'LOG_LEVEL'],
  ['log_level', 'LOG_LEVEL'],
  ['GATEWAYPORT', 'GATEWAY_PORT'],
  ['CORS_ORIGIN', 'CORS_ORIGINS'],
  ['AUTH_SECRETS', 'AUTH_SECRET'],
  ['REDIS_HOST', 'REDIS_URL'],
  ['REDIS_TLS_CA', null],
];
t.test('a variable that looks like a misspelled setting is named once', async (t) => {
  for (const [variable, meant] of RESEMBLING) {
    const { warnings } = load({ [variable]: '3' });
    const hint = meant === null ? '' : ` Did you mean ${meant}?`;
    t.same(warnings, [`${variable}: is not a setting and is ignored.${hint}`]);
  }
  t.match(
    load({ GATEWAY_PROT: '3', WORKERS: 'many' }).errors,
    [/^WORKERS: /, 'GATEWAY_PROT: is not a setting and is ignored. Did you mean GATEWAY_PORT?'],
    'also beside another mistake',
  );
  const shared = { REDIS_URL: 'redis://a', AUTH_SECRET: SECRET, API_KEYS: KEYS };
  t.same(load({ ...shared, REDIS_HOST: 'a', REDIS_PASSWORD: 'b' }).warnings, [], 'not needed beside REDIS_URL');
});

t.test('variables of shells, containers and other programs cause no warning', async (t) => {
  const names =
    'PATH HOME USER LOGNAME SHELL PWD OLDPWD SHLVL TERM LANG LC_ALL TZ HOSTNAME HOSTTYPE PORT DATABASE_URL NODE_ENV ' +
    'NODE_OPTIONS NODE_VERSION NODE_PATH NODE_EXTRA_CA_CERTS POD_NAME POD_IP POD_NAMESPACE KUBERNETES_SERVICE_HOST ' +
    'KUBERNETES_PORT_443_TCP_ADDR STAMPEDE_SERVICE_HOST STAMPEDE_SERVICE_PORT_HTTP STAMPEDE_PORT_8080_TCP ' +
    'GATEWAY_SERVICE_HOST GATEWAY_SERVICE_PORT GATEWAY_PORT_8080_TCP_PROTO REDIS_SERVICE_HOST REDIS_PORT_6379_TCP ' +
    'REDIS_SENTINEL_SERVICE_HOST REDIS_VERSION SSL_CERT_FILE SSL_CERT_DIR XDG_DATA_DIRS PGDATA JWT_SECRET ' +
    'SECRET_KEY_BASE OTEL_SERVICE_NAME LOG_FILE CI EDITOR GROUP VENDOR OSTYPE MACHTYPE REMOTEHOST CONDA_PREFIX ' +
    'UWS_HTTP_MAX_HEADERS_SIZE npm_config_user_agent STAMPEDE_WORKER STAMPEDE_SEED HTTP_PROXY NO_PROXY';
  const env = Object.fromEntries(names.split(' ').map((name) => [name, '1']));
  t.same(load({ ...env, STAMPEDE_PORT: 'tcp://10.0.0.1:80', REDIS_PORT: 'tcp://10.0.0.2:6379' }).warnings, []);
  t.same(load({ WORKER: '', REDIS_URI: '' }).warnings, [], 'nor does an empty one');
});

t.test('settings without effect are named, and those that contradict are refused', async (t) => {
  const shared = { REDIS_URL: 'redis://a', AUTH_SECRET: SECRET, API_KEYS: KEYS };
  t.match(load({ ...shared, APPENDFSYNC: 'always' }).warnings, [/^APPENDFSYNC: has no effect with REDIS_URL/]);
  t.match(load({ METRICS_HOST: '::1' }).warnings, [/^METRICS_HOST: has no effect without METRICS_PORT/]);
  t.match(load({ RETENTION: '59m' }).warnings, [/^RETENTION: is shorter than an hour/]);
  t.same(load({ RETENTION: '1h' }).warnings, []);
  const [bare, foreign, long] = ['30', '5w', '25h'].map((HOLD_MAX) => load({ HOLD_MAX }).errors[0] ?? '');
  const allowed = 'Allowed: a number with a unit: 90s, 30m or 12h, from 2 minutes to 24 hours.';
  t.equal(bare, `HOLD_MAX: is "30", which has no unit. ${allowed}`);
  t.equal(foreign, `HOLD_MAX: is "5w", which is no time. ${allowed}`);
  t.equal(long, `HOLD_MAX: is "25h", which is too long. ${allowed}`);
});

t.test('hostile values never throw, and every problem names its source and what is allowed', async (t) => {
  const settings = Object.values(SETTINGS);
  const variables = settings.flatMap(({ variable }) => [variable, `${variable}_FILE`]);
  const piece = fc.constantFrom(
    'redis://',
    'rediss://',
    '@',
    ':',
    ',',
    '/',
    '%',
    '[',
    '\n',
    '\0',
    ' ',
    '1',
    '-',
    'a',
    '*',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.array(piece, { maxLength: 8 }).map((parts) => parts.join('')),
    fc.constantFrom('__proto__', 'constructor', 'tcp://1.2.3.4:5', '\ud800', 'x'.repeat(5_000), '99999999999999999999'),
  );
  const env = fc.dictionary(fc.constantFrom(...variables), text, { maxKeys: 5 });
  const flag = fc.constantFrom(...settings.flatMap((setting) => (setting.flag === null ? [] : [`--${setting.flag}`])));
  const argv = fc.array(fc.oneof(flag, text), { maxLength: 4 });
  const sources = new Set([...variables, ...settings.map((setting) => `--${setting.flag}`)]);
  const property = fc.property(env, argv, fc.constantFrom('serve', 'token', 'inspect'), (env, argv, purpose) => {
    const loaded = loadConfig({ argv, env, purpose });
    if (loaded.ok) return;
    for (const { source, problem } of loaded.errors) {
      // Words of the command line that are no settings name themselves.
      if (!sources.has(source)) continue;
      if (!/^[^.]/.test(problem) || !problem.endsWith('.')) throw new Error(`${source}: ${problem}`);
      const isOfCommandLine = /needs a value|takes no value|is not a flag|Secrets come from/.test(problem);
      if (!isOfCommandLine && !source.endsWith('_FILE') && !problem.includes('Allowed: ')) throw new Error(problem);
    }
  });
  fc.assert(property, { seed, numRuns: 3_000 });
  t.pass('none did');
});
