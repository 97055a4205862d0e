/**
 * Measures how fast a server decides reserves, on a show that exists only for this. Some fifty
 * batches, with pauses: less than a tenth of one core for about a second.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Capacity } from '../../domain/checkup.ts';
import { LIMITS } from '../../limits.ts';
import { ok, type Result } from '../../protocol/codes.ts';
import type { ConnectedStore } from '../store.ts';
import { quantile } from './probes.ts';

const BATCHES = 50;
const WARM_UP_BATCHES = 5;
const PAUSE_MS = 10;
const BATCH = LIMITS.reserveBatchMax;
const ACTOR = 'doctor';

/** Creates the show with a sale. The caller removes its keys. */
async function createProbe(store: ConnectedStore, show: string): Promise<Result<unknown>> {
  const created = await store.createShow({ id: show, title: show, brands: [{ id: 'b', name: 'b' }] }, ACTOR);
  if (!created.ok) return created;
  const product = { id: 'p', brand: 'b', title: 'p', skus: [{ sku: 's' }] };
  const listed = await store.putProduct(show, product, ACTOR);
  if (!listed.ok) return listed;
  const skus = [{ sku: 's', product: 'p', price: 100, quantity: BATCHES * BATCH * 2 }];
  const sale = { id: 'sale', title: 'sale', currency: 'EUR', opensInMs: 0, durationMs: 600_000, skus };
  return store.createSale(show, sale, { key: 'create', actor: ACTOR });
}

/** Calls of scripts and their time in Redis so far. */
export interface ScriptTime {
  readonly calls: number;
  readonly micros: number;
}

interface Measure {
  readonly store: ConnectedStore;
  readonly show: string;
  /** Subtracted where Redis does not report the time of scripts. */
  readonly roundTripMs: number;
  /** Runs after each batch, when new keys may exist. */
  onBatch(): Promise<unknown>;
  /** null where INFO is refused. */
  scriptTime(): Promise<ScriptTime | null>;
}

/** The time in Redis if no other script ran meanwhile, else the time of this client. */
function batchMsOf(before: ScriptTime | null, after: ScriptTime | null, times: number[], roundTripMs: number): number {
  if (before && after && after.calls - before.calls === BATCHES) return (after.micros - before.micros) / BATCHES / 1000;
  const sorted = [...times].sort((a, b) => a - b);
  return Math.max(0.05, quantile(sorted, 0.5) - roundTripMs);
}

export async function measureReserves(measure: Measure): Promise<Result<Capacity>> {
  const { store, show, roundTripMs, onBatch, scriptTime } = measure;
  const probe = await createProbe(store, show);
  if (!probe.ok) return probe;
  await onBatch();
  const before = await scriptTime();
  const times: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const lines = [{ sku: 's', qty: 1 }];
    const requests = [...Array(BATCH).keys()].map((i) => ({ user: `u${batch}-${i}`, key: 'k', sale: 'sale', lines }));
    const sent = performance.now();
    const results = await store.reserve(show, requests);
    if (batch >= WARM_UP_BATCHES) times.push(performance.now() - sent);
    const refusal = results.find((result) => !result.ok);
    if (refusal && !refusal.ok) return refusal;
    await onBatch();
    await sleep(PAUSE_MS);
  }
  const batchMs = batchMsOf(before, await scriptTime(), times, roundTripMs);
  return ok({ decisionsPerSecond: Math.round((BATCH / batchMs) * 1000), batchRequests: BATCH, batchMs });
}
