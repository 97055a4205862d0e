/**
 * Every setting of Stampede, once: its variable, its flag, what it means, what it may be and what
 * it is when nobody says. `--help` prints this table, README.md is proven to list it, and `load.ts`
 * reads by it.
 */
import { hostname } from 'node:os';
import { LIMITS } from '../limits.ts';
import {
  apiKeys,
  integer,
  listOf,
  matching,
  network,
  oneOf,
  originsOrAny,
  type Parser,
  redisUrl,
  secretText,
  toggle,
  urlWithScheme,
} from './parsers.ts';

export const ENGINE_ROLES = ['gateway', 'control', 'jobs'] as const;
export type EngineRole = (typeof ENGINE_ROLES)[number];

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Setting<T> {
  readonly variable: string;
  /**
   * null: environment only, because a flag would show a secret to everyone who can list processes.
   */
  readonly flag: string | null;
  readonly help: string;
  /** The allowed range, for people; every mistake repeats it. */
  readonly range: string;
  readonly fallback: T;
  /** How the default reads in the help. */
  readonly fallbackText: string;
  readonly parse: Parser<T>;
}

const setting = <T>(entry: Setting<T>): Setting<T> => Object.freeze(entry);
const ORIGINS = 'comma-separated origins such as https://shop.example, or *';

export const SETTINGS = Object.freeze({
  redisUrl: setting<string | null>({
    variable: 'REDIS_URL',
    flag: 'redis-url',
    help: 'Redis 7.0 or newer that holds all state; its user may load and call functions. Without it the engine starts a redis-server of its own in DATA_DIR.',
    range: 'redis://, rediss:// or unix:///path; several redis:// separated by commas are the nodes of a cluster',
    fallback: null,
    fallbackText: 'embedded',
    parse: redisUrl,
  }),
  keyPrefix: setting({
    variable: 'KEY_PREFIX',
    flag: 'key-prefix',
    help: 'What every Redis key of this installation starts with.',
    range: '1 to 40 of letters, digits, ":", "_", "." and "-"',
    fallback: 'stampede:',
    fallbackText: 'stampede:',
    parse: matching(
      /^[A-Za-z0-9:_.-]{1,40}$/,
      '1 to 40 of letters, digits, ":", "_", "." and "-" (no braces: they choose the Cluster slot)',
    ),
  }),
  roles: setting<readonly EngineRole[]>({
    variable: 'ROLES',
    flag: 'roles',
    help: 'What this process does. Roles may run apart on one Redis.',
    range: `comma-separated: ${ENGINE_ROLES.join(', ')}`,
    fallback: ENGINE_ROLES,
    fallbackText: 'all',
    parse: listOf(oneOf(ENGINE_ROLES)),
  }),
  workers: setting({
    variable: 'WORKERS',
    flag: 'workers',
    help: 'Gateway processes that share the gateway port of this host, supervised. One per core is plenty.',
    range: '1 to 64',
    fallback: 1,
    fallbackText: '1',
    parse: integer(1, 64),
  }),
  host: setting({
    variable: 'HOST',
    flag: 'host',
    help: 'Address to listen on. Loopback unless said otherwise; 0.0.0.0 or :: lets others in (the container image says 0.0.0.0).',
    range: 'an IP address or a host name of this machine',
    fallback: '127.0.0.1',
    fallbackText: '127.0.0.1',
    parse: matching(/^[A-Za-z0-9:._-]{1,255}$/, 'an IP address or a host name'),
  }),
  gatewayPort: setting({
    variable: 'GATEWAY_PORT',
    flag: 'gateway-port',
    help: 'Port of the WebSocket gateway.',
    range: '0 to 65535, 0 = any free port',
    fallback: 8080,
    fallbackText: '8080',
    parse: integer(0, 65_535),
  }),
  controlPort: setting({
    variable: 'CONTROL_PORT',
    flag: 'control-port',
    help: 'Port of the HTTP control API, the API docs and the web pages.',
    range: '0 to 65535, 0 = any free port',
    fallback: 8081,
    fallbackText: '8081',
    parse: integer(0, 65_535),
  }),
  publicGatewayUrl: setting<string | null>({
    variable: 'PUBLIC_GATEWAY_URL',
    flag: 'public-gateway-url',
    help: 'Where viewers reach the gateway from outside; told to clients when they should reconnect, and to the viewer page.',
    range: 'ws:// or wss:// URL',
    fallback: null,
    fallbackText: 'HOST and GATEWAY_PORT',
    parse: urlWithScheme('ws', 'wss'),
  }),
  allowedOrigins: setting<readonly string[] | null>({
    variable: 'ALLOWED_ORIGINS',
    flag: 'allowed-origins',
    help: 'Web origins whose pages may open a WebSocket.',
    range: ORIGINS,
    fallback: null,
    fallbackText: '*',
    parse: originsOrAny,
  }),
  corsOrigins: setting<readonly string[] | null>({
    variable: 'CORS_ORIGINS',
    flag: 'cors-origins',
    help: 'Web origins whose pages may call the control API.',
    range: ORIGINS,
    fallback: Object.freeze([]),
    fallbackText: 'none',
    parse: originsOrAny,
  }),
  trustedProxies: setting<readonly string[]>({
    variable: 'TRUSTED_PROXIES',
    flag: 'trusted-proxies',
    help: 'Your own reverse proxies: only from these addresses X-Forwarded-For (and, for the control API, the other X-Forwarded headers) is believed.',
    range: 'comma-separated IP addresses or networks such as 10.0.0.0/8',
    fallback: Object.freeze([]),
    fallbackText: 'none',
    parse: listOf(network),
  }),
  tlsCertFile: setting<string | null>({
    variable: 'TLS_CERT_FILE',
    flag: 'tls-cert-file',
    help: 'Certificate chain (PEM): the gateway then speaks wss:// and https:// itself. The control API stays plain HTTP, for a proxy or a private network.',
    range: 'a path, together with TLS_KEY_FILE',
    fallback: null,
    fallbackText: 'none',
    parse: matching(/\S/, 'a path'),
  }),
  tlsKeyFile: setting<string | null>({
    variable: 'TLS_KEY_FILE',
    flag: 'tls-key-file',
    help: 'Private key (PEM) of the certificate.',
    range: 'a path, together with TLS_CERT_FILE',
    fallback: null,
    fallbackText: 'none',
    parse: matching(/\S/, 'a path'),
  }),
  tlsKeyPassphrase: setting<string | null>({
    variable: 'TLS_KEY_PASSPHRASE',
    flag: null,
    help: 'Opens an encrypted private key.',
    range: 'a text, together with TLS_KEY_FILE',
    fallback: null,
    fallbackText: 'none',
    parse: (raw) => ({ value: raw }),
  }),
  connectionsMax: setting({
    variable: 'CONNECTIONS_MAX',
    flag: 'connections-max',
    help: 'Viewers a gateway process takes; one more is answered 503 with Retry-After. Each needs a file descriptor.',
    range: '1 to 1000000',
    fallback: LIMITS.connectionsPerNodeMax,
    fallbackText: String(LIMITS.connectionsPerNodeMax),
    parse: integer(1, 1_000_000),
  }),
  connectionsPerAddress: setting({
    variable: 'CONNECTIONS_PER_ADDRESS',
    flag: 'connections-per-address',
    help: 'Viewers a gateway process takes from one IPv4 address or one IPv6 /64 network. Thousands share an address behind a carrier or a venue.',
    range: '1 to 1000000',
    fallback: LIMITS.connectionsPerAddressMax,
    fallbackText: String(LIMITS.connectionsPerAddressMax),
    parse: integer(1, 1_000_000),
  }),
  joinsPerSecond: setting({
    variable: 'JOINS_PER_SECOND',
    flag: 'joins-per-second',
    help: 'Upgrades a gateway process works on a second; others are answered 503 with Retry-After before their token is looked at.',
    range: '1 to 100000',
    fallback: LIMITS.joinsPerSecondPerNode,
    fallbackText: String(LIMITS.joinsPerSecondPerNode),
    parse: integer(1, 100_000),
  }),
  chatPerSecond: setting({
    variable: 'CHAT_PER_SECOND',
    flag: 'chat-per-second',
    help: 'Chat messages one person may write a second, over all connections and nodes; twice as many at once. A show may be slower (slow mode).',
    range: '1 to 100000',
    fallback: LIMITS.chatRatePerSecond,
    fallbackText: String(LIMITS.chatRatePerSecond),
    parse: integer(1, 100_000),
  }),
  requestsPerSecond: setting({
    variable: 'REQUESTS_PER_SECOND',
    flag: 'requests-per-second',
    help: 'Messages of any kind one connection may send a second; twice as many at once.',
    range: '1 to 100000',
    fallback: LIMITS.requestRatePerSecond,
    fallbackText: String(LIMITS.requestRatePerSecond),
    parse: integer(1, 100_000),
  }),
  authSecret: setting<string | null>({
    variable: 'AUTH_SECRET',
    flag: null,
    help: 'Signs and checks viewer tokens (HS256), and with AUTH_PUBLIC_KEYS the passes of a draining node. Embedded Redis: made once and kept in DATA_DIR/secrets.json.',
    range: 'at least 32 bytes',
    fallback: null,
    fallbackText: 'made once (embedded), required with REDIS_URL',
    parse: secretText(32),
  }),
  authPublicKeys: setting<readonly string[]>({
    variable: 'AUTH_PUBLIC_KEYS',
    flag: 'auth-public-keys',
    help: 'Files with public keys of an identity provider (EdDSA, ES256, RS256) that check viewer tokens.',
    range: 'comma-separated paths of PEM files',
    fallback: Object.freeze([]),
    fallbackText: 'none',
    parse: listOf(matching(/\S/, 'a path')),
  }),
  apiKeys: setting<Readonly<Record<string, string>> | null>({
    variable: 'API_KEYS',
    flag: null,
    help: 'Keys for the control API. Embedded Redis: one named "host" is made once, kept in DATA_DIR/secrets.json and printed at first start.',
    range: 'comma-separated name:secret, each secret 16 to 256 characters',
    fallback: null,
    fallbackText: 'made once (embedded), required with REDIS_URL',
    parse: apiKeys(16, 256),
  }),
  dataDir: setting({
    variable: 'DATA_DIR',
    flag: 'data-dir',
    help: 'Folder of the embedded Redis (append-only file) and the secrets.',
    range: 'a path',
    fallback: './data',
    fallbackText: './data',
    parse: matching(/\S/, 'a path'),
  }),
  appendfsync: setting<'everysec' | 'always'>({
    variable: 'APPENDFSYNC',
    flag: 'appendfsync',
    help: 'When the embedded Redis forces its append-only file to disk: everysec may lose about a second in a power cut, always costs speed.',
    range: 'everysec or always',
    fallback: 'everysec',
    fallbackText: 'everysec',
    parse: oneOf(['everysec', 'always']),
  }),
  demoTokens: setting({
    variable: 'DEMO_TOKENS',
    flag: 'demo-tokens',
    help: 'Lets anyone fetch a buyer token for any show without an API key, so the viewer page can be tried. Never in production.',
    range: 'true or false',
    fallback: false,
    fallbackText: 'false',
    parse: toggle,
  }),
  nodeName: setting({
    variable: 'NODE_NAME',
    flag: 'node-name',
    help: 'Names this process in logs, metrics and viewer counts; must differ between processes on one Redis.',
    range: '1 to 64 of letters, digits, "_", "." and "-"',
    fallback: `${hostname()
      .replace(/[^A-Za-z0-9_.-]/g, '-')
      .slice(0, 48)}-${process.pid}`,
    fallbackText: 'host name and process id',
    parse: matching(/^[A-Za-z0-9_.-]{1,64}$/, '1 to 64 of letters, digits, "_", "." and "-"'),
  }),
  logLevel: setting<LogLevel>({
    variable: 'LOG_LEVEL',
    flag: 'log-level',
    help: 'The least important log lines that are still written.',
    range: LOG_LEVELS.join(', '),
    fallback: 'info',
    fallbackText: 'info',
    parse: oneOf(LOG_LEVELS),
  }),
});
export type SettingName = keyof typeof SETTINGS;
