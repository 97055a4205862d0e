/** Commands: who changes something, and the key that makes a repeat harmless. */
import type { Result } from '../protocol/codes.ts';

/** Who caused a change: `host:<api key name>`, `user:<id>`, `job` or `node:<id>`. */
export type Actor = string;

/** Every command that changes stock carries a key (promise I4). */
export interface CommandMeta {
  readonly key: string;
  readonly actor: Actor;
  /** Called first if the result is the recorded one of an earlier command with this key. */
  readonly onReplayed?: () => void;
}

export interface CommandGuard {
  /**
   * Runs a command unless one with the same actor and key is running on any node
   * (`idempotency_in_progress`). If the node of the first one dies, others wait for at most
   * `commandMarkerMs`; the record of the key then decides.
   */
  alone<T>(showId: string, command: CommandMeta, work: () => Promise<Result<T>>): Promise<Result<T>>;
  /**
   * For commands whose key no script records: runs `work` alone and keeps its result (any JSON
   * value) for `idempotencyTtlMs`. A repeat with an equal `body` returns that result, another body
   * is `idempotency_conflict`. `showId` '' means: no show. Failures are not kept. The result is
   * kept after the change, not with it, so a crash between the two makes the repeat run `work`
   * again. `work` must therefore be idempotent by itself.
   */
  once<T>(showId: string, command: CommandMeta, body: unknown, work: () => Promise<Result<T>>): Promise<Result<T>>;
}
