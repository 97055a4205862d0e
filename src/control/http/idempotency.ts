/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) on every route that changes
 * something: the handler is wrapped when the route is registered. A repeat gets the recorded
 * response and the header `Idempotent-Replayed: true`. Errors are not recorded.
 *
 * - `keyed: 'script'`: the handler passes `commandOf(request)` to the store, whose script records
 *   key and result in one step with the change.
 * - All others: the response is recorded after the change. If the process dies between the two, the
 *   repeat runs the handler again, so these handlers must only set what the request says.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { Type } from 'typebox';
import type { CommandGuard, CommandMeta } from '../../domain/command.ts';
import { LIMITS } from '../../limits.ts';
import { type ErrorCode, ok } from '../../protocol/codes.ts';
import { withProblems } from './problem-schema.ts';
import { type App, actorOf, refusal, unwrap } from './routing.ts';

export const REPLAYED_HEADER = 'idempotent-replayed';

const MUTATING: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const KEY = new RegExp(`^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,${LIMITS.keyCharsMax}}$`);
const REFUSALS: readonly ErrorCode[] = ['idempotency_conflict', 'idempotency_in_progress'];

/** For the API docs. `keyOf` checks the value, with a better message than that of a pattern. */
const Headers = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        `1 to ${LIMITS.keyCharsMax} visible ASCII characters, for example a UUID. ` +
        'Repeat it with the same body to get the recorded response for at least 24 h',
    }),
  ),
});

declare module 'fastify' {
  interface FastifyRequest {
    /** Set while the handler of a route that changes something runs. */
    command: CommandMeta | null;
  }
  interface FastifyContextConfig {
    /** 'script': a script records the key. Otherwise the response is recorded after the handler. */
    keyed?: 'script';
  }
}

/** What is recorded: the handler's result, before it is serialized by the response schema. */
interface RecordedResponse {
  status: number;
  location?: string;
  payload: unknown;
}

/** Wraps the routes that are registered afterwards. */
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

/** Returns key and actor of a mutating request. Without the header the key is random. */
export function commandOf(request: FastifyRequest): CommandMeta {
  if (request.command === null)
    throw refusal('internal', `${request.method} ${request.routeOptions.url} takes no key.`);
  return request.command;
}

function keyedHandler({ handler, config }: RouteOptions, guard: CommandGuard): RouteOptions['handler'] {
  return async function keyed(request, reply) {
    const key = keyOf(request);
    const command: CommandMeta = {
      key: key ?? randomUUID(),
      // Without an API key the address is the actor: no stranger gets another one's response.
      actor: request.apiKeyName === null ? `address:${request.ip}` : actorOf(request),
      onReplayed: () => void reply.header(REPLAYED_HEADER, 'true'),
    };
    request.command = command;
    const work = async (): Promise<unknown> => handler.call(this, request, reply);
    if (key === null) return work();
    const show = (request.params as { show?: string }).show ?? '';
    if (config?.keyed === 'script') return unwrap(await guard.alone(show, command, async () => ok(await work())));
    const body = [request.method, request.routeOptions.url, request.params, request.body];
    return replay(reply, unwrap(await guard.once(show, command, body, async () => ok(record(reply, await work())))));
  };
}

function record(reply: FastifyReply, payload: unknown): RecordedResponse {
  const location = reply.getHeader('location');
  return { status: reply.statusCode, payload, ...(typeof location === 'string' ? { location } : {}) };
}

function replay(reply: FastifyReply, { status, location, payload }: RecordedResponse): unknown {
  reply.code(status);
  if (location !== undefined) reply.header('location', location);
  return payload;
}

/** Returns the key, or null without one. Quoted (RFC 8941) and bare values name the same key. */
function keyOf(request: FastifyRequest): string | null {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return null;
  const text = Array.isArray(header) ? header.join(',') : header.trim();
  const bare = text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  if (!KEY.test(bare)) {
    const message = `Must be 1 to ${LIMITS.keyCharsMax} visible ASCII characters.`;
    const errors = [{ path: 'headers/idempotency-key', message }];
    throw refusal('invalid_request', `Idempotency-Key: ${message}`, { details: { errors } });
  }
  return bare;
}
