/**
 * The end of a large show: archives it, and moves it to a second Redis by export and import. Each
 * step is measured: seconds, the longest call of Redis (SLOWLOG), and CPU.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createArchives, exportShow, importShow, verifyArchive } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Result } from '../../src/protocol/codes.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { median } from '../generator/median.ts';
import { cpuSecondsOf } from '../launch/cpu.ts';
import { createHotSale, HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';
import { type RedisServer, startBenchRedis } from '../launch/redis-server.ts';
import { whole } from '../verdict/check.ts';
import { atMost } from '../verdict/levels.ts';
import { runFigures } from './figures.ts';
import { count } from './flags.ts';
import { defineLocal, inMs } from './local-load.ts';
import { verifyBooks } from './reserve-store.ts';

const SHOW = 'large';
const SECONDS_MAX = 20;
const CALL_MS_MAX = 5;
const IN_FLIGHT = 4;
/** Of ten reservations, the others are released. */
const ORDERS_OF_TEN = 7;
const STEPS = ['archive', 'export', 'import'] as const;
const inSeconds = (seconds: number): string => `${seconds.toFixed(1)} s`;
type Step = (typeof STEPS)[number];
type Round = Record<Step | 'made', Measured>;

interface Measured {
  readonly isPreferred: boolean;
  readonly seconds: number;
  readonly longestMs: number;
  readonly longest: string;
  readonly cpuSeconds: number;
  readonly redisCpuSeconds: number;
}

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** Runs `work` with several calls in flight, until it has run `times`. */
async function inFlight(times: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < times) await work(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT * 8 }, run));
}

/**
 * SLOWLOG measures wall time, so a program that interrupts Redis makes its calls longer. Gives the
 * main thread of Redis a real-time priority. Returns whether that was permitted.
 */
function preferred(pid: number, isPreferred: boolean): boolean {
  const policy = isPreferred ? ['--fifo', '--pid', '1'] : ['--other', '--pid', '0'];
  return spawnSync('chrt', [...policy, String(pid)]).status === 0;
}

/** Makes an ended show: each buyer reserves one unit, which becomes an order or is released. */
async function makeShow(store: ConnectedStore, reservations: number): Promise<void> {
  await createHotSale(store, { show: SHOW, units: reservations });
  const press = { key: 'press-1', sale: HOT_SALE, lines: [{ sku: HOT_SKU, qty: 1 }] };
  const batch = LIMITS.reserveBatchMax;
  await inFlight(Math.ceil(reservations / batch), async (n) => {
    const users = Array.from({ length: Math.min(batch, reservations - n * batch) }, (_, i) => n * batch + i);
    const held = await store.reserve(
      SHOW,
      users.map((i) => ({ user: `buyer-${i}`, ...press })),
    );
    for (const [at, decision] of held.entries()) {
      const { id, amount, user } = unwrap(decision).reservation;
      const isOrder = (users[at] ?? 0) % 10 < ORDERS_OF_TEN;
      const done = isOrder
        ? await store.confirm(SHOW, { reservation: id, orderRef: `order-${id}`, amount }, { key: id, actor: 'bench' })
        : await store.release(SHOW, id, { key: id, actor: `user:${user}`, user });
      unwrap(done);
    }
  });
  unwrap(await store.endShow(SHOW, 'bench'));
}

/** Calls of Redis that took a millisecond or more are recorded. */
async function watchCalls({ admin }: RedisServer): Promise<() => Promise<Pick<Measured, 'longestMs' | 'longest'>>> {
  await admin.config('SET', 'slowlog-log-slower-than', '1000', 'slowlog-max-len', '10000');
  await admin.call('SLOWLOG', 'RESET');
  return async () => {
    const found = (await admin.call('SLOWLOG', 'GET', '-1')) as Array<[number, number, number, string[]]>;
    // Emptying the log of the step before takes milliseconds, too.
    const entries = found.filter(([, , , [command]]) => command !== 'SLOWLOG');
    const [first] = entries.sort(([, , a], [, , b]) => b - a);
    if (first === undefined) return { longestMs: 1, longest: '1 ms or less' };
    const [, , micros, [command, script = '']] = first;
    return { longestMs: micros / 1_000, longest: `${command} ${script.slice(0, 40)}, ${entries.length} above 1 ms` };
  };
}

async function measured(redis: RedisServer, work: () => Promise<unknown>, prefers = true): Promise<Measured> {
  const isPreferred = prefers && preferred(redis.pid, true);
  const longest = await watchCalls(redis);
  const [redisBefore, before, startedMs] = [cpuSecondsOf(redis.pid), process.cpuUsage(), performance.now()];
  await work();
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  const redisCpuSeconds = cpuSecondsOf(redis.pid) - redisBefore;
  const calls = await longest();
  if (isPreferred) preferred(redis.pid, false);
  return { isPreferred, seconds, ...calls, cpuSeconds: (user + system) / 1e6, redisCpuSeconds };
}

async function runOnce(from: RedisServer, to: RedisServer, reservations: number, folder: string) {
  const [old, next] = [await connectStore({ redis: from.target }), await connectStore({ redis: to.target })];
  const path = join(folder, 'show.jsonl.gz');
  try {
    // Its calls are short, so the longest of them shows what this machine adds without a priority,
    // which would end at 95 % of a core.
    const made = await measured(from, () => makeShow(old, reservations), false);
    const exported = await measured(from, async () => unwrap(await exportShow({ store: old, path }, SHOW, 'bench')));
    const imported = await measured(to, async () => unwrap(await importShow({ store: next, path })));
    await verifyBooks(next, SHOW);
    const archives = createArchives({
      ...{ store: old, folder: join(folder, 'archive'), retentionMs: 0, version: 'bench' },
      ...{
        prepareFolder: (at: string) => mkdirSync(at, { recursive: true }),
        logger: createLogger({ level: 'silent' }),
      },
    });
    const archived = await measured(from, async () => unwrap(await archives.archive(SHOW)));
    const { violations, reservations: found } = await verifyArchive(join(folder, 'archive', SHOW));
    if (violations.length > 0 || found !== reservations) throw new Error(`the archive is wrong: ${violations[0]}`);
    return { made, archive: archived, export: exported, import: imported } satisfies Round;
  } finally {
    await Promise.all([old.close(), next.close()]);
    await Promise.all([from, to].map(({ admin }) => admin.flushall()));
    rmSync(folder, { recursive: true, force: true });
  }
}

export const archive = defineLocal({
  name: 'archive',
  about: 'archives a large show, exports it, and imports it to a second Redis: seconds, longest call, CPU',
  flags: { reservations: count(100_000, 'reservations of the show', { max: 5_000_000 }) },
  async measure({ flags: { reservations }, common }) {
    const start = () => startBenchRedis(common.append, { undisturbed: true });
    const servers = [await start(), await start()] as const;
    const rounds: Round[] = [];
    try {
      for (let round = 0; round < common.rounds; round++)
        rounds.push(await runOnce(...servers, reservations, mkdtempSync(join(tmpdir(), 'stampede-archive-'))));
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
    const of = (step: Step | 'made', field: Exclude<keyof Measured, 'longest' | 'isPreferred'>): number =>
      median(rounds.map((round) => round[step][field]));
    const secondsOf = (...steps: Step[]): number =>
      median(rounds.map((round) => steps.reduce((sum, step) => sum + round[step].seconds, 0)));
    const restored = secondsOf('archive', 'import');
    const moved = secondsOf('export', 'import');
    const longest = Math.max(...STEPS.map((step) => of(step, 'longestMs')));
    const { lower, neither } = runFigures;
    const about = `${whole(reservations)} reservations`;
    return {
      figures: [
        lower('archive and import', 's', () => restored, about),
        lower('export and import', 's', () => moved, about),
        lower(
          'longest call of Redis',
          'ms',
          () => longest,
          rounds.every((round) => STEPS.every((step) => round[step].isPreferred))
            ? 'by SLOWLOG; Redis has a real-time priority'
            : 'by SLOWLOG; it includes programs that interrupt Redis',
        ),
        neither(
          'longest reserve or confirm',
          'ms',
          () => of('made', 'longestMs'),
          'while the show was made, to compare',
        ),
        ...STEPS.flatMap((step) => [
          lower(step, 's', () => of(step, 'seconds'), about),
          lower(`${step}: longest call`, 'ms', () => of(step, 'longestMs'), rounds.at(-1)?.[step].longest ?? ''),
          lower(`${step}: CPU`, 's', () => of(step, 'cpuSeconds'), 'of the engine'),
          lower(`${step}: CPU of Redis`, 's', () => of(step, 'redisCpuSeconds'), about),
        ]),
      ],
      levels: [
        atMost('archive and import', SECONDS_MAX, restored, inSeconds),
        atMost('export and import', SECONDS_MAX, moved, inSeconds),
        atMost('longest call of Redis', CALL_MS_MAX, longest, inMs),
      ],
    };
  },
});
