/** Decisions per second at store level: batches against single calls, many calls in flight. */
import { LIMITS } from '../../src/limits.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { median } from '../generator/median.ts';
import { cpuSecondsOf } from '../launch/cpu.ts';
import { createHotSale, HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';
import { type RedisServer, startBenchRedis } from '../launch/redis-server.ts';
import { atLeast } from '../verdict/levels.ts';
import { runFigures } from './figures.ts';
import { count } from './flags.ts';
import { defineLocal, times } from './local-load.ts';

const SHAPES = [
  { name: 'single calls, 64 in flight', batch: 1, inFlight: 64 },
  { name: `batches of ${LIMITS.reserveBatchMax}, 2 in flight`, batch: LIMITS.reserveBatchMax, inFlight: 2 },
  { name: `batches of ${LIMITS.reserveBatchMax}, 4 in flight`, batch: LIMITS.reserveBatchMax, inFlight: 4 },
] as const;
type Shape = (typeof SHAPES)[number];

const RATIO_MIN = 2.5;

type ShapeRun = Awaited<ReturnType<typeof reserveAll>>;

export const reserveStore = defineLocal({
  name: 'reserve-store',
  about: 'accepted decisions per second at store level: batches against single calls of the same script',
  flags: { decisions: count(40_000, 'decisions of each shape and round', { max: 10_000_000 }) },
  defaults: { rounds: 3 },
  inAll: true,
  async measure({ flags, common }) {
    const redis = await startBenchRedis(common.append);
    const store = await connectStore({ redis: redis.target });
    const runs = SHAPES.map(() => [] as ShapeRun[]);
    try {
      for (let round = 0; round < common.rounds; round++)
        for (const [i, shape] of SHAPES.entries())
          runs[i]?.push(await reserveAll(store, redis, shape, `s${round}-${i}`, flags.decisions));
    } finally {
      await store.close();
      await redis.stop();
    }
    const shapes = SHAPES.map(({ name }, i) => {
      const of = (field: keyof ShapeRun): number => median((runs[i] ?? []).map((run) => run[field]));
      const { higher, lower, neither } = runFigures;
      const figures = [
        higher(name, '/s', () => of('perSecond'), 'accepted decisions'),
        lower(`${name}: CPU of Redis`, 'us', () => of('redisMicros'), 'per decision'),
        lower(`${name}: CPU of the client`, 'us', () => of('clientMicros'), 'per decision'),
        neither(`${name}: script`, 'us', () => of('scriptMicros'), 'per call'),
      ];
      return { perSecond: of('perSecond'), figures };
    });
    const [single = Number.NaN, ...batches] = shapes.map((shape) => shape.perSecond);
    const ratio = Math.max(...batches) / single;
    const name = 'batches against single calls';
    const better = runFigures.higher(name, 'x', () => ratio, 'the better batch shape, medians of the rounds');
    return {
      figures: [better, ...shapes.flatMap(({ figures }) => figures)],
      levels: [atLeast(name, RATIO_MIN, ratio, times)],
    };
  },
});

async function reserveAll(store: ConnectedStore, redis: RedisServer, shape: Shape, show: string, decisions: number) {
  const { batch, inFlight } = shape;
  await createHotSale(store, { show, units: decisions * 2 });
  await redis.admin.config('RESETSTAT');
  const redisBefore = cpuSecondsOf(redis.pid);
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  let sent = 0;
  const work = async (): Promise<void> => {
    while (sent < decisions) {
      const first = sent;
      sent += batch;
      const press = { key: 'press-1', sale: HOT_SALE, lines: [{ sku: HOT_SKU, qty: 1 }] };
      const requests = Array.from({ length: batch }, (_, i) => ({ user: `buyer-${first + i}`, ...press }));
      for (const result of await store.reserve(show, requests))
        if (!result.ok) throw new Error(`not accepted: ${result.error.code}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  const seconds = (performance.now() - startedMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const script = await redis.scriptCalls();
  const redisMicros = ((cpuSecondsOf(redis.pid) - redisBefore) * 1e6) / sent;
  await verifyBooks(store, show);
  await redis.admin.flushall();
  const clientMicros = (cpu.user + cpu.system) / sent;
  return { perSecond: sent / seconds, redisMicros, clientMicros, scriptMicros: script.usec / script.calls };
}

/** Throws if the ledger does not replay to the books. */
export async function verifyBooks(store: ConnectedStore, show: string): Promise<void> {
  const verified = await store.verify(show);
  if (!verified.ok || verified.value.violations.length > 0)
    throw new Error(`the ledger does not match the books: ${JSON.stringify(verified)}`);
}
