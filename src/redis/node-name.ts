/**
 * Detects that another live process has the same NODE_NAME. Nothing breaks, because processes know
 * each other by random ids, but people cannot distinguish their log records and metrics.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { LIMITS } from '../limits.ts';
import type { ScriptRunner } from './script-runner.ts';

const REFRESH_MS = LIMITS.nodeCountsTtlMs / 3;
/** A process that stops while its successor starts overlaps with it for less than this. */
const SIGHTINGS_MIN = 2;

/** Returns the function that ends it. */
export function watchNodeName(
  runner: ScriptRunner,
  name: string,
  logger: Logger | undefined,
  onShared: (isShared: boolean) => void = () => {},
): () => void {
  const id = randomUUID();
  const key = runner.keys.node(name);
  let hasWritten = false;
  let sightings = 0;

  async function refresh(): Promise<void> {
    const before = await runner.guard((client) => client.set(key, id, 'PX', LIMITS.nodeCountsTtlMs, 'GET'));
    const isForeign = before.ok && before.value !== null && before.value !== id;
    // What was there at the first write may be of a process that has ended.
    sightings = hasWritten && isForeign ? sightings + 1 : 0;
    hasWritten = before.ok;
    onShared(sightings >= SIGHTINGS_MIN);
    if (sightings === SIGHTINGS_MIN)
      logger?.warn({ node: name }, 'another running process has this NODE_NAME. Give each process its own name');
  }

  void refresh();
  const timer = setInterval(() => void refresh(), REFRESH_MS).unref();
  return () => clearInterval(timer);
}
