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

export function createRecovery(
  runner: ScriptRunner,
  auditor: Auditor,
  logger: Logger | undefined,
  onRecovered?: (found: Recovered) => void,
): Recover {
  const running = new Set<string>();

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
    logger?.warn({ show: showId, ...outcome }, 'another Redis server: books verified, sales resumed');
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
