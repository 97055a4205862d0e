/**
 * Every setting: its variable and flag, what it means, its allowed values and its default. `--help`
 * prints this table, `load.ts` reads by it, and a test compares src/config/README.md with it.
 */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { MemorySize } from '../domain/health.ts';
import { LIMITS } from '../limits.ts';
import {
  apiKeys,
  duration,
  integer,
  listOf,
  matching,
  memorySize,
  network,
  oneOf,
  originsOrAny,
  quoted,
  secretText,
  toggle,
  urlWithScheme,
} from './parsers.ts';
import { REDIS_SETTINGS } from './redis-settings.ts';
import { emptyList, optional, path, type Setting, setting } from './setting.ts';
import { LINK_VALUE } from './unknown-variables.ts';

export type { Setting } from './setting.ts';

export const ENGINE_ROLES = ['gateway', 'control', 'jobs'] as const;
export type EngineRole = (typeof ENGINE_ROLES)[number];

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const LOG_FORMATS = ['auto', 'json', 'pretty'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** A number from 1 to `max`. */
const bound = (variable: string, fallback: number, max: number, help: string): Setting<number> =>
  setting(variable, { help, range: `1 to ${max}`, fallback, parse: integer(1, max) });

const ofPort = {
  range: '0 to 65535, 0 = any free port',
  parse: integer(0, 65_535),
  whyIgnored: (raw: string): string | null =>
    LINK_VALUE.test(raw)
      ? `is ${quoted(raw)}, which Kubernetes sets for a service of this name, and is ignored. Set ` +
        'enableServiceLinks: false in the pod, or this variable to a number.'
      : null,
};

const port = (variable: string, fallback: number, help: string): Setting<number> =>
  setting(variable, { help, fallback, ...ofPort });

const shellsSetHost = (raw: string): string | null =>
  isIP(raw) !== 0 || raw.toLowerCase() === 'localhost' || 'problem' in hostName(raw)
    ? null
    : `is ${quoted(raw)} and is ignored, because shells and conda set it to a name. Set it to an IP address, or give ` +
      'the name with --host.';

const origins = (variable: string, fallback: readonly string[] | null, fallbackText: string, help: string) =>
  setting<readonly string[] | null>(variable, {
    help,
    range: 'comma-separated origins such as https://shop.example or https://*.shop.example, or *',
    fallback,
    fallbackText,
    parse: originsOrAny,
  });

const hostName = matching(/^[A-Za-z0-9:._-]{1,255}$/, 'an IP address or a host name');

export const SETTINGS = Object.freeze({
  ...REDIS_SETTINGS,
  keyPrefix: setting('KEY_PREFIX', {
    help: 'Prefix of every Redis key of this installation.',
    range: '1 to 40 of letters, digits, ":", "_", "." and "-"',
    fallback: 'stampede:',
    parse: matching(
      /^[A-Za-z0-9:_.-]{1,40}$/,
      '1 to 40 of letters, digits, ":", "_", "." and "-" (no braces: they choose the Cluster slot)',
    ),
  }),
  roles: setting<readonly EngineRole[]>('ROLES', {
    help: 'What this process runs. Roles may run in separate processes on one Redis.',
    range: `comma-separated: ${ENGINE_ROLES.join(', ')}`,
    fallback: ENGINE_ROLES,
    fallbackText: 'all',
    parse: listOf(oneOf(ENGINE_ROLES)),
  }),
  workers: bound(
    'WORKERS',
    1,
    64,
    'Supervised gateway processes that share the gateway port of this host. Use at most one per core.',
  ),
  host: setting('HOST', {
    help:
      'Address to listen on. The default accepts connections of this machine only; 0.0.0.0 or :: accepts others. ' +
      'The container image sets 0.0.0.0.',
    range: 'an IP address or localhost; as a flag also a host name of this machine',
    fallback: '127.0.0.1',
    parse: hostName,
    whyIgnored: shellsSetHost,
  }),
  gatewayPort: port('GATEWAY_PORT', 8080, 'Port of the WebSocket gateway.'),
  controlPort: port('CONTROL_PORT', 8081, 'Port of the HTTP control API, the API docs and the web pages.'),
  metricsPort: setting<number | null>('METRICS_PORT', {
    help:
      'Port of /metrics, /healthz and /readyz, for scrapers and probes; it covers all WORKERS. Metrics are also on ' +
      'the control API, with an API key, and never on the gateway port.',
    ...optional,
    ...ofPort,
  }),
  metricsHost: setting<string | null>('METRICS_HOST', {
    help: 'Address of METRICS_PORT.',
    range: 'an IP address or a host name of this machine',
    fallback: null,
    fallbackText: 'HOST',
    parse: hostName,
  }),
  metricsToken: setting<string | null>('METRICS_TOKEN', {
    help:
      'Scrapers must send it as Authorization: Bearer. Without it METRICS_PORT needs no token. The control API ' +
      'takes it like an API key, for /metrics only.',
    range: '16 to 256 bytes',
    ...optional,
    isSecret: true,
    parse: secretText(16, 256),
  }),
  publicGatewayUrl: setting<string | null>('PUBLIC_GATEWAY_URL', {
    help: 'Public URL of the gateway, which the viewer page and reconnecting clients get.',
    range: 'ws:// or wss:// URL',
    fallback: null,
    fallbackText: 'HOST and GATEWAY_PORT',
    parse: urlWithScheme('ws', 'wss'),
  }),
  allowedOrigins: origins('ALLOWED_ORIGINS', null, '*', 'Web origins whose pages may open a WebSocket.'),
  corsOrigins: origins('CORS_ORIGINS', Object.freeze([]), 'none', 'Web origins whose pages may call the control API.'),
  frameAncestors: origins(
    'FRAME_ANCESTORS',
    Object.freeze([]),
    'none',
    'Web origins whose pages may show our pages in a frame, such as the viewer page in the shop.',
  ),
  trustedProxies: setting('TRUSTED_PROXIES', {
    help:
      'Your reverse proxies. X-Forwarded-For (and, for the control API, the other X-Forwarded headers) is trusted ' +
      'from these addresses only.',
    range: 'comma-separated IP addresses or networks such as 10.0.0.0/8',
    ...emptyList,
    parse: listOf(network),
  }),
  tlsCertFile: setting<string | null>('TLS_CERT_FILE', {
    help:
      'Certificate chain (PEM), with which the gateway serves wss:// and https:// itself. The control API stays ' +
      'plain HTTP, for a proxy or a private network.',
    range: 'a path, together with TLS_KEY_FILE',
    ...optional,
    parse: path,
  }),
  tlsKeyFile: setting<string | null>('TLS_KEY_FILE', {
    help: 'Private key (PEM) of the certificate.',
    range: 'a path, together with TLS_CERT_FILE',
    ...optional,
    parse: path,
  }),
  tlsKeyPassphrase: setting<string | null>('TLS_KEY_PASSPHRASE', {
    help: 'Passphrase of an encrypted private key.',
    range: 'a text, together with TLS_KEY_FILE',
    ...optional,
    isSecret: true,
    parse: secretText(1),
  }),
  connectionsMax: bound(
    'CONNECTIONS_MAX',
    LIMITS.connectionsPerNodeMax,
    1_000_000,
    'Most viewers per gateway process; more are refused with 503 and Retry-After. Each needs a file descriptor.',
  ),
  connectionsPerAddress: bound(
    'CONNECTIONS_PER_ADDRESS',
    LIMITS.connectionsPerAddressMax,
    1_000_000,
    'Most viewers per gateway process from one IPv4 address or one IPv6 /64 network. Behind a carrier or a venue ' +
      'thousands share an address.',
  ),
  connectionsPerUser: bound(
    'CONNECTIONS_PER_USER',
    LIMITS.connectionsPerUserMax,
    1_000_000,
    'Most connections of one user to one show, over all gateways; above it the oldest is closed with 4204.',
  ),
  joinsPerSecond: bound(
    'JOINS_PER_SECOND',
    LIMITS.joinsPerSecondPerNode,
    100_000,
    'Upgrades per second and gateway process; more are refused with 503 and Retry-After before the token is verified.',
  ),
  joinsPerSecondPerAddress: bound(
    'JOINS_PER_SECOND_PER_ADDRESS',
    LIMITS.joinsPerSecondPerNode,
    100_000,
    'Upgrades per second and gateway process from one address, as CONNECTIONS_PER_ADDRESS counts them. Guests have ' +
      'no id, so nothing else limits how often they connect. Bursts of ten times as many.',
  ),
  guestBytesPerSecond: bound(
    'GUEST_BYTES_PER_SECOND',
    LIMITS.guestBytesPerSecond,
    1_000_000_000,
    'Bytes per second and gateway process for the welcomes and missed events of all guests of one address, in ' +
      'addition to 4 KiB for each of their connections; what 32 seconds give may be sent at once. The first welcome ' +
      'of each is always sent. Raise it if one address has many guests who come and stay for a moment.',
  ),
  chatPerSecond: bound(
    'CHAT_PER_SECOND',
    LIMITS.chatRatePerSecond,
    100_000,
    'Chat messages per second and user, over all connections and nodes; bursts of twice as many. A show may set a ' +
      'lower rate (slow mode).',
  ),
  requestsPerSecond: bound(
    'REQUESTS_PER_SECOND',
    LIMITS.requestRatePerSecond,
    100_000,
    'Messages of any type per second and connection, and requests per second and user over all connections and ' +
      'nodes; bursts of twice as many.',
  ),
  httpReadsPerMinute: bound(
    'HTTP_READS_PER_MINUTE',
    LIMITS.httpReadsPerMinute,
    10_000_000,
    'GET requests to the control API per minute and process, for each API key, and for each address without a valid ' +
      'key; more get 429 and Retry-After.',
  ),
  httpCommandsPerMinute: bound(
    'HTTP_COMMANDS_PER_MINUTE',
    LIMITS.httpCommandsPerMinute,
    10_000_000,
    'As HTTP_READS_PER_MINUTE, for all other requests. To confirm, release or extend a hold with a valid key has no ' +
      'limit.',
  ),
  authSecret: setting<string | null>('AUTH_SECRET', {
    help:
      'Signs and verifies viewer tokens (HS256). An embedded engine generates it once and keeps it in ' +
      'DATA_DIR/secrets.json.',
    range: 'at least 32 bytes',
    fallback: null,
    fallbackText: 'made once (embedded), required with REDIS_URL',
    isSecret: true,
    parse: secretText(32),
  }),
  authPublicKeys: setting('AUTH_PUBLIC_KEYS', {
    help:
      'Files with public keys of an identity provider (EdDSA, ES256, RS256) that verify viewer tokens. The claims ' +
      'aud and iss are not checked.',
    range: 'comma-separated paths of PEM files',
    ...emptyList,
    parse: listOf(path),
  }),
  apiKeys: setting<Readonly<Record<string, string>> | null>('API_KEYS', {
    help:
      'Keys for the control API. An embedded engine generates one named "host" once, keeps it in ' +
      'DATA_DIR/secrets.json and prints it at the first start.',
    range: 'comma-separated name:secret, each secret 16 to 256 characters',
    fallback: null,
    fallbackText: 'made once (embedded), required with REDIS_URL',
    isSecret: true,
    parse: apiKeys(16, 256),
  }),
  dataDir: setting('DATA_DIR', {
    help: 'Folder of the embedded Redis (append-only file) and of the generated secrets.',
    range: 'a path',
    fallback: './data',
    parse: path,
  }),
  holdMax: setting('HOLD_MAX', {
    help: 'The longest time for which a reservation may hold its units, also when it is extended.',
    range: 'a number with a unit: 90s, 30m or 12h, from 2 minutes to 24 hours',
    fallback: LIMITS.holdMaxDefaultMs,
    fallbackText: '15m',
    parse: duration(
      LIMITS.holdDefaultMs,
      LIMITS.holdMaxMs,
      'Sales hold units for 2 minutes unless they set another time.',
    ),
  }),
  retention: setting('RETENTION', {
    help: 'How long after its end a show is archived and leaves Redis. A show may set another time (retentionMs).',
    range: 'a number with a unit: 90s, 30m, 12h or 30d, from 1 second to 10 years',
    fallback: LIMITS.retentionDefaultMs,
    fallbackText: '30d',
    parse: duration(LIMITS.retentionMinMs, LIMITS.retentionMaxMs, 'Shows cannot be kept in Redis forever.'),
  }),
  archiveDir: setting<string | null>('ARCHIVE_DIR', {
    help:
      'Folder of the archives of shows, for this installation only. Its control and jobs processes must share it, ' +
      'and do not start if it cannot be written. If the default cannot be written, or the disk is full, the log ' +
      'warns, and ended shows stay in Redis.',
    range: 'a writable folder; it is created if its parent exists',
    fallback: null,
    fallbackText: 'DATA_DIR/archive',
    parse: path,
  }),
  appendfsync: setting<'everysec' | 'always'>('APPENDFSYNC', {
    help:
      'When the embedded Redis forces its append-only file to disk. With everysec a power cut can lose about a ' +
      'second; always is slower.',
    range: 'everysec or always',
    fallback: 'everysec',
    parse: oneOf(['everysec', 'always']),
  }),
  maxMemory: setting<MemorySize>('MAXMEMORY', {
    help:
      'Memory of the embedded Redis. When it is full, requests get redis_full and nothing is lost. While Redis ' +
      'rewrites its file it may need twice this much, and Stampede needs memory, too.',
    range: 'a size such as 512mb or 2gb (at least 32mb), or 1% to 90% of the memory of this machine or container',
    fallback: Object.freeze({ share: 0.4 }),
    fallbackText: '40%',
    parse: memorySize(32 * 2 ** 20),
  }),
  demoTokens: setting('DEMO_TOKENS', {
    help: 'Mints buyer tokens for any show without an API key, to try the viewer page. Never use it in production.',
    range: 'true or false',
    fallback: false,
    parse: toggle,
  }),
  nodeName: setting('NODE_NAME', {
    help: 'Name of this process in logs, metrics and welcomes. A log record warns if two processes have the same.',
    range: '1 to 64 of letters, digits, "_", "." and "-"',
    fallback: `${hostname()
      .replace(/[^A-Za-z0-9_.-]/g, '-')
      .slice(0, 48)}-${process.pid}`,
    fallbackText: 'host name and process id',
    parse: matching(/^[A-Za-z0-9_.-]{1,64}$/, '1 to 64 of letters, digits, "_", "." and "-"'),
  }),
  logLevel: setting<LogLevel>('LOG_LEVEL', {
    help: 'Lowest level of log lines that are written.',
    range: LOG_LEVELS.join(', '),
    fallback: 'info',
    parse: oneOf(LOG_LEVELS),
  }),
  logFormat: setting<LogFormat>('LOG_FORMAT', {
    help: 'Form of log lines: JSON records or lines for people. auto is pretty on a terminal and json elsewhere.',
    range: LOG_FORMATS.join(', '),
    fallback: 'auto',
    parse: oneOf(LOG_FORMATS),
  }),
});
export type SettingName = keyof typeof SETTINGS;
