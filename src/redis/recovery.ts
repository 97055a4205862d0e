/**
 * After a restart or failover of Redis: open sales pause, the books are verified against the
 * ledger, and trusted sales resume. The process that fenced the show does this; if it dies, the
 * next tick on any node does.
 */
import type { Logger } from 'pino';
import type { Auditor } from '../domain/audit.ts';
import type { ScriptRunner } from './script-runner.ts';

/** Recovers a show. Idempotent; concurrent calls for one show in this process are one. */
export type Recover = (showId: string) => Promise<void>;

/** What the check of one show's books has found. */
export interface Recovered {
  /** Sales that stay paused, because their books cannot be trusted. */
  readonly untrusted: readonly string[];
  readonly repaired: readonly string[];
}

/** Shows that recover within this time are one log record. */
const SUMMARY_MS = 2_000;

/** Logs how many shows recovered, once they all have: a restart of Redis affects all of them. */
function createSummary(logger: Logger | undefined, isBusy: () => boolean): (found: Recovered) => void {
  let [shows, repaired] = [0, 0];
  let timer: NodeJS.Timeout | null = null;
  function report(): void {
    timer = isBusy() ? setTimeout(report, SUMMARY_MS).unref() : null;
    if (timer !== null) return;
    logger?.info({ shows, repaired }, 'another Redis server: books verified, sales resumed');
    [shows, repaired] = [0, 0];
  }
  return (found) => {
    shows += 1;
    repaired += found.repaired.length;
    timer ??= setTimeout(report, SUMMARY_MS).unref();
  };
}

export function createRecovery(
  runner: ScriptRunner,
  auditor: Auditor,
  logger: Logger | undefined,
  onRecovered?: (found: Recovered) => void,
): Recover {
  const running = new Set<string>();
  const count = createSummary(logger, () => running.size > 0);

  async function recover(showId: string): Promise<void> {
    const paused = await runner.run('recover', showId, { op: 'pause' });
    if (!paused.ok) return;
    const books = await auditor.reconcile(showId, 'recovery');
    if (!books.ok) return;
    const { untrusted, repaired } = books.value;
    const outcome = { untrusted, repaired, violations: books.value.violations.length };
    const resumed = await runner.run('recover', showId, { op: 'resume', ...outcome });
    if (!resumed.ok) return;
    onRecovered?.(outcome);
    count(outcome);
    if (untrusted.length > 0)
      logger?.warn({ show: showId, ...outcome }, 'another Redis server: the books of sales that stay paused are wrong');
  }

  return async (showId) => {
    if (running.has(showId)) return;
    running.add(showId);
    try {
      await recover(showId);
    } catch (err) {
      // The show stays paused, and the next tick retries.
      logger?.error({ err, show: showId }, 'another Redis server: the books could not be verified');
    } finally {
      running.delete(showId);
    }
  };
}
