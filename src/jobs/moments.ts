/** The opening and the closing of each sale as one delayed job each. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from 'bullmq';
import type { SaleBooks } from '../domain/sale.ts';

export interface MomentData {
  readonly show: string;
  readonly sale: string;
  /** When it is due, on the Redis clock. */
  readonly at: number;
}

const MOMENTS = ['opens', 'closes'] as const;
type Moment = (typeof MOMENTS)[number];

const REPLACE_TRIES_MAX = 5;
const REPLACE_PAUSE_MS = 50;

/** Returns the moments that are still ahead of a sale. */
export function momentsOf(sale: Pick<SaleBooks, 'state' | 'opensAt' | 'closesAt'>): Record<Moment, number | null> {
  const isScheduled = sale.state === 'scheduled';
  const isRunning = sale.state === 'open' || sale.state === 'paused';
  return { opens: isScheduled ? sale.opensAt : null, closes: isScheduled || isRunning ? sale.closesAt : null };
}

/** Ids have no dots, so the name is unambiguous. BullMQ allows no colons. */
export const momentJobId = (show: string, sale: string, moment: Moment): string => `${show}.${sale}.${moment}`;

/** Replaces the planned jobs of a sale by those of its present window. Idempotent. */
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
    if ((known.data as MomentData).at === at && (await known.isDelayed())) return;
    if (!(await removeJob(queue, jobId))) return;
  }
  if (at === null) return;
  const delay = Math.max(0, Math.ceil(at - nowMs));
  await queue.add('moment', { ...planned, at } satisfies MomentData, { jobId, delay, removeOnComplete: true });
}

/** A running job is locked and ends within milliseconds. If not, the sweep does its work. */
async function removeJob(queue: Queue, jobId: string): Promise<boolean> {
  for (let attempt = 1; attempt <= REPLACE_TRIES_MAX; attempt++) {
    if ((await queue.remove(jobId)) === 1 || !(await queue.getJob(jobId))) return true;
    await sleep(REPLACE_PAUSE_MS);
  }
  return false;
}
