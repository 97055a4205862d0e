/** Short shows through their whole life: what is left of them when they are deleted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyArchive } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import type { BenchEngine } from '../launch/engine.ts';
import type { Figure } from '../report/result.ts';
import { playShortShow } from '../users/short-show.ts';
import { checkOf, checkThat } from '../verdict/check.ts';
import { runFigures } from './figures.ts';
import { count, decimal } from './flags.ts';
import { defineLocal } from './local-load.ts';
import type { Target } from './target.ts';

const FLAGS = {
  shows: count(1_000, 'shows that are played', { max: 100_000 }),
  warmUp: count(100, 'shows before the first reading', { min: 0, max: 10_000 }),
  samples: count(10, 'samples of a reading, one each half second', { max: 1_000 }),
  atOnce: count(10, 'shows that are played at the same time', { max: 100 }),
  memoryGrowth: decimal(2, 'percent that the memory and the keys of Redis may grow', { min: 0, max: 1_000 }),
  heapGrowth: count(8, 'MiB that the memory of a process may grow, after full collections', { max: 10_000 }),
};

/** The job archives a show this long after its end, and deletes its keys as long after that. */
const RETENTION_MS = 1_000;
const POLL_MS = 500;
const END_MS_MAX = 15 * 60_000;

/** Redis, and the memory of each process after a full collection. */
interface Reading {
  readonly usedBytes: number;
  readonly keys: number;
  /** How many keys there are of each kind. */
  readonly kinds: ReadonlyMap<string, number>;
  readonly heapMiB: Readonly<Record<string, number>>;
  readonly residentMiB: Readonly<Record<string, number>>;
}

async function read(target: Target, engine: BenchEngine, samples: number): Promise<Reading> {
  const collected = await engine.collectAll();
  const heapMiB = Object.entries(collected).map(([name, of]) => [
    name,
    of === null ? Number.NaN : (of.heapBytes + of.externalBytes) / 2 ** 20,
  ]);
  const residentMiB = ((await target.read())?.processes ?? []).map(({ name, memoryBytes }) => [
    name,
    memoryBytes / 2 ** 20,
  ]);
  // Redis keeps the last 128 slow calls, and a busy machine makes any call slow.
  await engine.redis.admin.slowlog('RESET');
  let [usedBytes, keys] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  // Buffers of connections and running jobs come and go.
  for (let sample = 0; sample < samples; sample++) {
    await sleep(POLL_MS);
    const used = Number(/used_memory:(\d+)/.exec(await engine.redis.admin.info('memory'))?.[1]);
    usedBytes = Math.min(usedBytes, used);
    keys = Math.min(keys, (await keysOf(engine)).length);
  }
  const kinds = new Map<string, number>();
  for (const key of await keysOf(engine)) kinds.set(kindOf(key), (kinds.get(kindOf(key)) ?? 0) + 1);
  return { usedBytes, keys, kinds, heapMiB: Object.fromEntries(heapMiB), residentMiB: Object.fromEntries(residentMiB) };
}

const FINISHED_JOBS = 'stampede:{jobs}:clock:completed';
/** Keys that come and go: a lock of BullMQ, and one per process from its first report on. */
const PASSING = /:stalled-check$|:node:/;

async function keysOf({ redis }: BenchEngine): Promise<string[]> {
  return (await redis.admin.keys('*')).filter((key) => !PASSING.test(key));
}

function kindOf(key: string): string {
  const [prefix, scope = '', name = ''] = key.split(':');
  if (scope === '{jobs}') return 'jobs';
  return scope.startsWith('{') ? `${prefix}:{show}:${name}` : `${prefix}:${scope}`;
}

/** Returns the kinds that have more keys than before. */
function grownKinds(before: Reading, after: Reading): string {
  const grown = [...after.kinds].map(([kind, now]) => [kind, now - (before.kinds.get(kind) ?? 0)] as const);
  return grown.flatMap(([kind, by]) => (by > 0 ? [`${by} more of ${kind}`] : [])).join(', ');
}

/** Runs `work` for each show, some at a time. */
async function each(shows: readonly string[], atOnce: number, work: (show: string) => Promise<void>): Promise<void> {
  const queue = [...shows];
  const run = async (): Promise<void> => {
    for (let show = queue.shift(); show !== undefined; show = queue.shift()) await work(show);
  };
  await Promise.all(Array.from({ length: atOnce }, run));
}

async function until(isDone: () => Promise<boolean>, what: string, signal: AbortSignal): Promise<void> {
  const endMs = Date.now() + END_MS_MAX;
  while (!(await isDone())) {
    if (Date.now() > endMs) throw new Error(`${what} took more than ${END_MS_MAX / 60_000} minutes`);
    await sleep(POLL_MS, undefined, { signal });
  }
}

export const lifecycle = defineLocal({
  name: 'lifecycle',
  about: 'many short shows from their plan to their deletion: what is left in Redis and in the processes',
  flags: FLAGS,
  async measure({ flags, common, openTarget, display, signal }) {
    const folder = mkdtempSync(join(tmpdir(), 'stampede-lifecycle-'));
    try {
      const rate = '10000000';
      const env = { ARCHIVE_DIR: folder, HTTP_COMMANDS_PER_MINUTE: rate, HTTP_READS_PER_MINUTE: rate };
      if (common.url !== null) throw new Error('lifecycle deletes shows: it needs an engine of its run, without --url');
      const target = await openTarget({ jobs: true, env });
      const { engine, office } = target;
      if (engine === null || office === null) throw new Error('the engine has no control API');
      const { store, redis, token } = engine;
      const gatewayUrl = target.url;
      const options = { office, store, gatewayUrl, token, retentionMs: RETENTION_MS };
      // Otherwise Redis keeps statistics of 24 KB for each command, from its first use on.
      await redis.admin.config('SET', 'latency-tracking', 'no');
      const wrong: string[] = [];
      let orders = 0;
      let archivedOrders = 0;

      const play = (shows: readonly string[]): Promise<void> =>
        each(shows, flags.atOnce, async (show) => {
          signal.throwIfAborted();
          const made = await playShortShow(options, show);
          orders += made;
        });
      /** Waits until jobs have archived the shows and deleted their keys; proves the archives. */
      const finish = async (shows: readonly string[]): Promise<void> => {
        const pending = new Set(shows);
        await until(
          async () => {
            const listed = [...pending].slice(0, 500);
            const keys = await Promise.all(listed.map((show) => redis.admin.exists(`stampede:{${show}}:ledger`)));
            for (const [i, show] of listed.entries()) if (keys[i] === 0) pending.delete(show);
            return pending.size === 0;
          },
          'archiving',
          signal,
        );
        for (const show of shows) {
          const found = await verifyArchive(join(folder, show)).catch((error: Error) => {
            return { violations: [error.message], orders: 0 };
          });
          if (found.violations.length > 0) wrong.push(`${show}: ${found.violations[0]}`);
          archivedOrders += found.orders;
        }
      };
      const remove = async (shows: readonly string[]): Promise<void> => {
        await each(shows, flags.atOnce, async (show) => void (await office.deleteShow(show)));
        // A job that looked at a show while it was deleted looks again a minute later.
        await until(async () => (await redis.admin.zcard('stampede:retention')) === 0, 'forgetting', signal);
      };
      const named = (prefix: string, length: number): string[] =>
        Array.from({ length }, (_, i) => `${prefix}${String(i).padStart(6, '0')}`);

      display.phase('warming up');
      const first = named('w', flags.warmUp);
      await play(first);
      await finish(first);
      await remove(first);
      // The jobs keep the records of their last runs.
      const isFull = async (): Promise<boolean> => (await redis.admin.zcard(FINISHED_JOBS)) >= LIMITS.jobsKeptCompleted;
      await until(isFull, 'the first runs of the jobs', signal);
      const before = await read(target, engine, flags.samples);
      display.phase('playing');
      const startedMs = performance.now();
      const shows = named('s', flags.shows);
      await play(shows);
      const playedMs = performance.now() - startedMs;
      display.phase('archiving');
      await finish(shows);
      const archived = await read(target, engine, flags.samples);
      display.phase('deleting');
      await remove(shows);
      const after = await read(target, engine, flags.samples);
      return report(flags, { before, archived, after, playedMs, wrong, orders, archivedOrders });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
});

interface Lived {
  readonly before: Reading;
  readonly archived: Reading;
  readonly after: Reading;
  readonly playedMs: number;
  readonly wrong: readonly string[];
  readonly orders: number;
  readonly archivedOrders: number;
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(2)} MiB`;
const percent = (before: number, after: number): number => (100 * (after - before)) / before;

function report(
  { shows, memoryGrowth, heapGrowth }: { shows: number; memoryGrowth: number; heapGrowth: number },
  { before, archived, after, playedMs, wrong, orders, archivedOrders }: Lived,
) {
  const memory = percent(before.usedBytes, after.usedBytes);
  const keys = percent(before.keys, after.keys);
  const grown = Object.entries(after.heapMiB).map(([name, now]) => ({
    name,
    now,
    by: now - (before.heapMiB[name] ?? Number.NaN),
  }));
  const { lower, neither, higher } = runFigures;
  return {
    figures: [
      lower('memory of Redis, growth', '%', () => memory, `from ${mib(before.usedBytes)} to ${mib(after.usedBytes)}`),
      lower('keys of Redis, growth', '%', () => keys, `from ${before.keys} to ${after.keys}`),
      lower(
        'an archived show in Redis',
        'bytes',
        () => (archived.usedBytes - before.usedBytes) / shows,
        `of ${archived.keys - before.keys} keys: the header that the list of shows reads, until it is deleted`,
      ),
      ...grown.map(({ name, by }): Figure => lower(`${name}: memory, growth`, 'MiB', () => by, 'after a collection')),
      ...Object.entries(after.residentMiB).map(
        ([name, now]): Figure =>
          neither(`${name}: resident`, 'MiB', () => now, `${Math.round(before.residentMiB[name] ?? 0)} MiB before`),
      ),
      higher('shows played', '/s', () => (1000 * shows) / playedMs, 'with a sale, five viewers and their chat'),
    ],
    levels: [],
    checks: [
      checkOf('every archive verifies', 'I9', wrong, `${archivedOrders} orders`),
      checkThat('archives have every order', archivedOrders === orders, `${archivedOrders} of ${orders}`, 'I8'),
      checkThat(
        'the memory of Redis is where it began',
        memory <= memoryGrowth,
        `${memory.toFixed(2)} %, at most ${memoryGrowth} %: ${mib(before.usedBytes)}, then ${mib(after.usedBytes)}`,
        'I9',
      ),
      checkThat(
        'Redis has as many keys as it began with',
        keys <= memoryGrowth,
        `${before.keys}, then ${after.keys}; ${grownKinds(before, after)}`,
        'I9',
      ),
      ...grown.map(({ name, by, now }) =>
        checkThat(
          `flat memory: ${name}`,
          by <= heapGrowth,
          `${by.toFixed(1)} MiB more, at most ${heapGrowth}: ${now.toFixed(1)} MiB after a collection`,
        ),
      ),
    ],
  };
}
