/** The settings of the connection to Redis. `redis.ts` makes one target of most of them. */
import { matching, oneOf, secretText } from './parsers.ts';
import { optional, path, setting } from './setting.ts';

const SCRIPTS = ['auto', 'functions', 'eval'] as const;
const PUBLISH = ['auto', 'sharded', 'classic'] as const;
const text = secretText(1);
const withTls = 'together with a rediss:// REDIS_URL';

export const REDIS_SETTINGS = {
  redisUrl: setting<string | null>('REDIS_URL', {
    help:
      'Redis 7.0 or newer that holds all state. Without it the engine starts an embedded redis-server in DATA_DIR. ' +
      'Several servers are nodes of one cluster, or the sentinels of REDIS_SENTINEL_MASTER. In the user and the ' +
      'password write % as %25.',
    range: 'redis://user:password@host:port/db, rediss:// for TLS, or unix:///path; several separated by commas',
    fallback: null,
    fallbackText: 'embedded',
    mayBeFile: true,
    parse: (raw) => ({ value: raw }),
  }),
  redisSentinelMaster: setting<string | null>('REDIS_SENTINEL_MASTER', {
    help: 'Name of the primary that the sentinels in REDIS_URL watch. The engine asks them where it is.',
    range: 'a name without blanks, together with REDIS_URL',
    ...optional,
    parse: matching(/^\S{1,255}$/, 'a name without blanks'),
  }),
  redisSentinelUsername: setting<string | null>('REDIS_SENTINEL_USERNAME', {
    help: 'User of the sentinels. User and password in REDIS_URL are those of the servers.',
    range: 'a text, together with REDIS_SENTINEL_MASTER',
    ...optional,
    parse: text,
  }),
  redisSentinelPassword: setting<string | null>('REDIS_SENTINEL_PASSWORD', {
    help: 'Password of the sentinels, if they have one.',
    range: 'a text, together with REDIS_SENTINEL_MASTER',
    ...optional,
    isSecret: true,
    parse: text,
  }),
  redisTlsCaFile: setting<string | null>('REDIS_TLS_CA_FILE', {
    help: 'Certificates (PEM) of the authority that signed the certificate of Redis, if it is not a public one.',
    range: `a path, ${withTls}`,
    ...optional,
    parse: path,
  }),
  redisTlsCertFile: setting<string | null>('REDIS_TLS_CERT_FILE', {
    help: 'Client certificate (PEM), if Redis asks for one (tls-auth-clients).',
    range: 'a path, together with REDIS_TLS_KEY_FILE',
    ...optional,
    parse: path,
  }),
  redisTlsKeyFile: setting<string | null>('REDIS_TLS_KEY_FILE', {
    help: 'Private key (PEM) of the client certificate.',
    range: 'a path, together with REDIS_TLS_CERT_FILE',
    ...optional,
    parse: path,
  }),
  redisTlsKeyPassphrase: setting<string | null>('REDIS_TLS_KEY_PASSPHRASE', {
    help: 'Passphrase of an encrypted private key.',
    range: 'a text, together with REDIS_TLS_KEY_FILE',
    ...optional,
    isSecret: true,
    parse: text,
  }),
  redisTlsServerName: setting<string | null>('REDIS_TLS_SERVER_NAME', {
    help:
      'Name in the certificate of Redis, if it differs from the host in REDIS_URL. Not needed for nodes of ' +
      'a cluster that announce IP addresses, if their certificates have a name in REDIS_URL.',
    range: `a host name, ${withTls}`,
    ...optional,
    parse: matching(/^[A-Za-z0-9._-]{1,253}$/, 'a host name'),
  }),
  redisScripts: setting<(typeof SCRIPTS)[number]>('REDIS_SCRIPTS', {
    help:
      'How the engine calls its scripts: as functions (FCALL), or with EVALSHA, which more services offer. ' +
      'auto takes functions where they are allowed.',
    range: SCRIPTS.join(', '),
    fallback: 'auto',
    parse: oneOf(SCRIPTS),
  }),
  redisPublish: setting<(typeof PUBLISH)[number]>('REDIS_PUBLISH', {
    help:
      'How changes reach all gateways: sharded (SPUBLISH), or classic (PUBLISH), which more services offer. auto ' +
      'takes sharded where it is allowed. All nodes of one KEY_PREFIX must use the same.',
    range: PUBLISH.join(', '),
    fallback: 'auto',
    parse: oneOf(PUBLISH),
  }),
} as const;
