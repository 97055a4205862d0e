/** What is known about the Redis of the engine: its clock, its state, and what it allows. */
import type { Result } from '../protocol/codes.ts';

export type Durability = 'memory' | 'everysec' | 'always' | 'unknown';

/** There is no connection, and Redis may be back within seconds. */
export const REDIS_AWAY_STATES = [
  'connecting',
  'refused',
  'unknown_host',
  'unreachable',
  'socket_missing',
  'silent',
  'lost',
  'sentinel_unreachable',
] as const;

/** Every reason why Redis cannot be used. `src/redis/states.ts` maps errors to them. */
export const REDIS_STATES = [
  ...REDIS_AWAY_STATES,
  // No connection, until a setting is corrected.
  'not_redis',
  'tls_untrusted',
  'tls_mismatch',
  'unknown_master',
  // Redis refuses this client.
  'wrong_password',
  'no_permission',
  'protected_mode',
  'too_many_clients',
  'wrong_db',
  // Redis cannot work at present.
  'loading',
  'busy',
  'replica',
  'master_down',
  'too_few_replicas',
  'disk_failing',
  'full',
  'cluster_incomplete',
  // This server or its settings do not fit.
  'evicting',
  'too_old',
  'missing_command',
  'not_cluster',
  'no_relay',
  'other_relay',
  'failed',
] as const;
export type RedisState = (typeof REDIS_STATES)[number];

/** Why Redis cannot be used. Contains no secrets. */
export interface RedisTrouble {
  readonly state: RedisState;
  /** What happened, in one sentence with Redis's own word, such as WRONGPASS. */
  readonly reason: string;
  /** What to do, in one or two sentences. */
  readonly remedy: string;
}

export const troubleText = ({ reason, remedy }: RedisTrouble): string => `${reason} ${remedy}`;

/** What this Redis allows, found by trying once per connection. */
export interface RedisCapabilities {
  /** Name and version of the server, for example `Redis 7.0.15`. */
  readonly server: string;
  readonly isCluster: boolean;
  /** How a restart is noticed: by the run id in INFO, or by a key that does not survive one. */
  readonly identity: 'info' | 'key';
  readonly scripts: 'functions' | 'eval';
  readonly publish: 'sharded' | 'classic';
  readonly durability: Durability;
  /** Null where Redis does not report it. */
  readonly evictionPolicy: string | null;
}

export interface RedisMemory {
  readonly usedBytes: number;
  /** `maxmemory`; 0 = no limit. */
  readonly maxBytes: number;
  /**
   * In how many milliseconds Redis is full, at the growth of the last seven days or since the first
   * sample. Null without a limit, without growth, or in the first hour.
   */
  readonly fullInMs: number | null;
  /** The growth of an hour or more is known. */
  readonly isMeasured: boolean;
}

/** How much memory the embedded Redis may use: a number of bytes, or a share of this machine. */
export type MemorySize = { readonly bytes: number } | { readonly share: number };

export interface Health {
  /** Redis time in Unix milliseconds, from a monotonic local clock and a measured offset. */
  now(): number;
  /** The largest error of `now()`. Grows with the age of the clock samples. */
  nowErrorMs(): number;
  /** How often the clock of Redis was stepped while this process used it. */
  clockSteps(): number;
  /** null while Redis can be used; otherwise why not, and what to do. */
  trouble(): RedisTrouble | null;
  /** As `trouble()`, but null while commands are still sent because some of them succeed. */
  refusal(): RedisTrouble | null;
  /** Calls back at each change of `trouble()`, until the returned function is called. */
  watchTrouble(listener: (trouble: RedisTrouble | null) => void): () => void;
  /** Resolves when Redis can be used for the first time. */
  ready(): Promise<void>;
  /** null until Redis was usable once. Kept while it is away. */
  redisCapabilities(): RedisCapabilities | null;
  /** As read at the last call. null until known, and without permission for INFO. */
  memory(): RedisMemory | null;
  /** Resolves when `memory()` is a few seconds old at most, if Redis can be asked. */
  refreshMemory(): Promise<void>;
  durability(): Durability;
  /** Run id of the Redis server; epochs change with it. Null until known, and in a cluster. */
  runId(): string | null;
  /** If Redis refused a command of another client, examines the permissions. */
  noteRefusal(error: unknown): void;
  ping(): Promise<Result<{ roundTripMs: number }>>;
}
