/**
 * Many open holds that are never confirmed: how soon after its deadline a hold frees its units, and
 * how long scripts take meanwhile. One gateway with one viewer expires them; no job runs. The
 * deadline is that of the reservation, the moment of freeing that of the ledger.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/limits.ts';
import { unpackLedger, unpackReservation } from '../../src/redis/records.ts';
import { RawSocket } from '../generator/websocket.ts';
import { type BenchEngine, startBenchEngine } from '../launch/engine.ts';
import { createHotSale, HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';
import { whole } from '../verdict/check.ts';
import { atMost } from '../verdict/levels.ts';
import { runFigures } from './figures.ts';
import { count } from './flags.ts';
import { defineLocal, inMs } from './local-load.ts';
import { verifyBooks } from './reserve-store.ts';

/** All holds are open before the first one expires: the shortest hold lasts 15 s. */
const HOLDS_PER_SECOND = 10_000;
const SHOW = 'expiry';
const P99_MS_MAX = 1_000;
const SCRIPT_MICROS_MAX = 1_000;

export const expiry = defineLocal({
  name: 'expiry',
  about: 'open holds that are never confirmed: how soon their units are free, how long scripts take',
  flags: { holds: count(100_000, 'open holds', { max: 5_000_000 }) },
  inAll: true,
  async measure({ flags: { holds }, common: { append } }) {
    const engine = await startBenchEngine({ append });
    try {
      const { delays, scriptMicros } = await expireAll(engine, holds);
      const last = delays.length - 1;
      const at = (share: number): number => delays[Math.min(last, Math.floor((last + 1) * share))] ?? Number.NaN;
      const { lower } = runFigures;
      const after = `after the deadline; ${whole(HOLDS_PER_SECOND)}/s expire`;
      return {
        figures: [
          lower('freed p50', 'ms', () => at(0.5), after),
          lower('freed p99', 'ms', () => at(0.99), after),
          lower('freed max', 'ms', () => at(1), after),
          lower('script p99', 'us', () => scriptMicros, 'as reported by Redis'),
        ],
        levels: [
          atMost('freed p99', P99_MS_MAX, at(0.99), inMs),
          atMost('script p99', SCRIPT_MICROS_MAX, scriptMicros, (value) => `${whole(value)} us`),
        ],
      };
    } finally {
      await engine.stop();
    }
  },
});

async function expireAll(engine: BenchEngine, holds: number): Promise<{ delays: number[]; scriptMicros: number }> {
  const { store, redis, port } = engine;
  await createHotSale(store, { show: SHOW, units: holds, holdMs: LIMITS.holdMinMs });
  const address = { host: '127.0.0.1', port, path: `/v1/shows/${SHOW}`, protocols: ['stampede.v1.json'] };
  const viewer = new RawSocket(address, { onMessage: () => {} });
  await makeHolds(store, holds);
  await redis.admin.config('RESETSTAT');
  for (let held = holds; held > 0; ) {
    await sleep(1_000);
    const sale = await store.getSale(SHOW, HOT_SALE);
    held = sale.ok ? (sale.value.skus[0]?.held ?? 0) : held;
  }
  viewer.destroy();
  // Redis keeps microseconds with two significant digits since its statistics were reset.
  const statistics = await redis.admin.info('latencystats');
  const [, p99] = /^latency_percentiles_usec_fcall:.*\bp99=([\d.]+)/m.exec(statistics) ?? [];
  const delays = await expiryDelays(engine);
  await verifyBooks(store, SHOW);
  return { delays, scriptMicros: Number(p99) };
}

/** Makes holds at a steady rate, so that they expire at the same rate. */
async function makeHolds(store: BenchEngine['store'], holds: number): Promise<void> {
  const startedMs = performance.now();
  for (let from = 0; from < holds; from += LIMITS.reserveBatchMax) {
    const length = Math.min(LIMITS.reserveBatchMax, holds - from);
    const press = { key: 'k', sale: HOT_SALE, lines: [{ sku: HOT_SKU, qty: 1 }] };
    const requests = Array.from({ length }, (_, i) => ({ user: `b${from + i}`, ...press }));
    await store.reserve(SHOW, requests);
    const aheadMs = (from / HOLDS_PER_SECOND) * 1000 - (performance.now() - startedMs);
    if (aheadMs > 1) await sleep(aheadMs);
  }
}

async function expiryDelays({ redis: { admin: client } }: BenchEngine): Promise<number[]> {
  const deadlines = new Map<string, number>();
  for (const bytes of await client.hvalsBuffer(`stampede:{${SHOW}}:reservations`)) {
    const record = unpackReservation(bytes);
    deadlines.set(record.id, record.heldUntil);
  }
  const delays: number[] = [];
  for (const [id, fields] of await client.xrangeBuffer(`stampede:{${SHOW}}:ledger`, '-', '+')) {
    const freedAt = Number(id.toString().split('-')[0]);
    for (const [kind, , reservation] of unpackLedger(fields[1] as Buffer))
      if (kind === 'expire' && reservation) delays.push(freedAt - (deadlines.get(reservation) ?? Number.NaN));
  }
  return delays.sort((a, b) => a - b);
}
