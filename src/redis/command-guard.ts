/**
 * Commands with a key. While one runs, a marker with a limited lifetime makes its repeat wait on
 * any node. The marker may expire early: the record of the key decides. Scripts write that record
 * with the change; `once` keeps it for commands without a script.
 */
import { hash, randomUUID } from 'node:crypto';
import type { CommandGuard, CommandMeta } from '../domain/command.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { bodyHash } from './body-hash.ts';
import type { ScriptRunner } from './script-runner.ts';

const RETRY_MS = 500;
const NOT_KEPT = 'The command was carried out, but Redis did not keep its result: repeat it with the same key.';
/** Deletes the marker if this command still owns it: it may have expired and belong to another. */
const DELETE_MARKER = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

const nameOf = ({ key, actor }: CommandMeta): string => hash('sha256', `${actor}\0${key}`, 'base64url');
const conflict = ({ key }: CommandMeta): Result<never> => fail('idempotency_conflict', undefined, { details: { key } });

export function createCommandGuard(runner: ScriptRunner): CommandGuard {
  function recorded<T>(key: string, record: string, wantedBody: string, command: CommandMeta): Result<T> {
    const read = runner.decoded(key, ok(record), (text) => {
      const [body, result] = JSON.parse(text) as [body: string, result: T];
      return { body, result };
    });
    if (!read.ok) return read;
    if (read.value.body !== wantedBody) return conflict(command);
    command.onReplayed?.();
    return ok(read.value.result);
  }

  async function whileMarked<T>(
    showId: string,
    command: CommandMeta,
    work: () => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const marker = runner.keys.running(showId, nameOf(command));
    const owner = randomUUID();
    const taken = await runner.write('SET', marker, owner, 'PX', LIMITS.commandMarkerMs, 'NX');
    if (!taken.ok) return taken;
    if (taken.value === null) return fail('idempotency_in_progress', undefined, { retryAfterMs: RETRY_MS });
    try {
      return await work();
    } finally {
      // Before the result is returned, so that the caller may repeat the key at once on any node.
      await runner.guard((client) => client.eval(DELETE_MARKER, 1, marker, owner));
    }
  }

  /** Has a script recorded this key? (lua/lib/idempotency.lua) */
  async function isScripted(showId: string, { actor, key }: CommandMeta): Promise<boolean> {
    if (showId === '') return false;
    const { idem, 'idem-old': older } = runner.keysOf(showId);
    const field = `${actor}\0${key}`;
    return (await Promise.all([idem, older].map((generation) => runner.client.hexists(generation, field)))).includes(1);
  }

  return {
    alone(showId, command, work) {
      const record = runner.keys.result(showId, nameOf(command));
      return whileMarked(showId, command, async () => {
        const other = await runner.guard((client) => client.exists(record));
        if (!other.ok) return other;
        return other.value === 0 ? work() : conflict(command);
      });
    },

    once<T>(showId: string, command: CommandMeta, body: unknown, work: () => Promise<Result<T>>) {
      const record = runner.keys.result(showId, nameOf(command));
      const wantedBody = bodyHash(body);
      return whileMarked(showId, command, async (): Promise<Result<T>> => {
        const known = await runner.guard((client) => client.get(record));
        if (!known.ok) return known;
        if (known.value !== null) return recorded<T>(record, known.value, wantedBody, command);
        const scripted = await runner.guard(() => isScripted(showId, command));
        if (!scripted.ok) return scripted;
        if (scripted.value) return conflict(command);
        const done = await work();
        if (!done.ok) return done;
        const kept = JSON.stringify([wantedBody, done.value]);
        // If the marker expired meanwhile, the first kept result counts for all. A result that
        // could not be kept is not returned: a repeat would get another.
        const earlier = await runner.write('SET', record, kept, 'PX', LIMITS.idempotencyTtlMs, 'NX', 'GET');
        if (!earlier.ok) return { ok: false, error: { ...earlier.error, message: NOT_KEPT } };
        if (earlier.value === null || earlier.value === kept) return done;
        return recorded<T>(record, String(earlier.value), wantedBody, command);
      });
    },
  };
}
