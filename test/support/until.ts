import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves when the condition holds. Throws after the timeout. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; !(await holds()); await sleep(10))
    if (Date.now() > end) throw new Error(`did not happen in ${timeoutMs} ms: ${what}`);
}
