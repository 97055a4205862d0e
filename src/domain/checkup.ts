/** What `stampede doctor` found out about a Redis: checks, promises, and a measure of its speed. */
export type CheckState = 'passed' | 'warning' | 'failed' | 'skipped';

export interface Check {
  /** Stable, for programs. */
  readonly id: string;
  readonly state: CheckState;
  /** What was found, and what it means. */
  readonly found: string;
  /** What to do; null if nothing has to be done. */
  readonly remedy: string | null;
}

export interface PromiseState {
  /** I1 to I10, as in src/README.md. */
  readonly id: string;
  readonly name: string;
  readonly state: 'holds' | 'limited' | 'broken' | 'unknown';
  readonly text: string;
}

export interface Capacity {
  /** Reserve requests that one server decides per second, one batch after another. */
  readonly decisionsPerSecond: number;
  readonly batchRequests: number;
  /** Time of a batch in Redis. */
  readonly batchMs: number;
}

export interface Checkup {
  /** Redis cannot be reached: the other checks did not run. */
  readonly isReachable: boolean;
  /** For example `Valkey 8.0.1`; null if unknown. */
  readonly server: string | null;
  readonly isCluster: boolean | null;
  readonly checks: readonly Check[];
  readonly promises: readonly PromiseState[];
  readonly capacity: Capacity | null;
}

export const passed = (id: string, found: string): Check => ({ id, state: 'passed', found, remedy: null });
export const warning = (id: string, found: string, remedy: string): Check => ({ id, state: 'warning', found, remedy });
export const failed = (id: string, found: string, remedy: string): Check => ({ id, state: 'failed', found, remedy });
export const skipped = (id: string, found: string): Check => ({ id, state: 'skipped', found, remedy: null });

const SEVERITY: Readonly<Record<CheckState, number>> = { skipped: 0, passed: 1, warning: 2, failed: 3 };

/** Returns one check for all masters of a cluster: the worst one, which names its server. */
export function worstOf(checks: ReadonlyArray<readonly [server: string, check: Check]>): Check | null {
  const sorted = [...checks].sort(([, a], [, b]) => SEVERITY[b.state] - SEVERITY[a.state]);
  const [first] = sorted;
  if (first === undefined) return null;
  const [server, check] = first;
  return checks.length === 1 || check.state === 'passed' ? check : { ...check, found: `${server}: ${check.found}` };
}
