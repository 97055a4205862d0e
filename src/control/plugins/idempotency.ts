/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). The store records key and answer in the same script as the change, so a repeat gets the
 * recorded answer and another body `idempotency_conflict`, on whatever node. Here only the overlap is handled: while the first request with a key still
 * runs anywhere, a second one is told to wait. Without the header every request is a command of its own.
 */
import { hash, randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { failure, type Result, StampedeError } from '../../protocol/codes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { CommandGuard } from '../../sales/ports.ts';
import type { CommandMeta } from '../../sales/types.ts';
import { actorOf } from '../routing.ts';

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
  /** A name for what the caller left unnamed: a repeat with the key names the same. Null without a key. */
  nameFor(request: FastifyRequest, prefix: string): string | null;
}

export function createCommands(guard: CommandGuard): Commands {
  return {
    async run(request, showId, command) {
      const actor = actorOf(request);
      const key = keyOf(request);
      // A key that we make up is nobody's to repeat.
      if (key === null) return command({ key: randomUUID(), actor });
      return guard.alone(showId, { key, actor }, () => command({ key, actor }));
    },
    nameFor(request, prefix) {
      const key = keyOf(request);
      return key === null ? null : `${prefix}-${hash('sha256', `${actorOf(request)}\0${key}`, 'hex').slice(0, 20)}`;
    },
  };
}

/** The draft makes the value a quoted string (RFC 8941); many clients send it bare. Both name the same key. */
function keyOf(request: FastifyRequest): string | null {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return null;
  const text = Array.isArray(header) ? header.join(',') : header.trim();
  const bare = text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  if (!KEY.test(bare)) {
    const errors = [{ path: 'headers/idempotency-key', message: `Must be 1 to ${LIMITS.keyCharsMax} visible ASCII characters.` }];
    throw new StampedeError(failure('invalid_request', `Idempotency-Key: ${errors[0]?.message}`, { details: { errors } }));
  }
  return bare;
}
