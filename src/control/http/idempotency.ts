/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) on every route that changes
 * something, whoever wrote the route: its handler is wrapped when it is registered. A repeat gets
 * the first answer and the header `Idempotent-Replayed: true`, another request with the key
 * `idempotency_conflict`, one that comes while the first still runs anywhere
 * `idempotency_in_progress`. Errors are not recorded. There are two kinds:
 *
 * - `config.keyed: 'script'`: the handler hands `commandOf(request)` to the store, whose script
 *   records key and answer in one step with the change. A process may die at any moment: the change
 *   is done and recorded, or neither.
 * - all others: the answer is kept after the change, before it goes out. Should the process die
 *   between the two, the repeat does it again. That is harmless for what sets something to what the
 *   request says, and is all that these do: at worst a repeated DELETE of a product finds it gone
 *   (`product_not_found`), a mute counts from the repeat, and a second token is as good as the one
 *   that nobody got.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { Type } from 'typebox';
import type { CommandGuard, CommandMeta } from '../../domain/command.ts';
import { LIMITS } from '../../limits.ts';
import { type ErrorCode, failure, ok, StampedeError } from '../../protocol/codes.ts';
import { withProblems } from './problem-schema.ts';
import { type App, actorOf, unwrap } from './routing.ts';

export const REPLAYED_HEADER = 'idempotent-replayed';

const MUTATING: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const KEY = new RegExp(`^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,${LIMITS.keyCharsMax}}$`);
const REFUSALS: readonly ErrorCode[] = ['idempotency_conflict', 'idempotency_in_progress'];

/**
 * So that the page of the API shows it. Checked below, where a bad one gets a sentence instead of a
 * pattern.
 */
const Headers = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description: `1 to ${LIMITS.keyCharsMax} visible ASCII characters, a UUID for instance; repeat it with the same body to get the recorded answer for at least 24 h`,
    }),
  ),
});

declare module 'fastify' {
  interface FastifyRequest {
    /** Set while a route that changes something runs. */
    command: CommandMeta | null;
  }
  interface FastifyContextConfig {
    /**
     * 'script': the handler passes `commandOf(request)` to a script that records it. Left out: the
     * answer is kept after the handler.
     */
    keyed?: 'script';
  }
}

/** An answer as it is kept: what the handler made of it, before the schema of the response. */
interface KeptAnswer {
  status: number;
  location?: string;
  payload: unknown;
}

/** To be called before the routes are registered. */
export function registerIdempotency(app: App, guard: CommandGuard): void {
  app.decorateRequest('command', null);
  app.addHook('onRoute', (route) => {
    const methods = Array.isArray(route.method) ? route.method : [route.method];
    if (!methods.some((method) => MUTATING.has(method))) return;
    route.schema = {
      ...route.schema,
      headers: Headers,
      response: withProblems(route.schema?.response as object, REFUSALS),
    };
    route.handler = keyedHandler(route, guard);
  });
}

/**
 * Key and actor of a request that changes something. A key that we make up is nobody's to repeat.
 */
export function commandOf(request: FastifyRequest): CommandMeta {
  if (request.command === null)
    throw new StampedeError(failure('internal', `${request.method} ${request.routeOptions.url} takes no key`));
  return request.command;
}

function keyedHandler({ handler, config }: RouteOptions, guard: CommandGuard): RouteOptions['handler'] {
  return async function keyed(request, reply) {
    const key = keyOf(request);
    const command = {
      key: key ?? randomUUID(),
      actor: whoAsks(request),
      onReplayed: () => void reply.header(REPLAYED_HEADER, 'true'),
    };
    request.command = command;
    const work = async (): Promise<unknown> => handler.call(this, request, reply);
    if (key === null) return work();
    const show = (request.params as { show?: string }).show ?? '';
    if (config?.keyed === 'script') return unwrap(await guard.alone(show, command, async () => ok(await work())));
    const body = [request.method, request.routeOptions.url, request.params, request.body];
    return give(reply, unwrap(await guard.once(show, command, body, async () => ok(keep(reply, await work())))));
  };
}

function keep(reply: FastifyReply, payload: unknown): KeptAnswer {
  const location = reply.getHeader('location');
  return { status: reply.statusCode, payload, ...(typeof location === 'string' ? { location } : {}) };
}

function give(reply: FastifyReply, { status, location, payload }: KeptAnswer): unknown {
  reply.code(status);
  if (location !== undefined) reply.header('location', location);
  return payload;
}

/**
 * Where no API key is needed, an address stands for whoever asks: no stranger gets the answer of
 * another.
 */
const whoAsks = (request: FastifyRequest): string =>
  request.apiKeyName === null ? `address:${request.ip}` : actorOf(request);

/**
 * The draft makes the value a quoted string (RFC 8941); many clients send it bare. Both name the
 * same key.
 */
function keyOf(request: FastifyRequest): string | null {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return null;
  const text = Array.isArray(header) ? header.join(',') : header.trim();
  const bare = text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  if (!KEY.test(bare)) {
    const errors = [
      { path: 'headers/idempotency-key', message: `Must be 1 to ${LIMITS.keyCharsMax} visible ASCII characters.` },
    ];
    throw new StampedeError(
      failure('invalid_request', `Idempotency-Key: ${errors[0]?.message}`, { details: { errors } }),
    );
  }
  return bare;
}
