/**
 * Many open holds that nobody confirms: how long after its deadline does a hold free its units, and
 * how long do scripts take meanwhile? The lapses are done by one gateway with one viewer; no job
 * runs. The deadline is the reservation's, the moment of freeing the ledger's.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/limits.ts';
import { unpackLedger, unpackReservation } from '../../src/redis/records.ts';
import { RawSocket } from '../generator/websocket.ts';
import { startBenchEngine } from '../launch/engine.ts';
import { createHotSale, HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';
import type { AppendMode } from '../launch/redis.ts';

/** All of them are open before the first one lapses: the shortest hold lasts 15 s. */
export const HOLDS_MADE_PER_SECOND = 10_000;

export interface ExpiryResult {
  readonly holds: number;
  readonly freedAfterP50Ms: number;
  readonly freedAfterP99Ms: number;
  readonly freedAfterMaxMs: number;
  readonly scriptP99Micros: number;
}

export async function benchExpiry({ holds, append }: { holds: number; append: AppendMode }): Promise<ExpiryResult> {
  const engine = await startBenchEngine({ append });
  const show = 'expiry';
  try {
    await createHotSale(engine.store, { show, units: holds, holdMs: LIMITS.holdMinMs });
    const viewer = new RawSocket(
      { host: '127.0.0.1', port: engine.port, path: `/v1/shows/${show}`, protocols: ['stampede.v1.json'] },
      { onMessage: () => {} },
    );
    await makeHolds(engine.store, show, holds);
    await engine.redis.client.config('RESETSTAT');
    for (;;) {
      await sleep(1_000);
      const sale = await engine.store.getSale(show, HOT_SALE);
      if (sale.ok && sale.value.skus[0]?.held === 0) break;
    }
    viewer.destroy();
    const scriptP99Micros = await scriptP99(engine.redis.client);
    const delays = await freeingDelays(engine, show);
    const at = (share: number): number =>
      delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? Number.NaN;
    const verified = await engine.store.verify(show);
    if (!verified.ok || verified.value.violations.length > 0) throw new Error('the books are wrong');
    return {
      holds: delays.length,
      freedAfterP50Ms: at(0.5),
      freedAfterP99Ms: at(0.99),
      freedAfterMaxMs: at(1),
      scriptP99Micros,
    };
  } finally {
    await engine.stop();
  }
}

/** At a steady rate, as a long evening would: holds lapse as fast as they were made. */
async function makeHolds(store: Engine['store'], show: string, holds: number): Promise<void> {
  const startedMs = performance.now();
  for (let from = 0; from < holds; from += LIMITS.reserveBatchMax) {
    const size = Math.min(LIMITS.reserveBatchMax, holds - from);
    await store.reserve(
      show,
      Array.from({ length: size }, (_, i) => ({
        user: `b${from + i}`,
        key: 'k',
        sale: HOT_SALE,
        lines: [{ sku: HOT_SKU, qty: 1 }],
      })),
    );
    const aheadMs = (from / HOLDS_MADE_PER_SECOND) * 1000 - (performance.now() - startedMs);
    if (aheadMs > 1) await sleep(aheadMs);
  }
}

type Engine = Awaited<ReturnType<typeof startBenchEngine>>;

async function freeingDelays({ redis }: Engine, show: string): Promise<number[]> {
  const deadlines = new Map<string, number>();
  for (const bytes of await redis.client.hvalsBuffer(`stampede:{${show}}:reservations`)) {
    const record = unpackReservation(bytes);
    deadlines.set(record.id, record.heldUntil);
  }
  const delays: number[] = [];
  for (const [id, fields] of await redis.client.xrangeBuffer(`stampede:{${show}}:ledger`, '-', '+')) {
    const freedAt = Number(id.toString().split('-')[0]);
    for (const [kind, , reservation] of unpackLedger(fields[1] as Buffer)) {
      if (kind === 'expire' && reservation) delays.push(freedAt - (deadlines.get(reservation) ?? Number.NaN));
    }
  }
  return delays.sort((a, b) => a - b);
}

/**
 * Microseconds, as Redis keeps them (INFO latencystats, two significant digits), since its
 * statistics were last reset.
 */
export async function scriptP99(client: Engine['redis']['client']): Promise<number> {
  const [, p99] = /^latency_percentiles_usec_fcall:.*\bp99=([\d.]+)/m.exec(await client.info('latencystats')) ?? [];
  return Number(p99);
}
