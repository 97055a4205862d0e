/**
 * Which commands run right now, on whatever node: a key of its own a command, set if it is not there, with a bounded life. It only tells a repeat to
 * wait; what is decided, and whether a key was used before, is known to the scripts alone. So a marker that lapses early or is lost does no harm.
 */
import { hash, randomUUID } from 'node:crypto';
import { fail, type Result } from '../protocol/codes.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { CommandGuard } from '../sales/ports.ts';
import type { CommandMeta } from '../sales/types.ts';
import type { ScriptSession } from './session.ts';

const RETRY_MS = 500;
/** Takes the marker away if it is still ours: ours may have lapsed, and another request's stand there by now. */
const GIVE_UP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

export class RunningCommands implements CommandGuard {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  async alone<T>(showId: string, { key, actor }: CommandMeta, work: () => Promise<Result<T>>): Promise<Result<T>> {
    const { client } = this.#session.link;
    const marker = this.#session.keys.running(showId, hash('sha256', `${actor}\0${key}`, 'base64url'));
    const ours = randomUUID();
    const taken = await this.#session.guard(() => client.set(marker, ours, 'PX', LIMITS.commandMarkerMs, 'NX'));
    if (!taken.ok) return taken;
    if (taken.value === null) return fail('idempotency_in_progress', undefined, { retryAfterMs: RETRY_MS });
    try {
      return await work();
    } finally {
      // Before the answer goes out, so that whoever has it may repeat the key at once, anywhere.
      await this.#session.guard(() => client.eval(GIVE_UP, 1, marker, ours));
    }
  }
}
