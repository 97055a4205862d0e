/** Commands: the actor of a change, and the key that makes a repeat harmless. */
import type { Result } from '../protocol/codes.ts';

/** The actor of a change: `host:<api key name>`, `user:<id>`, `job` or `node:<id>`. */
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
   * For commands whose key no script records: runs `work` alone and keeps its result (not a
   * failure) for `idempotencyTtlMs`. A repeat with another `body` is `idempotency_conflict`. After
   * a crash between change and record the repeat runs `work` again, so `work` must be idempotent.
   * `showId` '' means: no show.
   */
  once<T>(showId: string, command: CommandMeta, body: unknown, work: () => Promise<Result<T>>): Promise<Result<T>>;
}
