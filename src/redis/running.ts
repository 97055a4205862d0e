/**
 * Commands with a key. Which of them run right now, on whatever node: a key of its own a command,
 * set if it is not there, with a bounded life. It only tells a repeat to wait; what is decided, and
 * whether a key was used before, is known to its record alone. So a marker that lapses early or is
 * lost does no harm. That record is written by the scripts, in one step with the change; `once`
 * keeps it for commands that have no such script.
 */
import { hash, randomUUID } from 'node:crypto';
import type { CommandGuard, CommandMeta } from '../domain/command.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { ScriptSession } from './session.ts';
import { bodyHash } from './shows.ts';

const RETRY_MS = 500;
const NOT_KEPT = 'It was carried out, but Redis did not keep the answer: repeat it with the same key.';
/**
 * Takes the marker away if it is still ours: ours may have lapsed, and another request's stand
 * there by now.
 */
const GIVE_UP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

const nameOf = ({ key, actor }: CommandMeta): string => hash('sha256', `${actor}\0${key}`, 'base64url');

export class RunningCommands implements CommandGuard {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  alone<T>(showId: string, command: CommandMeta, work: () => Promise<Result<T>>): Promise<Result<T>> {
    const { client } = this.#session.link;
    const record = this.#session.keys.answer(showId, nameOf(command));
    return this.#marked(showId, command, async () => {
      const other = await this.#session.guard(() => client.exists(record));
      if (!other.ok) return other;
      return other.value === 0 ? work() : conflict(command);
    });
  }

  async #marked<T>(showId: string, command: CommandMeta, work: () => Promise<Result<T>>): Promise<Result<T>> {
    const { client } = this.#session.link;
    const marker = this.#session.keys.running(showId, nameOf(command));
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

  once<T>(showId: string, command: CommandMeta, body: unknown, work: () => Promise<Result<T>>): Promise<Result<T>> {
    const { client } = this.#session.link;
    const record = this.#session.keys.answer(showId, nameOf(command));
    const fingerprint = bodyHash(body);
    return this.#marked(showId, command, async () => {
      const known = await this.#session.guard(() => client.get(record));
      if (!known.ok) return known;
      if (known.value !== null) return recall<T>(known.value, fingerprint, command);
      const scripted = await this.#session.guard(() => this.#isScripted(showId, command));
      if (!scripted.ok) return scripted;
      if (scripted.value) return conflict(command);
      const done = await work();
      if (!done.ok) return done;
      const kept = JSON.stringify([fingerprint, done.value]);
      // Where the marker lapsed meanwhile, the first answer kept stands for all. One that could not
      // be kept is not given: its repeat would get another.
      const earlier = await this.#session.guard(() =>
        client.set(record, kept, 'PX', LIMITS.idempotencyTtlMs, 'NX', 'GET'),
      );
      if (!earlier.ok) return { ok: false, error: { ...earlier.error, message: NOT_KEPT } };
      return earlier.value === null || earlier.value === kept ? done : recall<T>(earlier.value, fingerprint, command);
    });
  }

  /**
   * Is the key that of a command whose script has recorded it (`command_field` in
   * lua/lib/commit.lua)?
   */
  async #isScripted(showId: string, { actor, key }: CommandMeta): Promise<boolean> {
    if (showId === '') return false;
    const { client } = this.#session.link;
    const { idem, 'idem-old': older } = this.#session.keys.show(showId).of;
    const field = `${actor}\0${key}`;
    const found = await Promise.all([client.hexists(idem, field), client.hexists(older, field)]);
    return found.includes(1);
  }
}

const conflict = ({ key }: CommandMeta): Result<never> => fail('idempotency_conflict', undefined, { details: { key } });

function recall<T>(record: string, fingerprint: string, command: CommandMeta): Result<T> {
  const [body, answer] = JSON.parse(record) as [body: string, answer: T];
  if (body !== fingerprint) return conflict(command);
  command.onReplayed?.();
  return ok(answer);
}
