import { setTimeout as sleep } from 'node:timers/promises';

type Condition = () => boolean | Promise<boolean>;

/** Resolves with whether the condition holds in time. */
export async function holdsIn(timeoutMs: number, holds: Condition, everyMs = 10): Promise<boolean> {
  for (const end = Date.now() + timeoutMs; !(await holds()); await sleep(everyMs)) if (Date.now() > end) return false;
  return true;
}

/** Resolves when the condition holds. Throws after the timeout. */
export async function until(holds: Condition, what: string, timeoutMs = 10_000): Promise<void> {
  if (!(await holdsIn(timeoutMs, holds))) throw new Error(`did not happen in ${timeoutMs} ms: ${what}`);
}
