/** Units in the sales of live shows, for the metrics. */
import type { Health } from '../domain/health.ts';
import type { SaleStore } from '../domain/sale.ts';
import type { Scheduler } from '../domain/schedule.ts';
import { LIMITS } from '../limits.ts';
import { isClosed } from '../protocol/codes.ts';
import type { SaleTotals } from '../telemetry/metrics.ts';

const EVERY_MS = 10_000;
/** Reading takes at most this share of the time, however many shows are live. */
const SHARE = 0.05;

type TotalsStore = Pick<Scheduler, 'liveShows'> & Pick<SaleStore, 'listSales'> & Pick<Health, 'trouble'>;

/** Returns a function that returns the newest totals, and reads them again if they are old. */
export function createSaleTotals(store: TotalsStore): () => SaleTotals | null {
  let totals: SaleTotals | null = null;
  let nextMs = 0;

  async function read(): Promise<void> {
    const startedMs = performance.now();
    nextMs = Number.POSITIVE_INFINITY;
    totals = store.trouble() === null ? await readTotals(store) : null;
    const endedMs = performance.now();
    nextMs = endedMs + Math.max(EVERY_MS, (endedMs - startedMs) / SHARE);
  }

  return () => {
    if (performance.now() >= nextMs) void read();
    return totals;
  };
}

/** Returns null if Redis does not reply. */
async function readTotals(store: TotalsStore): Promise<SaleTotals | null> {
  const live = await store.liveShows();
  if (!live.ok) return null;
  const remaining = [...live.value];
  const units = { available: 0, held: 0, sold: 0 };
  let open = 0;
  let isComplete = true;
  const worker = async (): Promise<void> => {
    for (let showId = remaining.pop(); showId !== undefined; showId = remaining.pop()) {
      const sales = await store.listSales(showId);
      // A show that was deleted meanwhile has no units; those of a newer release are counted there.
      if (!sales.ok && !isClosed(sales.error.code)) isComplete = false;
      for (const { state, skus } of sales.ok ? sales.value : []) {
        if (state === 'open') open += 1;
        for (const { available, held, sold } of skus) {
          if (state === 'open' || state === 'paused' || state === 'scheduled') units.available += available;
          units.held += held;
          units.sold += sold;
        }
      }
    }
  };
  await Promise.all(Array.from({ length: LIMITS.jobShowsAtOnce }, worker));
  return isComplete ? { shows: live.value.length, open, units } : null;
}
