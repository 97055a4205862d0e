/** What is known about the Redis of the engine: its clock, its state, how it keeps a decision. */
import type { Result } from '../protocol/codes.ts';

export type Durability = 'memory' | 'everysec' | 'always' | 'unknown';

export interface Health {
  /** Redis time in Unix milliseconds, from a monotonic local clock and a measured offset. */
  now(): number;
  /** The largest error of `now()`: half the round trip of the best clock sample. */
  nowErrorMs(): number;
  /** null while Redis replies; otherwise the reason why not. */
  trouble(): string | null;
  durability(): Durability;
  /** Run id of the Redis server; epochs change with it. Null until known, and in a cluster. */
  runId(): string | null;
  ping(): Promise<Result<{ roundTripMs: number }>>;
}
