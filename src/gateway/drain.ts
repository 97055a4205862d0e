/**
 * Sends everybody away without a stampede: what is in flight is answered first, then each gets its
 * own delay, and the closes are paced.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { LIMITS } from '../limits.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';

export interface DrainOptions {
  readonly timeoutMs: number;
  readonly rooms: Rooms;
  readonly connections: Connections;
  readonly sendAway: (connection: Connection, reconnectAfterMs: number) => void;
  readonly logger: Logger;
}

const SLICE_EVERY_MS = 20;
/** So many at once are no storm; small nodes are gone in one step. */
const SLICE_MIN = 50;
/**
 * Of the time allowed, at most these shares wait for answers and are spent on pacing; the rest is
 * for closing rooms.
 */
const SETTLE_SHARE = 0.4;
const LAST_WORDS_MS = 150;
const PACE_SHARE = 0.3;

/**
 * The node refuses new work already. Resolves when nobody is left, at the latest after `timeoutMs`.
 */
export async function drainGateway({ timeoutMs, rooms, connections, sendAway, logger }: DrainOptions): Promise<void> {
  const startedMs = performance.now();
  const leftMs = (): number => Math.max(0, startedMs + timeoutMs - performance.now());
  const settled = await within(Promise.all([...rooms].map((room) => room.whenIdle())), timeoutMs * SETTLE_SHARE);
  if (!settled) logger.warn('some requests were still unanswered when the drain went on');

  const sockets = connections.all();
  const slices = Math.max(1, Math.floor((timeoutMs * PACE_SHARE) / SLICE_EVERY_MS));
  const slice = Math.max(SLICE_MIN, Math.ceil(sockets.length / slices));
  for (let from = 0; from < sockets.length; from += slice) {
    if (from > 0) await sleep(SLICE_EVERY_MS);
    for (const connection of sockets.slice(from, from + slice)) {
      if (connection.open) sendAway(connection, Math.round(Math.random() * LIMITS.drainReconnectSpreadMs));
    }
  }
  // Close frames leave, and whoever was about to connect hears "draining" instead of finding the
  // port closed.
  await sleep(Math.min(LAST_WORDS_MS, leftMs()));
  if (!(await within(rooms.closeAll(), leftMs()))) logger.warn('some rooms were not closed in time');
}

/** Whether the work was done within the time; it goes on by itself otherwise. */
async function within(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(timeoutMs, false, { signal: timer.signal }).catch(() => false);
  const done = await Promise.race([work.then(() => true), late]);
  timer.abort();
  return done;
}
