/**
 * Maps every error of Redis, of its connection and of its host to a named state with a reason and a
 * remedy. The only place that reads texts of errors; secrets in them are removed.
 */
import type { RedisState, RedisTrouble } from '../domain/health.ts';

/** Longest text of Redis or of the operating system that is repeated in a reason. */
const WORDS_MAX = 200;
const PERMISSIONS_NAMED_MAX = 6;

const SERVER = 'Check host and port in REDIS_URL';
const PASSWORD = 'Check the user and the password in REDIS_URL.';
const CLUSTER_REMEDY = 'Check CLUSTER INFO and CLUSTER NODES. Stampede continues as soon as every slot has a primary.';
const WAIT = 'Stampede continues by itself as soon as Redis does.';

type Row = readonly [state: RedisState, pattern: RegExp, reason: (words: string) => string, remedy: string];

const row = (state: RedisState, pattern: RegExp, reason: string | ((words: string) => string), remedy: string): Row => [
  state,
  pattern,
  typeof reason === 'string' ? (words) => `${reason} (${words}).` : reason,
  remedy,
];

/** The first row that fits decides. The texts are of Redis 7 and 8, Valkey, ioredis and Node.js. */
const ROWS: readonly Row[] = [
  row(
    'protected_mode',
    /\bDENIED\b/,
    'Redis accepts only local clients (protected mode)',
    'Set a password for Redis (requirepass or ACL SETUSER), or bind it to a private address.',
  ),
  row(
    'wrong_password',
    /\bWRONGPASS\b|invalid (username-password pair|password)|AUTH failed/i,
    'Redis refused the user or the password',
    PASSWORD,
  ),
  row(
    'wrong_password',
    /\bNOAUTH\b|Authentication required/i,
    'Redis requires a password and got none',
    'Add it to REDIS_URL: redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST.',
  ),
  row(
    'wrong_password',
    /AUTH.* called without any password configured|no password is set/i,
    'Redis got a password, and its default user has none',
    'Remove the password from REDIS_URL, or set the same one in Redis (requirepass).',
  ),
  row(
    'no_permission',
    /\bNOPERM\b|no permissions to|The user executing the script can't|ACL failure in script/i,
    'Redis refused a command of this user',
    'Give the user the permissions in README.md, "Redis permissions".',
  ),
  row(
    'too_many_clients',
    /max(imum)? number of clients/i,
    'Redis has no connection left',
    `Raise maxclients or stop other clients. ${WAIT}`,
  ),
  row(
    'wrong_db',
    /DB index|SELECT is not allowed in cluster mode|invalid database/i,
    'Redis has no database of this number',
    'Change the number after the last / in REDIS_URL. A cluster has only database 0.',
  ),
  row('loading', /\bLOADING\b/, 'Redis is loading its data', WAIT),
  row(
    'master_down',
    /\bMASTERDOWN\b/,
    'This Redis is a replica that lost its primary',
    'REDIS_URL must name the primary. Check the replication of Redis.',
  ),
  row(
    'busy',
    /\bBUSY\b/,
    'Redis runs a script of another client for too long',
    `SCRIPT KILL or FUNCTION KILL ends a script that has not written. ${WAIT}`,
  ),
  row(
    'disk_failing',
    /\bMISCONF\b/,
    'Redis cannot write to its disk and accepts no writes',
    `Free space on the disk of Redis and read its log. ${WAIT}`,
  ),
  row(
    'too_few_replicas',
    /\bNOREPLICAS\b/,
    'Redis has fewer connected replicas than min-replicas-to-write',
    `Check its replicas. ${WAIT}`,
  ),
  row(
    'full',
    /(^|[\s:-])OOM\b/,
    () => 'Redis is out of memory (OOM): it accepts only what frees memory.',
    'Raise maxmemory, archive or delete ended shows (POST …/archive, DELETE), or delete other data in this Redis. ' +
      'For an embedded Redis set MAXMEMORY and restart; redis-cli -s DATA_DIR/redis/redis.sock CONFIG SET maxmemory ' +
      '2gb raises it until then.',
  ),
  row(
    'replica',
    /\bREADONLY\b|read.only replica/,
    'This Redis is a replica and accepts no writes',
    'REDIS_URL must name the primary. After a failover Stampede connects again and continues by itself.',
  ),
  row(
    'cluster_incomplete',
    /\bCLUSTERDOWN\b|\bTRYAGAIN\b|Cluster is down|Too many Cluster redirections|cluster_state/i,
    'The cluster does not serve every slot',
    CLUSTER_REMEDY,
  ),
  row(
    'unknown_master',
    /No such master with that name|master name/i,
    'The sentinels do not know this primary',
    'Check the name of the master in the settings: it is the name after "sentinel monitor".',
  ),
  row(
    'sentinel_unreachable',
    /sentinels? (are|is) unreachable/i,
    'No sentinel can be reached',
    'Check the hosts and ports of the sentinels, and their password.',
  ),
  row(
    'not_cluster',
    /cluster support disabled/i,
    'REDIS_URL lists the nodes of a cluster, but this Redis is a single server',
    'Write one URL. Several URLs are nodes of one cluster; replicas are found through Sentinel.',
  ),
  row(
    'missing_command',
    /unknown (sub)?command|Invalid command passed to/i,
    'Redis lacks a command that Stampede needs',
    'Use Redis 7.0 or newer, or a compatible service that has this command, and no rename-command for it.',
  ),
  row(
    'tls_mismatch',
    /WRONG_VERSION_NUMBER|wrong version number|packet length too long|EPROTO|before secure TLS connection/i,
    'TLS failed: the port does not speak TLS',
    'Use redis:// instead of rediss://, or the TLS port of Redis.',
  ),
  row(
    'tls_untrusted',
    /certificate required|bad certificate|handshake failure|CERTIFICATE_REQUIRED|alert number (4[0-9]|116)/i,
    'Redis refused the TLS handshake',
    'Redis may require a client certificate that its CA signed: set REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE.',
  ),
  row(
    'tls_untrusted',
    /ALTNAME|does not match certificate|Hostname\/IP/i,
    'The certificate of Redis is for another host name',
    'Use the name in the certificate in REDIS_URL, or set REDIS_TLS_SERVER_NAME to it.',
  ),
  row(
    'tls_untrusted',
    /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|certificate (has expired|is not yet valid)/i,
    'The certificate of Redis is not valid now',
    'Renew the certificate of Redis and check the clocks of both hosts.',
  ),
  row(
    'tls_untrusted',
    /SELF_SIGNED|self.signed|UNABLE_TO_(VERIFY|GET_ISSUER)|unable to (verify|get)|CERT_|certificate/i,
    'The certificate of Redis is signed by an unknown authority',
    'Set REDIS_TLS_CA_FILE to the file of the CA that signed it.',
  ),
  row(
    'refused',
    /ECONNREFUSED \//,
    'No server accepts connections at this unix socket',
    'Check that Redis runs, and the path in REDIS_URL. An embedded Redis is restarted by the engine: see its log.',
  ),
  row(
    'refused',
    /ECONNREFUSED/,
    'No server accepts connections at this address',
    `${SERVER}, that Redis runs, and that it listens on this address.`,
  ),
  row('unknown_host', /ENOTFOUND|EAI_/, 'The host name of Redis cannot be resolved', `${SERVER}, and DNS.`),
  row(
    'socket_missing',
    /ENOENT|EACCES|ENOTSOCK/,
    'The unix socket of Redis cannot be opened',
    'Check that Redis runs, the path in REDIS_URL, and the permissions of the socket. ' +
      'An embedded Redis is restarted by the engine: see its log.',
  ),
  row(
    'unreachable',
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL/,
    'The host of Redis does not respond',
    `${SERVER}, the network and its firewall.`,
  ),
  row(
    'not_redis',
    /Protocol error|Unknown RESP type|Please report this/i,
    'The server at this address does not speak the protocol of Redis',
    `${SERVER}: another program listens there, or it requires TLS (rediss://).`,
  ),
  row(
    'silent',
    /Command timed out|Socket timeout|(^|: )timeout$/i,
    'Redis accepted the connection and does not reply',
    `${SERVER}. If they are right, Redis or this host is overloaded or paused. Stampede tries again.`,
  ),
  row(
    'lost',
    /ECONNRESET|EPIPE|ECONNABORTED|socket hang up|Connection is closed|Stream isn't writ|aborted due to connection/i,
    'The connection to Redis was closed',
    'Stampede connects again by itself. If this persists, read the log of Redis.',
  ),
];

/** These say only that there is no connection; an earlier error may have said why. */
const VAGUE =
  /MaxRetriesPerRequestError|AbortError|ClusterAllFailedError|Failed to refresh slots|None of startup nodes/;

interface AnyError extends Error {
  code?: unknown;
  errors?: readonly unknown[];
  lastNodeError?: unknown;
}

/** Redis repeats arguments of unknown commands: they may contain a password. */
const withoutArguments = (text: string): string =>
  text.replace(/,? ?with args beginning with:.*/s, '').replace(/(rediss?:\/\/)[^@\s]*@/g, '$1');

/** Returns the text of an error with its code and its causes, without secrets. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return withoutArguments(String(error));
  const { name, message, code, errors, lastNodeError } = error as AnyError;
  const cause = lastNodeError ?? errors?.[0] ?? error.cause;
  const own = message || (cause === undefined ? name : '');
  const coded = typeof code === 'string' && !own.includes(code) ? `${code} ${own}` : own;
  return withoutArguments([coded.trim(), cause === undefined ? '' : wordsOf(cause)].filter(Boolean).join(': '));
}

/** Returns the state, the reason and the remedy of an error; `failed` if it has no named state. */
export function troubleOf(error: unknown): RedisTrouble {
  if (error instanceof TroubleError) return error.trouble;
  const words = wordsOf(error);
  const found = ROWS.find(([, pattern]) => pattern.test(words));
  if (found) return trouble(found[0], found[2](shortened(words)), found[3]);
  const isVague = VAGUE.test(words) || (error instanceof Error && VAGUE.test(error.name));
  if (isVague) return LOST;
  return trouble('failed', `Redis failed: ${shortened(words)}.`, 'Read the log of Redis.');
}

const shortened = (words: string): string =>
  words
    .replace(/\s+/g, ' ')
    .replace(/^ERR |\. Please report this\.?|, on @user_(script|function).*|\.$/g, '')
    .slice(0, WORDS_MAX);

const trouble = (state: RedisState, reason: string, remedy: string): RedisTrouble =>
  Object.freeze({ state, reason, remedy });

/** A reason that was found by looking, not by an error of Redis. */
export class TroubleError extends Error {
  readonly trouble: RedisTrouble;

  constructor(found: RedisTrouble) {
    super(found.reason);
    this.trouble = found;
  }
}

/** The user may not run this command, or the server does not have it. */
export const isRefused = (error: unknown): boolean =>
  ['no_permission', 'missing_command'].includes(troubleOf(error).state);

/** It has replied before, so its address is right. */
export const SILENT_NOW = trouble(
  'silent',
  'Redis does not reply in time.',
  'Redis or this host may be overloaded or paused, or the network interrupted. Stampede tries again.',
);
export const CONNECTING = trouble('connecting', 'Redis has not replied yet.', SERVER.concat('.'));
export const LOST = trouble(
  'lost',
  'The connection to Redis was closed.',
  'Stampede connects again by itself. If this persists, read the log of Redis.',
);
export const CLOSED_AT_ONCE = trouble(
  'lost',
  'The server closed the connection before it replied.',
  `${SERVER}. If this port requires TLS, use rediss://. A proxy without a server behind it does the same.`,
);
export const TLS_NEEDED = trouble(
  'tls_mismatch',
  'The server closed the connection: this port requires TLS.',
  'Use rediss:// instead of redis:// in REDIS_URL.',
);
export const TLS_NOT_SPOKEN = trouble(
  'tls_mismatch',
  'TLS failed: this port speaks plain Redis.',
  'Use redis:// instead of rediss:// in REDIS_URL, or the TLS port of Redis.',
);
export const IS_REPLICA = trouble(
  'replica',
  'This Redis is a replica and accepts no writes.',
  'REDIS_URL must name the primary. After a failover Stampede connects again and continues by itself.',
);
export const NO_RELAY = trouble(
  'no_relay',
  'What a script publishes does not arrive at the subscription of this process.',
  'Check that the user may subscribe (+ssubscribe +subscribe) and that no proxy drops pub/sub. Set REDIS_PUBLISH to ' +
    'sharded or classic to choose the other kind.',
);
export const CLUSTER_WITHOUT_INFO = trouble(
  'no_permission',
  'Redis refused INFO (NOPERM). In a cluster it is the only way to notice a restart that lost writes.',
  'Allow it: ACL SETUSER <user> +info.',
);
export const CLUSTER_INCOMPLETE = trouble(
  'cluster_incomplete',
  'The cluster does not serve every slot.',
  CLUSTER_REMEDY,
);
export const silentMaster = (error: unknown): RedisTrouble =>
  trouble('cluster_incomplete', `A node of the cluster does not reply (${shortened(wordsOf(error))}).`, CLUSTER_REMEDY);
export const NOEVICTION = 'Run: CONFIG SET maxmemory-policy noeviction, and set it in redis.conf.';
export const evicting = (policy: string): RedisTrouble =>
  trouble('evicting', `maxmemory-policy is ${policy}: Redis would delete books when memory is low.`, NOEVICTION);
export const tooOld = (version: string, needed: number): RedisTrouble =>
  trouble('too_old', `Redis ${version} is too old.`, `Stampede needs Redis ${needed}.0 or newer.`);
export const otherRelay = (others: string, own: string): RedisTrouble =>
  trouble(
    'other_relay',
    `Other nodes publish with ${others} pub/sub and this one is set to ${own}: they would not hear each other.`,
    'Give all nodes the same REDIS_PUBLISH, and stop the others first.',
  );
/** `missing` are words of ACL rules, for example `+hset` or `&stampede:*`. */
export function forbidden(user: string, missing: readonly string[]): RedisTrouble {
  const named = missing.slice(0, PERMISSIONS_NAMED_MAX).join(', ');
  const more = missing.length > PERMISSIONS_NAMED_MAX ? `, and ${missing.length - PERMISSIONS_NAMED_MAX} more` : '';
  return trouble(
    'no_permission',
    `The user "${user}" of Redis lacks the permission${missing.length === 1 ? '' : 's'} ${named}${more} (NOPERM).`,
    `Run: ACL SETUSER ${user} ${missing.join(' ')}. README.md, "Redis permissions", has the complete rule.`,
  );
}
