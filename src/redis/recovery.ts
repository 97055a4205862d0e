/**
 * After a restart or failover of Redis: open sales pause, the books are held against the ledger,
 * sales that can be trusted resume. Whoever fenced the show does it; if that process dies, the next
 * tick of anybody does.
 */
import type { Logger } from 'pino';
import type { Ledgers } from './auditor.ts';
import type { ScriptSession } from './session.ts';

export class Recovery {
  readonly #session: ScriptSession;
  readonly #ledgers: Ledgers;
  readonly #logger: Logger | undefined;
  readonly #running = new Set<string>();

  constructor(session: ScriptSession, ledgers: Ledgers, logger: Logger | undefined) {
    this.#session = session;
    this.#ledgers = ledgers;
    this.#logger = logger;
    session.onFenced = (showId) => void this.run(showId);
  }

  /** Idempotent; concurrent calls for a show in this process are one. */
  async run(showId: string): Promise<void> {
    if (this.#running.has(showId)) return;
    this.#running.add(showId);
    try {
      const paused = await this.#session.run('recover', showId, { op: 'pause' });
      if (!paused.ok) return;
      const books = await this.#ledgers.reconcile(showId, 'recovery');
      if (!books.ok) return;
      const { violations, untrusted, repaired } = books.value;
      const resumed = await this.#session.run('recover', showId, {
        op: 'resume',
        untrusted,
        repaired,
        violations: violations.length,
      });
      if (resumed.ok)
        this.#logger?.warn(
          { show: showId, untrusted, repaired, violations: violations.length },
          'another Redis server holds this show now: books verified, sales resumed',
        );
    } catch (error) {
      // The show stays paused; the next tick tries again.
      this.#logger?.error(
        { err: error, show: showId },
        'the books could not be verified after another Redis server took over',
      );
    } finally {
      this.#running.delete(showId);
    }
  }
}
