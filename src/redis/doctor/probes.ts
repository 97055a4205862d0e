/** Checks that measure a server or look at its keys, bounded in time. Nothing is written. */
import type { Redis } from 'ioredis';
import { type Check, failed, passed, skipped, warning } from '../../domain/checkup.ts';
import { counted } from '../../domain/counted.ts';
import type { RedisClient } from '../client.ts';
import { clockServers, RedisClock } from '../clock.ts';
import { parseInfo } from '../facts.ts';
import type { Keys } from '../keys.ts';
import { sizeOfShow } from '../show-size.ts';
import { isRefused, troubleOf, wordsOf } from '../states.ts';

const PINGS = 200;
const PINGS_MS_MAX = 1_000;
const P99_MS_WARNING = 10;
const OFFSET_MS_WARNING = 1_000;
const CLOCK_ERROR_MS_WARNING = 50;
const SLOW_COMMAND_MS = 50;
const SLOW_SECONDS = 24 * 60 * 60;
const LATENCY_MS_WARNING = 100;
const SCANS_MAX = 10;
const SCAN_COUNT = 500;
const NAMED_MAX = 5;
const SHOWS_MEASURED = 20;

const round = (ms: number): string => (ms < 10 ? ms.toFixed(2) : Math.round(ms).toString());

/** Runs a check; a refusal by Redis, or a command that it does not know, skips it. */
export async function unlessRefused(id: string, check: () => Promise<Check>): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    if (isRefused(error)) return skipped(id, `Redis refused a command of this check (${wordsOf(error)}).`);
    const { reason, remedy } = troubleOf(error);
    return failed(id, reason, remedy);
  }
}

/** Returns the round trips in milliseconds, sorted. */
export async function measureRoundTrips(server: Redis): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + PINGS_MS_MAX;
  while (times.length < PINGS && performance.now() < until) {
    const sent = performance.now();
    await server.ping();
    times.push(performance.now() - sent);
  }
  return times.sort((a, b) => a - b);
}

export const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;

export async function checkRoundTrip(server: Redis): Promise<Check> {
  const times = await measureRoundTrips(server);
  const [median, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
  const found = `${counted(times.length, 'ping')}: median ${round(median)} ms, 99th percentile ${round(p99)} ms.`;
  if (p99 < P99_MS_WARNING) return passed('round-trip', found);
  return warning(
    'round-trip',
    `${found} A reserve waits for one or two of them.`,
    'Run Stampede in the same zone as Redis, and look for a busy host, network or script.',
  );
}

/** Compares the clock of Redis with this host; in a cluster also the masters with each other. */
export async function checkClock(client: RedisClient): Promise<Check> {
  let stepMs = 0;
  const clock = new RedisClock(() => clockServers(client), {
    onStep: (ms) => {
      stepMs = ms;
    },
  });
  await clock.restart();
  await clock.sample();
  clock.stop();
  const offsetMs = clock.now() - Date.now();
  const errorMs = clock.errorMs();
  if (!Number.isFinite(errorMs)) return skipped('clock', 'TIME had no reply.');
  const [ahead, error] = [`${round(Math.abs(offsetMs))} ms ${offsetMs < 0 ? 'behind' : 'ahead of'}`, round(errorMs)];
  const found = `The clock of Redis is ${ahead} this host (± ${error} ms).`;
  if (stepMs !== 0)
    return warning(
      'clock',
      `The clock of Redis was stepped by ${Math.round(stepMs)} ms during this check. Sales open and holds end by it.`,
      'Let chrony or another time service slew the clock instead of setting it.',
    );
  if (errorMs > CLOCK_ERROR_MS_WARNING)
    return warning(
      'clock',
      `${found} The round trip is slow, or the masters of the cluster have different clocks.`,
      'Synchronize the clocks of all servers (NTP): each show follows the clock of its master.',
    );
  if (Math.abs(offsetMs) < OFFSET_MS_WARNING) return passed('clock', found);
  return warning('clock', `${found} Sales open and holds end by the clock of Redis.`, 'Synchronize both clocks (NTP).');
}

/** Slow commands and latency events stop every request. Arguments are not shown. */
export async function checkSlowCommands(server: Redis): Promise<Check> {
  const id = 'slow-commands';
  const entries = (await server.slowlog('GET', 128)) as Array<[number, number, number, string[]]>;
  const [seconds] = (await server.time()) as [number | string, number | string];
  const recent = entries.filter(([, at, micros]) => {
    return micros >= SLOW_COMMAND_MS * 1000 && at > Number(seconds) - SLOW_SECONDS;
  });
  const events = (await server.call('LATENCY', 'LATEST').catch(() => [])) as Array<[string, number, number, number]>;
  const spikes = events.filter(([, at, ms]) => ms >= LATENCY_MS_WARNING && at > Number(seconds) - SLOW_SECONDS);
  if (recent.length + spikes.length === 0) return passed(id, `No command took ${SLOW_COMMAND_MS} ms in a day.`);
  const names = [...new Set(recent.map(([, , , [name = '']]) => name.toUpperCase()))].slice(0, NAMED_MAX);
  const slowest = Math.max(...recent.map(([, , micros]) => micros / 1000), ...spikes.map(([, , ms]) => ms));
  const what = [...names, ...spikes.map(([event]) => `event ${event}`)].join(', ');
  return warning(
    id,
    `In the last day Redis stopped for up to ${round(slowest)} ms (${what}). Every request waited.`,
    'SLOWLOG GET shows the commands. Give other programs another Redis; check its disk and host.',
  );
}

export async function checkCluster(server: Redis): Promise<Check> {
  const id = 'cluster';
  const info = parseInfo(String(await server.call('CLUSTER', 'INFO')));
  const slots = (await server.call('CLUSTER', 'SLOTS')) as Array<[number, number, ...unknown[]]>;
  const served = slots.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const found = `${counted(info.cluster_size ?? '?', 'master')}; slots that have one: ${served} of 16384.`;
  if (served < 16_384 || info.cluster_state !== 'ok' || Number(info.cluster_slots_fail ?? 0) > 0)
    return failed(
      id,
      `${found} Shows in other slots cannot be reached.`,
      'Check CLUSTER NODES; redis-cli --cluster fix.',
    );
  const lonely = slots.filter((range) => range.length < 4).length;
  if (lonely === 0) return passed(id, `${found} Each has a replica. A show uses one slot, so one core.`);
  return warning(
    id,
    `${found} Ranges of slots without a replica: ${lonely}. If their master is lost, so are their shows.`,
    'Add a replica to each master.',
  );
}

interface KeySample {
  readonly seen: number;
  readonly own: number;
  readonly foreign: ReadonlyMap<string, number>;
  readonly installations: ReadonlySet<string>;
}

async function sampleKeys(servers: readonly Redis[], keyPrefix: string): Promise<KeySample> {
  const foreign = new Map<string, number>();
  const installations = new Set<string>();
  let [seen, own] = [0, 0];
  for (const server of servers) {
    let cursor = '0';
    for (let i = 0; i < SCANS_MAX; i++) {
      const [next, keys] = await server.scan(cursor, 'COUNT', SCAN_COUNT);
      cursor = next;
      seen += keys.length;
      for (const key of keys) {
        const [, prefix] = /^([^{}]*)\{[^}]+\}:(?:ledger|stock|idem)$/.exec(key) ?? [];
        const [name = ''] = /^\{[^}]*\}|^[^:{]*/.exec(key) ?? [];
        if (key.startsWith(keyPrefix)) own++;
        else if (prefix !== undefined) installations.add(prefix);
        else foreign.set(name, (foreign.get(name) ?? 0) + 1);
      }
      if (cursor === '0') break;
    }
  }
  return { seen, own, foreign, installations };
}

/** Looks at some thousand keys: whether other programs or installations share this Redis. */
export async function checkKeys(servers: readonly Redis[], keyPrefix: string, db: number): Promise<Check> {
  const sizes = await Promise.all(servers.map((server) => server.dbsize()));
  const size = sizes.reduce((sum, count) => sum + count, 0);
  const { seen, own, foreign, installations } = await sampleKeys(servers, keyPrefix);
  const sample = seen < size ? ` (of ${seen} that were looked at)` : '';
  const found = `Database ${db} has ${counted(size, 'key')}, ${own} under KEY_PREFIX ${keyPrefix}${sample}.`;
  if (installations.size > 0)
    return warning(
      'keys',
      `${found} Other installations of Stampede are there under ${[...installations].slice(0, NAMED_MAX).join(', ')}.`,
      'If one of them is meant, set KEY_PREFIX to it. Otherwise they compete for one core and one memory.',
    );
  if (foreign.size === 0) return passed('keys', found);
  // A queue of jobs has one prefix since 0.2.0.
  const oldJobs = `{${keyPrefix}jobs}`;
  if (foreign.size === 1 && foreign.has(oldJobs))
    return warning(
      'keys',
      `${found} ${foreign.get(oldJobs)} are of jobs of release 0.1.0.`,
      'Delete them when no process of 0.1.0 runs (CHANGELOG.md, "Upgrading from 0.1.0").',
    );
  const names = [...foreign].sort(([, a], [, b]) => b - a).slice(0, NAMED_MAX);
  return warning(
    'keys',
    `${found} Other programs use it too (${names.map(([name, count]) => `${name}: ${count}`).join(', ')}).`,
    'Use a separate Redis for Stampede. Another program can stop a show with KEYS or FLUSHALL, or by filling ' +
      'the memory.',
  );
}

/** Names the largest of the newest shows; older ones are usually archived. */
export async function checkShows(client: RedisClient, keys: Keys): Promise<Check> {
  const ids = await client.zrange(keys.shows, 0, String(SHOWS_MEASURED - 1), 'REV');
  let largest: { id: string; bytes: number } | null = null;
  for (const id of ids) {
    const { redisBytes } = await sizeOfShow(client, keys, id);
    if (redisBytes === null) return skipped('shows', 'Redis refused MEMORY USAGE, so the size of shows is unknown.');
    if (largest === null || redisBytes > largest.bytes) largest = { id, bytes: redisBytes };
  }
  if (largest === null) return passed('shows', 'There are no shows under this KEY_PREFIX.');
  const kib = Math.ceil(largest.bytes / 1024);
  const size = kib < 1024 ? `${kib} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
  const found = ids.length === 1 ? 'The only show' : `The largest of the newest ${ids.length} shows`;
  return passed('shows', `${found}, ${largest.id}, takes about ${size}.`);
}
