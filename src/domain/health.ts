/**
 * What is known about the Redis behind the engine: its clock, its state, how durably it keeps a
 * decision.
 */
import type { Result } from '../protocol/codes.ts';

export type Durability = 'memory' | 'everysec' | 'always' | 'unknown';

export interface Health {
  /**
   * Milliseconds since the Unix epoch on the Redis clock, from a monotonic local clock plus a
   * measured offset.
   */
  now(): number;
  /**
   * Half the round trip of the best clock sample: the true Redis time lies within now() +- this.
   */
  nowErrorMs(): number;
  /** null while Redis replies; otherwise the reason why not. */
  trouble(): string | null;
  durability(): Durability;
  /**
   * Run id of the Redis server; epochs change with it. Null until known, and in a cluster (each
   * master has its own).
   */
  runId(): string | null;
  ping(): Promise<Result<{ roundTripMs: number }>>;
}
