/**
 * What a Redis server says about itself: version, role, settings, and which process it is. INFO
 * says all of it. A user without INFO gets a part from HELLO; a key then identifies the process.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Durability } from '../domain/health.ts';
import { writeIfFull } from './full.ts';
import { isRefused } from './states.ts';

export interface ServerFacts {
  /** For example `Redis`, `Valkey` or `Dragonfly`. */
  readonly name: string;
  /** The version of Redis that it is compatible with. */
  readonly version: string;
  readonly label: string;
  readonly isReplica: boolean;
  readonly isCluster: boolean;
  /** null where it is not reported. */
  readonly evictionPolicy: string | null;
  readonly hasAppendOnlyFile: boolean | null;
  /** Differs after each restart and each promotion of a replica. null: see `keyIdentity`. */
  readonly identity: string | null;
}

export type Info = Readonly<Record<string, string>>;

export function parseInfo(text: string): Info {
  const fields = text.split('\r\n').filter((line) => line.includes(':') && !line.startsWith('#'));
  return Object.fromEntries(
    fields.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** Forks of Redis report the version that they are compatible with as `redis_version`. */
const FORKS: ReadonlyArray<readonly [name: string, field: string]> = [
  ['Valkey', 'valkey_version'],
  ['Dragonfly', 'dragonfly_version'],
  ['KeyDB', 'keydb_version'],
];

/**
 * A process that was a replica and was promoted continues with the data of another one, perhaps
 * without its last writes. `master_replid2` is the history that it continued.
 */
export function identityOf({ run_id, master_replid2, second_repl_offset = '-1' }: Info): string | null {
  if (!run_id) return null;
  return second_repl_offset === '-1' || !master_replid2 ? run_id : `${run_id}.${master_replid2.slice(0, 8)}`;
}

function factsOfInfo(info: Info): ServerFacts {
  const { redis_version: version = '0', role = '', maxmemory_policy: evictionPolicy = null } = info;
  const fork = FORKS.find(([, field]) => info[field] !== undefined);
  const [name, ownVersion] = fork ? [fork[0], info[fork[1]]?.replace(/^[a-z-]*v/, '')] : ['Redis', version];
  return {
    name,
    version,
    label: `${name} ${ownVersion}`,
    isReplica: role === 'slave' || role === 'replica',
    isCluster: info.redis_mode === 'cluster' || info.cluster_enabled === '1',
    evictionPolicy,
    hasAppendOnlyFile: info.aof_enabled === undefined ? null : info.aof_enabled === '1',
    identity: identityOf(info),
  };
}

async function factsOfHello(server: Redis): Promise<ServerFacts> {
  const reply = (await server.call('HELLO')) as unknown[];
  const field = (name: string): string => String(reply[reply.indexOf(name) + 1]);
  const [given, version] = [field('server'), field('version')];
  const name = given.charAt(0).toUpperCase() + given.slice(1);
  return {
    name,
    version,
    label: `${name} ${version}`,
    isReplica: field('role') === 'replica' || field('role') === 'slave',
    isCluster: field('mode') === 'cluster',
    evictionPolicy: null,
    hasAppendOnlyFile: null,
    identity: null,
  };
}

export async function readFacts(server: Redis): Promise<ServerFacts> {
  try {
    return factsOfInfo(parseInfo(await server.info()));
  } catch (error) {
    if (!isRefused(error)) throw error;
    return factsOfHello(server);
  }
}

/** Returns role and identity, which may change while the connection stays open. */
export async function readRole(server: Redis, hasInfo: boolean): Promise<Pick<ServerFacts, 'isReplica' | 'identity'>> {
  if (!hasInfo) return factsOfHello(server);
  const text = (await server.call('INFO', 'server', 'replication')) as string;
  return factsOfInfo(parseInfo(text));
}

const tokenScript = (id: string): string => `return '${id}'`;
const ID = /^[0-9a-f]{40}$/;
const ATTEMPTS_MAX = 5;

/**
 * Identifies a server without INFO: the random id in `key` holds as long as the server has the
 * script that returns it. Redis neither stores nor replicates scripts, so after a restart or a
 * failover there is another id, also if the key survived. All nodes read the same key.
 */
export async function keyIdentity(server: Redis, key: string): Promise<string> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const id = await server.get(key);
    if (id !== null && ID.test(id)) {
      const sha = createHash('sha1').update(tokenScript(id)).digest('hex');
      const [isKnown] = (await server.script('EXISTS', sha)) as number[];
      if (isKnown === 1) return id;
    }
    // Loaded first: the other nodes may read the key at once.
    const own = randomBytes(20).toString('hex');
    await server.script('LOAD', tokenScript(own));
    await writeIfFull(server, 'SET', key, own);
  }
  throw new Error(`other nodes replace ${key} all the time`);
}

/** Returns how the server writes to its disk, as far as this user may know. */
export async function readDurability(server: Redis, hasAppendOnlyFile: boolean | null): Promise<Durability> {
  const setting = async (name: string): Promise<string | undefined> =>
    ((await server.config('GET', name)) as string[])[1];
  try {
    if (!(hasAppendOnlyFile ?? (await setting('appendonly')) === 'yes')) return 'memory';
    const mode = await setting('appendfsync');
    return mode === 'always' || mode === 'everysec' ? mode : 'memory';
  } catch {
    return 'unknown'; // managed Redis may forbid CONFIG
  }
}
