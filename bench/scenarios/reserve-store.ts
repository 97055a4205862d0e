/**
 * Accepted decisions per second at store level: one hot sale, batches against single calls of the
 * same script, both with many calls in flight, in turns on the same Redis. The ratio is the result;
 * the rates depend on the machine.
 */
import { LIMITS } from '../../src/limits.ts';
import { connectStore } from '../../src/redis/index.ts';
import { median } from '../generator/median.ts';
import { cpuSecondsOf } from '../launch/cpu.ts';
import { createHotSale, HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';
import { type AppendMode, startBenchRedis } from '../launch/redis.ts';

interface Shape {
  readonly name: string;
  readonly batch: number;
  readonly inFlight: number;
}

const SHAPES: readonly Shape[] = [
  { name: 'single calls, 64 in flight', batch: 1, inFlight: 64 },
  { name: `batches of ${LIMITS.reserveBatchMax}, 2 in flight`, batch: LIMITS.reserveBatchMax, inFlight: 2 },
  { name: `batches of ${LIMITS.reserveBatchMax}, 4 in flight`, batch: LIMITS.reserveBatchMax, inFlight: 4 },
];

export interface StoreReserveOptions {
  readonly rounds: number;
  readonly decisions: number;
  readonly append: AppendMode;
}

export interface ShapeResult {
  readonly name: string;
  readonly perSecond: number;
  readonly redisCpuMicros: number;
  readonly clientCpuMicros: number;
  readonly scriptMicrosPerCall: number;
}

export async function benchStoreReserve({
  rounds,
  decisions,
  append,
}: StoreReserveOptions): Promise<{ shapes: ShapeResult[]; ratio: number }> {
  const redis = await startBenchRedis(append);
  const store = await connectStore({ url: redis.url });
  const runs = new Map<string, ShapeResult[]>(SHAPES.map(({ name }) => [name, []]));
  let buyers = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      for (const { name, batch, inFlight } of SHAPES) {
        const show = `s${round}-${batch}`;
        await createHotSale(store, { show, units: decisions * 2 });
        await redis.client.config('RESETSTAT');
        const redisBefore = cpuSecondsOf(redis.pid);
        const cpuBefore = process.cpuUsage();
        const startedMs = performance.now();
        let sent = 0;
        const work = async (): Promise<void> => {
          while (sent < decisions) {
            sent += batch;
            const answers = await store.reserve(
              show,
              Array.from({ length: batch }, () => ({
                user: `buyer-${buyers++}`,
                key: 'press-1',
                sale: HOT_SALE,
                lines: [{ sku: HOT_SKU, qty: 1 }],
              })),
            );
            for (const answer of answers) if (!answer.ok) throw new Error(`not accepted: ${answer.error.code}`);
          }
        };
        await Promise.all(Array.from({ length: inFlight }, work));
        const seconds = (performance.now() - startedMs) / 1000;
        const cpu = process.cpuUsage(cpuBefore);
        const script = await redis.scriptCalls();
        runs.get(name)?.push({
          name,
          perSecond: sent / seconds,
          redisCpuMicros: ((cpuSecondsOf(redis.pid) - redisBefore) * 1e6) / sent,
          clientCpuMicros: (cpu.user + cpu.system) / sent,
          scriptMicrosPerCall: script.usec / script.calls,
        });
        const verified = await store.verify(show);
        if (!verified.ok || verified.value.violations.length > 0)
          throw new Error(`the books are wrong: ${JSON.stringify(verified)}`);
        await redis.client.flushall();
      }
    }
  } finally {
    await store.close();
    await redis.stop();
  }
  const shapes = [...runs].map(([name, results]) => ({
    name,
    perSecond: median(results.map((run) => run.perSecond)),
    redisCpuMicros: median(results.map((run) => run.redisCpuMicros)),
    clientCpuMicros: median(results.map((run) => run.clientCpuMicros)),
    scriptMicrosPerCall: median(results.map((run) => run.scriptMicrosPerCall)),
  }));
  const single = shapes[0]?.perSecond ?? Number.NaN;
  return { shapes, ratio: Math.max(...shapes.slice(1).map(({ perSecond }) => perSecond)) / single };
}
