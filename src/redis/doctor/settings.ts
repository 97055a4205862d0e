/** Checks of what a server reports: INFO and CONFIG GET. Pure; each function returns one check. */
import { type Check, failed, passed, skipped, warning } from '../../domain/checkup.ts';
import { counted, timeText } from '../../domain/counted.ts';
import type { RedisMemory } from '../../domain/health.ts';
import { LIMITS } from '../../limits.ts';
import type { Info } from '../facts.ts';
import { IS_REPLICA, NOEVICTION } from '../states.ts';

export interface ServerReport {
  readonly info: Info;
  /** Settings by name; null where CONFIG GET is refused. */
  readonly config: ReadonlyMap<string, string> | null;
  /** The forecast of memory.ts; null if the server does not report its memory. */
  readonly forecast: Pick<RedisMemory, 'fullInMs' | 'isMeasured'> | null;
}

/** Settings that the checks read. */
export const SETTINGS_READ = [
  'appendonly',
  'appendfsync',
  'save',
  'stop-writes-on-bgsave-error',
  'maxmemory-policy',
  'maxclients',
  'timeout',
  'tcp-keepalive',
  'client-output-buffer-limit',
  'min-replicas-to-write',
  'busy-reply-threshold',
  'latency-monitor-threshold',
] as const;

const MIB = 1024 * 1024;
const MEMORY_WARNING = 0.75;
const MEMORY_FULL = 0.95;
const DAY_MS = 86_400_000;
const FULL_SOON_MS = 3 * DAY_MS;
/** Without maxmemory: a snapshot may need as much again. */
const HOST_MEMORY_WARNING = 0.5;
/** Commands, subscriptions, and the connections of BullMQ in a process with all roles. */
export const CONNECTIONS_PER_PROCESS = 10;
const CLIENTS_WARNING = 0.8;
const IDLE_SECONDS_MIN = 60;
const RELAY_BUFFER_MIN = 8 * MIB;
const SCRIPT_MS_MIN = 1_000;
const FORK_MS_WARNING = 100;

const sized = (bytes: number): string =>
  bytes >= 1024 * MIB ? `${(bytes / (1024 * MIB)).toFixed(1)} GiB` : `${Math.round(bytes / MIB)} MiB`;
const numberIn = (info: Info, field: string): number | null => {
  const value = Number(info[field]);
  return info[field] === undefined || !Number.isFinite(value) ? null : value;
};

export function checkEviction({ info, config }: ServerReport): Check {
  const policy = config?.get('maxmemory-policy') ?? info.maxmemory_policy;
  if (policy === undefined)
    return warning(
      'eviction',
      'The server does not report its maxmemory-policy. If it evicts keys, books are deleted when memory is low.',
      'Look it up at the provider: it must be noeviction.',
    );
  if (policy === 'noeviction') return passed('eviction', 'maxmemory-policy is noeviction: no book is ever deleted.');
  return failed('eviction', `maxmemory-policy is ${policy}: Redis would delete books when memory is low.`, NOEVICTION);
}

export function checkPersistence({ info, config }: ServerReport): Check {
  const id = 'persistence';
  const isAppending = info.aof_enabled === undefined ? config?.get('appendonly') : info.aof_enabled === '1' && 'yes';
  if (info.aof_last_write_status !== undefined && info.aof_last_write_status !== 'ok')
    return failed(id, 'The last write of the append-only file failed.', 'Free space on the disk of Redis.');
  if (info.rdb_last_bgsave_status === 'err' && config?.get('stop-writes-on-bgsave-error') !== 'no')
    return failed(
      id,
      'The last snapshot (BGSAVE) failed, and Redis refuses writes until one succeeds (MISCONF).',
      'Free space on the disk of Redis and read its log.',
    );
  if (isAppending === undefined)
    return warning(
      id,
      'The server does not report whether it writes to a disk.',
      'Look up what the provider keeps after a restart and a failover: nothing newer survives.',
    );
  if (isAppending !== 'yes') return checkSnapshots(config);
  if (info.aof_last_bgrewrite_status === 'err')
    return warning(
      id,
      'The last rewrite of the append-only file failed: it grows.',
      'Free space on the disk of Redis.',
    );
  const mode = config?.get('appendfsync');
  if (mode === 'always') return passed(id, 'appendfsync always: a power cut loses nothing that was acknowledged.');
  if (mode === 'everysec') return passed(id, 'appendfsync everysec: a power cut can lose about one second.');
  if (mode === 'no')
    return warning(
      id,
      'appendfsync no: a power cut can lose what the operating system has not written, up to 30 seconds.',
      'Set appendfsync to everysec or always.',
    );
  return passed(id, 'The append-only file is on; appendfsync is not reported.');
}

function checkSnapshots(config: ServerReport['config']): Check {
  const isSaving = config !== null && (config.get('save') ?? '') !== '';
  const what = isSaving
    ? 'a restart of Redis loses everything since its last snapshot, which may be minutes'
    : 'a restart of Redis loses every show';
  return warning('persistence', `The append-only file is off: ${what}.`, 'Set appendonly yes, appendfsync everysec.');
}

export function checkReplication({ info, config }: ServerReport): Check {
  const id = 'replication';
  const role = info.role;
  if (role === undefined) return skipped(id, 'The server does not report its role.');
  if (role === 'slave') return failed(id, IS_REPLICA.reason, IS_REPLICA.remedy);
  const needed = Number(config?.get('min-replicas-to-write') ?? 0);
  const replicas = numberIn(info, 'connected_slaves') ?? 0;
  const good = numberIn(info, 'min_slaves_good_slaves') ?? replicas;
  if (needed > good)
    return failed(
      id,
      `min-replicas-to-write is ${needed}, and replicas connected: ${good}. Redis refuses writes (NOREPLICAS).`,
      'Check the replicas of this server.',
    );
  if (replicas === 0)
    return passed(id, 'Primary without replicas, so no failover: if its host is lost, nothing replaces it.');
  const loss = 'replication is asynchronous: a failover can lose the last acknowledged writes';
  return passed(id, `Primary; replicas connected: ${replicas}. Note: ${loss}.`);
}

function growthText({ fullInMs, isMeasured }: NonNullable<ServerReport['forecast']>): string {
  if (!isMeasured) return 'It was measured for less than an hour, so there is no forecast yet.';
  if (fullInMs === null) return 'It did not grow in the last week, or since it was measured first.';
  return `At the growth of the last week it is full in ${timeText(fullInMs)}.`;
}

export function checkMemory({ info, forecast }: ServerReport): Check {
  const id = 'memory';
  const used = numberIn(info, 'used_memory');
  if (used === null) return skipped(id, 'The server does not report its memory.');
  const max = numberIn(info, 'maxmemory') ?? 0;
  const host = numberIn(info, 'total_system_memory') ?? 0;
  if (max > 0) {
    const fullInMs = forecast?.fullInMs ?? null;
    const growth = forecast === null ? '' : ` ${growthText(forecast)}`;
    const found = `${sized(used)} of maxmemory ${sized(max)} are used.${growth}`;
    const remedy = 'Raise maxmemory or delete other data. At the limit every reserve is refused as redis_full.';
    if (used >= max * MEMORY_FULL) return failed(id, found, remedy);
    const isSoon = fullInMs !== null && fullInMs < FULL_SOON_MS;
    return isSoon || used >= max * MEMORY_WARNING ? warning(id, found, remedy) : passed(id, found);
  }
  const found = `${sized(used)} are used, without maxmemory${host > 0 ? `; the host has ${sized(host)}` : ''}.`;
  if (host === 0 || used < host * HOST_MEMORY_WARNING) return passed(id, found);
  return warning(
    id,
    found,
    'Set maxmemory below the memory of the host: a snapshot may need as much again, and the kernel ends Redis.',
  );
}

export function checkClients({ info, config }: ServerReport, processes: number): Check {
  const id = 'clients';
  const max = numberIn(info, 'maxclients') ?? Number(config?.get('maxclients') ?? 0);
  const connected = numberIn(info, 'connected_clients');
  if (!max || connected === null) return skipped(id, 'The server does not report its number of connections.');
  const needed = processes * CONNECTIONS_PER_PROCESS;
  const found = `Connections in use: ${connected} of ${max}; this installation needs about ${needed} per host.`;
  const remedy = 'Raise maxclients, and the file descriptor limit of Redis.';
  if (connected + needed > max) return failed(id, found, remedy);
  if (connected + needed > max * CLIENTS_WARNING) return warning(id, found, remedy);
  const rejected = numberIn(info, 'rejected_connections') ?? 0;
  if (rejected === 0) return passed(id, found);
  return warning(id, `${found} Since the server started it refused ${counted(rejected, 'connection')}.`, remedy);
}

export function checkTimeouts({ config }: ServerReport): Check {
  const id = 'timeouts';
  if (config === null) return skipped(id, 'Redis refuses CONFIG GET.');
  const idle = Number(config.get('timeout') ?? 0);
  if (idle > 0 && idle < IDLE_SECONDS_MIN)
    return warning(
      id,
      `timeout is ${idle}: Redis closes connections that are idle for so many seconds.`,
      `Set timeout to 0, or at least ${IDLE_SECONDS_MIN}.`,
    );
  const scriptMs = Number(config.get('busy-reply-threshold') ?? SCRIPT_MS_MIN);
  if (scriptMs > 0 && scriptMs < SCRIPT_MS_MIN)
    return warning(
      id,
      `busy-reply-threshold is ${scriptMs} ms: a slow script makes Redis refuse every command (BUSY).`,
      'Set it to 5000, the default.',
    );
  if (config.get('tcp-keepalive') === '0')
    return warning(id, 'tcp-keepalive is 0: connections of lost hosts stay open.', 'Set tcp-keepalive to 300.');
  return passed(id, 'Idle connections stay open, dead ones are closed.');
}

/** `pubsub <hard bytes> <soft bytes> <seconds>` in `client-output-buffer-limit`. */
export function checkRelayBuffer({ config }: ServerReport): Check {
  const id = 'relay-buffer';
  const words = config?.get('client-output-buffer-limit')?.split(' ') ?? [];
  const at = words.indexOf('pubsub');
  if (at < 0) return skipped(id, 'The server does not report client-output-buffer-limit.');
  const [hard = 0, soft = 0, seconds = 0] = words.slice(at + 1, at + 4).map(Number);
  const limit = (bytes: number): string => (bytes === 0 ? 'none' : sized(bytes));
  const found = `Redis disconnects a subscriber above ${limit(hard)} unread, or ${limit(soft)} for ${seconds} s.`;
  const isSmall = (hard > 0 && hard < RELAY_BUFFER_MIN) || (soft > 0 && soft < LIMITS.chatBatchBytesMax * 16);
  if (!isSmall) return passed(id, found);
  return warning(
    id,
    `${found} Redis disconnects gateways in a busy show, and all of their viewers get snapshots.`,
    'Set client-output-buffer-limit pubsub to 33554432 8388608 60, the default.',
  );
}

export function checkForks({ info }: ServerReport): Check {
  const forkMs = (numberIn(info, 'latest_fork_usec') ?? 0) / 1000;
  if (forkMs < FORK_MS_WARNING) return passed('forks', `The last fork took ${Math.round(forkMs)} ms.`);
  return warning(
    'forks',
    `The last fork (snapshot or rewrite) stopped Redis for ${Math.round(forkMs)} ms: every request waited.`,
    'Disable transparent huge pages on the host of Redis, or take snapshots on a replica.',
  );
}
