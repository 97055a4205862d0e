/**
 * The sweeps while Redis is full. BullMQ needs memory for its jobs: its scripts fail then, and a
 * process that starts cannot make its queue. So timers of each process do what the jobs would do,
 * until Redis has room. That several processes do it is harmless (due-work.ts).
 */
import type { Health } from '../domain/health.ts';

export interface SweepTask {
  readonly name: string;
  readonly everyMs: number;
  readonly run: () => Promise<void>;
}

/** Returns the function that ends it, and waits for what runs. */
export function sweepWhileFull(
  store: Pick<Health, 'trouble'>,
  tasks: readonly SweepTask[],
  onEnd: (name: string, error: unknown) => void,
): () => Promise<void> {
  const running = new Map<string, Promise<void>>();
  const timers = tasks.map(({ name, everyMs, run }) =>
    setInterval(() => {
      if (running.has(name) || store.trouble()?.state !== 'full') return;
      const work = run().then(
        () => onEnd(name, null),
        (error: unknown) => onEnd(name, error),
      );
      running.set(
        name,
        work.finally(() => running.delete(name)),
      );
    }, everyMs).unref(),
  );
  return async () => {
    for (const timer of timers) clearInterval(timer);
    await Promise.all(running.values());
  };
}
