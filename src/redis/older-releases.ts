/**
 * Finds processes of release 0.1.0, which know neither exports nor erasures ("Formats" in
 * src/README.md). They have no key that says that they live. Nodes with viewers report them, and
 * jobs refresh a key of BullMQ. Others cannot be found.
 */
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { RedisClient } from './client.ts';
import { unpack } from './records.ts';
import type { ScriptRunner } from './script-runner.ts';
import { allShowIds } from './show-list.ts';
import { isRefused } from './states.ts';

const SHOWS_PER_READ = 100;
/** The key of its jobs expires this long after they have ended. */
const RETRY_MS = 30_000;

/** Returns whether a report of viewers (lua/counts.lua) is recent and of an older release. */
function isOlder(bytes: Buffer, now: number): boolean {
  try {
    const [, at, format = 0] = unpack<[viewers: number, at: number, format?: number]>(bytes);
    return now - at <= LIMITS.nodeCountsTtlMs && format < LIMITS.showFormat;
  } catch {
    return false;
  }
}

/** Jobs of this release have other keys, which may be all that its user of Redis may read. */
const hasOlderJobs = (client: RedisClient, key: string): Promise<boolean> =>
  client.exists(key).then(
    (count) => count > 0,
    (error) => {
      if (isRefused(error)) return false;
      throw error;
    },
  );

/** The key of one show may have been overwritten: that stops no other show. */
function reportsOfOtherType(error: Error): Buffer[] {
  if (!error.message.startsWith('WRONGTYPE')) throw error;
  return [];
}

const stillRuns = (what: string): Result<never> =>
  fail(
    'overloaded',
    `A process of release 0.1.0 still runs: ${what}. Replace it first; its end is noticed within half a minute.`,
    { retryAfterMs: RETRY_MS },
  );

/** Fails while a process of release 0.1.0 is known to run. */
export async function checkReleases(runner: ScriptRunner): Promise<Result<null>> {
  const { keys } = runner;
  const jobs = await runner.guard((client) => hasOlderJobs(client, keys.olderJobs));
  if (!jobs.ok) return jobs;
  if (jobs.value) return stillRuns('it runs jobs');
  const shows = await allShowIds(runner);
  if (!shows.ok) return shows;
  for (let from = 0; from < shows.value.length; from += SHOWS_PER_READ) {
    const ids = shows.value.slice(from, from + SHOWS_PER_READ);
    const read = await runner.guard((client) =>
      Promise.all(ids.map((id) => client.hvalsBuffer(runner.keysOf(id).nodes).catch(reportsOfOtherType))),
    );
    if (!read.ok) return read;
    const now = runner.connection.clock.now();
    const found = ids.find((_, i) => read.value[i]?.some((bytes) => isOlder(bytes, now)));
    if (found !== undefined) return stillRuns(`it has viewers of the show ${found}`);
  }
  return ok(null);
}
