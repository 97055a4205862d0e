/** Where Redis is and how to log in: a Redis URL, parsed. Pure data; nothing here connects. */

export interface RedisServerAddress {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** PEM texts. null: the default of Node.js. */
export interface RedisTls {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly passphrase: string | null;
  /** The name in the certificate, where it is not the host that is connected to. */
  readonly serverName: string | null;
}

export interface RedisSentinel {
  readonly masterName: string;
  /** For the sentinels; the servers get those of the target. */
  readonly username: string | null;
  readonly password: string | null;
}

export interface RedisTarget {
  /**
   * One: a server, or the endpoint of a cluster, which is detected. Several: nodes of a cluster.
   * With `sentinel`: the sentinels. Empty: a unix socket.
   */
  readonly servers: readonly RedisServerAddress[];
  readonly socketPath: string | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly db: number;
  readonly tls: RedisTls | null;
  readonly sentinel: RedisSentinel | null;
}

export type ParsedRedisUrl = { readonly target: RedisTarget } | { readonly problem: string };

const PORT = 6379;
const SENTINEL_PORT = 26_379;
const ENCRYPTED: RedisTls = Object.freeze({ ca: null, cert: null, key: null, passphrase: null, serverName: null });
const SCHEMES = 'must be redis://, rediss:// or unix:// URLs';
/** A comma in a password is not followed by a scheme. */
const BETWEEN_URLS = /,\s*(?=[a-z][a-z0-9+.-]*:\/\/)/i;
const ENCODED: Readonly<Record<string, string>> = { '@': '%40', '%': '%25', ',': '%2C', '?': '%3F', '#': '%23' };

/** Ends parsing. Its text never contains a part of the URL that may be a secret. */
class Problem extends Error {}

const mustEncode = (character: string): string =>
  `write ${character} as ${ENCODED[character]} if it belongs to the user or the password`;

/**
 * Parses `redis://user:password@host:port/db`, `rediss://` (TLS), `unix://user:password@/path`, or
 * a comma-separated list of servers. Special characters of the user and the password may be
 * percent-encoded, and need to be only where the URL would be ambiguous. No problem contains a
 * secret. With `isSentinel` the servers are sentinels.
 */
export function parseRedisUrl(text: string, { isSentinel = false } = {}): ParsedRedisUrl {
  try {
    return { target: Object.freeze(parse(text.trim(), isSentinel)) };
  } catch (error) {
    if (error instanceof Problem) return { problem: error.message };
    throw error;
  }
}

/** Parses a URL. Throws an `Error` if it is wrong. */
export function redisTarget(url: string): RedisTarget {
  const parsed = parseRedisUrl(url);
  if ('target' in parsed) return parsed.target;
  throw new Error(`the Redis URL ${parsed.problem}`);
}

/** Returns the target as a URL without user, password and TLS files. */
export function describeTarget({ servers, socketPath, db, tls, sentinel }: RedisTarget): string {
  if (socketPath !== null) return `unix://${socketPath.replace(/[%?#]/g, encodeURIComponent)}`;
  const hosts = servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
  const url = `${tls === null ? 'redis' : 'rediss'}://${hosts}${db === 0 ? '' : `/${db}`}`;
  return sentinel === null ? url : `${url} (sentinels of ${sentinel.masterName})`;
}

function parse(text: string, isSentinel: boolean): RedisTarget {
  if (/\p{Cc}/u.test(text)) throw new Problem('must not contain control characters or line breaks');
  const urls = text.split(BETWEEN_URLS).map((url) => url.trim().replace(/,$/, ''));
  if (urls.every((url) => url.replaceAll(',', '').trim() === '')) throw new Problem('must not be empty');
  const entries = urls.map((url, at) => parseEntry(url, isSentinel, urls.length > 1 ? ` (entry ${at + 1})` : ''));
  const [first] = entries as [RedisTarget];
  if (first.socketPath !== null && entries.length === 1) return first;
  for (const [at, { socketPath, tls }] of entries.entries()) {
    const where = ` (entry ${at + 1})`;
    if (socketPath !== null) throw new Problem(`cannot list a unix socket beside other servers${where}`);
    if ((tls === null) !== (first.tls === null))
      throw new Problem(`must be redis:// for all servers or rediss:// for all${where}`);
  }
  const withLogin = entries.filter(({ username, password }) => username !== null || password !== null);
  const { username = null, password = null } = withLogin[0] ?? {};
  if (withLogin.some((entry) => entry.username !== username || entry.password !== password))
    throw new Problem('must give all servers the same user and password: they are one installation');
  const db = entries.find((entry) => entry.db !== 0)?.db ?? 0;
  const known = new Set<string>();
  const servers = entries
    .flatMap((entry) => entry.servers)
    .filter(({ host, port }) => !known.has(`${host} ${port}`) && known.add(`${host} ${port}`));
  if (servers.length > 1 && db > 0 && !isSentinel) {
    const at = entries.findIndex((entry) => entry.db !== 0);
    throw new Problem(`may not name a database in a cluster (entry ${at + 1})`);
  }
  return { ...first, servers: Object.freeze(servers), username, password, db };
}

/** Parses one URL, which may name several servers after one login: `redis://user:pw@a:1,b:2`. */
function parseEntry(url: string, isSentinel: boolean, where: string): RedisTarget {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(url) ?? [];
  const kind = scheme.toLowerCase();
  if (kind.includes('sentinel'))
    throw new Problem(`must list the sentinels as redis:// or rediss://; name the primary in REDIS_SENTINEL_MASTER`);
  if (kind === 'unix') return parseSocket(rest, where);
  if (kind !== 'redis' && kind !== 'rediss') throw new Problem(`${SCHEMES}${where}`);

  // The last @ ends the login, because neither a host nor a database number contains one.
  const at = rest.lastIndexOf('@');
  const login = rest.slice(0, Math.max(at, 0));
  if (/@.*,/.test(login)) throw new Problem(`is ambiguous${where}: ${mustEncode('@')}, and ${mustEncode(',')}`);
  const [, hosts = '', path = '', extra = ''] = /^([^/?#]*)(\/[^?#]*)?([?#].*)?$/.exec(rest.slice(at + 1)) ?? [];
  if (extra !== '')
    throw new Problem(
      `must end after the database number${where}: remove the ${extra[0] === '?' ? 'query' : '#'} part`,
    );
  const [, digits = null] = /^\/?$|^\/(\d{1,5})$/.exec(path) ?? [undefined, undefined];
  if (path.length > 1 && digits === null)
    throw new Problem(`may name a database number after the host and nothing else${where}`);
  return {
    servers: hosts.split(',').map((host) => parseAddress(host.trim(), isSentinel ? SENTINEL_PORT : PORT, where)),
    socketPath: null,
    ...parseLogin(login, where),
    db: Number(digits ?? 0),
    tls: kind === 'rediss' ? ENCRYPTED : null,
    sentinel: null,
  };
}

function parseSocket(rest: string, where: string): RedisTarget {
  const at = rest.startsWith('/') ? -1 : rest.indexOf('@/');
  const path = rest.slice(at + 1);
  if (!path.startsWith('/'))
    throw new Problem(`must name the socket by its absolute path${where}: unix:///run/redis.sock`);
  if (/[?#]/.test(path)) throw new Problem(`must end after the path of the socket${where}: write ? as %3F, # as %23`);
  const socketPath = decoded(path, `path${where}`);
  const login = parseLogin(rest.slice(0, Math.max(at, 0)), where);
  return { servers: Object.freeze([]), socketPath, ...login, db: 0, tls: null, sentinel: null };
}

/** Everything after the first colon is the password. */
function parseLogin(login: string, where: string): Pick<RedisTarget, 'username' | 'password'> {
  const colon = login.indexOf(':');
  const [user, password] = colon < 0 ? [login, ''] : [login.slice(0, colon), login.slice(colon + 1)];
  return {
    username: user === '' ? null : decoded(user, `user${where}`),
    password: password === '' ? null : decoded(password, `password${where}`),
  };
}

/** A lone % is refused: nothing shows whether the other ones start a percent-encoded character. */
function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Problem(`has a % in its ${part} that starts no percent-encoded character: write it as %25`);
  }
}

function parseAddress(text: string, fallbackPort: number, where: string): RedisServerAddress {
  const [, v6, name, digits = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(text) ?? [];
  const isAddress = v6 !== undefined && /^[0-9a-f]*(:[0-9a-f.]*){2,8}(%25[\w.-]+|%[\w.-]+)?$/i.test(v6);
  const isName = name !== undefined && /^[A-Za-z0-9._-]{1,253}$/.test(name);
  if (name === '' || v6 === '') throw new Problem(`must name a host${where}`);
  if (!isAddress && !isName && text.split(':').length > 2 && /^[0-9a-f:.]+$/i.test(text))
    throw new Problem(`must have an IPv6 address in brackets${where}: redis://[::1]:6379`);
  if (!isAddress && !isName)
    throw new Problem(
      `must name a host of letters, digits, "." and "-", or an IPv6 address in brackets, and a port${where}`,
    );
  const port = digits === '' ? fallbackPort : Number(digits);
  if (port < 1 || port > 65_535) throw new Problem(`must have a port from 1 to 65535${where}`);
  return Object.freeze({ host: (v6 ?? name ?? '').replace('%25', '%'), port });
}
