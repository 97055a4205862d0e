/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). The store records key and answer in the same script as the change, so a repeat gets the
 * recorded answer and another body `idempotency_conflict`. Here only the overlap is handled: while the first request with a key still runs
 * in this process, a second one is told to wait. Without the header every request is a command of its own.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { failure, type Result, StampedeError } from '../../protocol/codes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { CommandMeta } from '../../sales/types.ts';
import { actorOf } from '../routing.ts';

const IN_PROGRESS_RETRY_MS = 500;
const KEY = new RegExp(`^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,${LIMITS.keyCharsMax}}$`);

/** For the schema of a route, so that the page of the API shows it. Checked below, where a bad one gets a sentence instead of a pattern. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description: `1 to ${LIMITS.keyCharsMax} visible ASCII characters, a UUID for instance; repeat it with the same body to get the recorded answer for at least 24 h`,
    }),
  ),
});

export interface Commands {
  /** Runs a command under the key of its request and hands out its answer. */
  run<T>(request: FastifyRequest, showId: string, command: (meta: CommandMeta) => Promise<Result<T>>): Promise<Result<T>>;
}

export function createCommands(): Commands {
  const running = new Set<string>();
  return {
    async run(request, showId, command) {
      const actor = actorOf(request);
      const key = keyOf(request);
      const name = `${showId}\n${actor}\n${key}`;
      if (running.has(name)) throw new StampedeError(failure('idempotency_in_progress', undefined, { retryAfterMs: IN_PROGRESS_RETRY_MS }));
      running.add(name);
      try {
        return await command({ key, actor });
      } finally {
        running.delete(name);
      }
    },
  };
}

/** The draft makes the value a quoted string (RFC 8941); many clients send it bare. Both name the same key. */
function keyOf(request: FastifyRequest): string {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return randomUUID();
  const text = Array.isArray(header) ? header.join(',') : header.trim();
  const bare = text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  if (!KEY.test(bare)) {
    const errors = [{ path: 'headers/idempotency-key', message: `Must be 1 to ${LIMITS.keyCharsMax} visible ASCII characters.` }];
    throw new StampedeError(failure('invalid_request', `Idempotency-Key: ${errors[0]?.message}`, { details: { errors } }));
  }
  return bare;
}
