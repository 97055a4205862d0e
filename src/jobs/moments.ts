/**
 * The opening and the closing of each sale as one delayed job each, replaced when the window
 * changes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from 'bullmq';
import type { SaleBooks } from '../domain/sale.ts';

export interface MomentData {
  readonly show: string;
  readonly sale: string;
  /** When it falls due, on the Redis clock. */
  readonly at: number;
}

const MOMENTS = ['opens', 'closes'] as const;
type Moment = (typeof MOMENTS)[number];

const REPLACE_TRIES_MAX = 5;
const REPLACE_PAUSE_MS = 50;

/** The moments that still lie ahead of a sale in its present state. */
export function momentsOf(sale: Pick<SaleBooks, 'state' | 'opensAt' | 'closesAt'>): Record<Moment, number | null> {
  const waits = sale.state === 'scheduled';
  const runs = sale.state === 'open' || sale.state === 'paused';
  return { opens: waits ? sale.opensAt : null, closes: waits || runs ? sale.closesAt : null };
}

/** Ids hold no dots, so the name is unambiguous; BullMQ allows no colons. */
export const momentJobId = (show: string, sale: string, moment: Moment): string => `${show}.${sale}.${moment}`;

/** Makes the planned jobs of a sale equal to its window. Idempotent. */
export async function planMoments(queue: Queue, show: string, sale: SaleBooks, nowMs: number): Promise<void> {
  const moments = momentsOf(sale);
  for (const moment of MOMENTS)
    await planMoment(queue, momentJobId(show, sale.id, moment), { show, sale: sale.id, at: moments[moment] }, nowMs);
}

async function planMoment(
  queue: Queue,
  jobId: string,
  planned: { show: string; sale: string; at: number | null },
  nowMs: number,
): Promise<void> {
  const { at } = planned;
  const known = await queue.getJob(jobId);
  if (known) {
    const same = (known.data as MomentData).at === at;
    if (same && (await known.isDelayed())) return;
    if (!(await removeJob(queue, jobId))) return;
  }
  if (at === null) return;
  await queue.add('moment', { ...planned, at } satisfies MomentData, {
    jobId,
    delay: Math.max(0, Math.ceil(at - nowMs)),
    removeOnComplete: true,
  });
}

/**
 * A job that runs this moment is locked and cannot be removed; it ends in milliseconds. Should it
 * not, the sweep does its work.
 */
async function removeJob(queue: Queue, jobId: string): Promise<boolean> {
  for (let attempt = 1; attempt <= REPLACE_TRIES_MAX; attempt++) {
    if ((await queue.remove(jobId)) === 1 || !(await queue.getJob(jobId))) return true;
    await sleep(REPLACE_PAUSE_MS);
  }
  return false;
}
