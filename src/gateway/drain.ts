/**
 * Drains a node: waits for requests in flight, then closes connections at a steady pace. Each
 * viewer gets a random reconnect delay, so that the next node sees no reconnect storm.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Rooms } from '../rooms/rooms.ts';
import type { Closer } from './closer.ts';
import type { Connections } from './connections.ts';

export interface DrainOptions {
  readonly timeoutMs: number;
  readonly rooms: Rooms;
  readonly connections: Connections;
  readonly closer: Closer;
  readonly logger: Logger;
}

const SLICE_EVERY_MS = 20;
/** Smaller nodes close all connections at once. */
const SLICE_MIN = 50;
/** Shares of `timeoutMs` for requests in flight and for closing; the rest is for closing rooms. */
const REQUESTS_SHARE = 0.4;
const CLOSING_SHARE = 0.3;
/** Time for close frames to leave, and for new clients to get `draining` before the port closes. */
const LAST_FRAMES_MS = 150;

/** The node refuses new work already. Resolves when all connections are closed, or on time-out. */
export async function drainGateway({ timeoutMs, rooms, connections, closer, logger }: DrainOptions): Promise<void> {
  const startedMs = performance.now();
  const leftMs = (): number => Math.max(0, startedMs + timeoutMs - performance.now());
  const idle = await finishesWithin(Promise.all([...rooms].map((room) => room.whenIdle())), timeoutMs * REQUESTS_SHARE);
  if (!idle) logger.warn('requests still in flight when connections were closed');

  const all = connections.all();
  const slices = Math.max(1, Math.floor((timeoutMs * CLOSING_SHARE) / SLICE_EVERY_MS));
  const slice = Math.max(SLICE_MIN, Math.ceil(all.length / slices));
  for (let from = 0; from < all.length; from += slice) {
    if (from > 0) await sleep(SLICE_EVERY_MS);
    for (const connection of all.slice(from, from + slice)) if (connection.isOpen) closer.sendToOtherNode(connection);
  }
  await sleep(Math.min(LAST_FRAMES_MS, leftMs()));
  if (!(await finishesWithin(rooms.closeAll(), leftMs()))) logger.warn('rooms not closed in time');
}

/** Returns whether `work` finishes in time. It is not cancelled otherwise. */
async function finishesWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController();
  const timeout = sleep(timeoutMs, false, { signal: timer.signal }).catch(() => false);
  const finished = await Promise.race([work.then(() => true), timeout]);
  timer.abort();
  return finished;
}
