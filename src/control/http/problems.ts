/**
 * Every error leaves as `application/problem+json` (RFC 9457) with a code of the catalogue:
 * refusals of the engine, schema failures, what Fastify and Node refuse before a route is found.
 * What is nobody's fault but ours is logged with its stack and answered without it.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Mistake } from '../../domain/mistakes.ts';
import { LIMITS } from '../../limits.ts';
import { ERRORS, type ErrorCode, type Failure, failure, StampedeError } from '../../protocol/codes.ts';
import { PROBLEM_MEDIA_TYPE } from './problem-schema.ts';
import type { App } from './routing.ts';

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  instance: string;
  requestId: string;
  retryAfterMs?: number;
  details?: Record<string, unknown>;
  errors?: Mistake[];
}

export function registerProblems(app: App): void {
  const methodsOf = collectRoutes(app);
  app.setErrorHandler((error: unknown, request, reply) => sendProblem(request, reply, failureOf(error, request)));
  app.setNotFoundHandler((request, reply) => {
    const allowed = methodsOf(pathOf(request.url));
    if (allowed.length === 0)
      return sendProblem(
        request,
        reply,
        failure('not_found', `There is no ${pathOf(request.url)} here: the routes are listed at /docs.`),
      );
    reply.header('allow', allowed.join(', '));
    return sendProblem(
      request,
      reply,
      failure('method_not_allowed', `${request.method} is not for this address: it knows ${allowed.join(', ')}.`),
    );
  });
}

/**
 * Sends a failure as a problem. Serialised here: the answer must not depend on the response schema
 * of the route that failed.
 */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, reason: Failure): FastifyReply {
  const problem = problemOf(reason, pathOf(request.url), request.id);
  if (reason.retryAfterMs !== undefined)
    reply.header('retry-after', Math.max(1, Math.ceil(reason.retryAfterMs / 1000)));
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="stampede"');
  return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).serializer(JSON.stringify).send(problem);
}

/** For Fastify's `frameworkErrors`: addresses that cannot be decoded or are far too long. */
export function onFrameworkError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(request, reply, failureOf(error, request));
}

/**
 * For Fastify's `clientErrorHandler`: what arrived is not HTTP, or came too slowly. There is no
 * request to answer, only a socket.
 */
export function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || socket.destroyed || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, reason] = rawRefusal(error.code);
  const body = JSON.stringify({ ...problemOf(reason, '', ''), status });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function rawRefusal(code: string | undefined): [number, Failure] {
  if (code === 'HPE_HEADER_OVERFLOW') return [431, failure('frame_too_large', 'The headers are too large.')];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return [408, failure('invalid_request', 'The request did not arrive in time.')];
  return [400, failure('invalid_request', 'This is not an HTTP request.')];
}

function problemOf(reason: Failure, instance: string, requestId: string): Problem {
  const { errors, ...details } = (reason.details ?? {}) as Record<string, unknown> & { errors?: Mistake[] };
  const listed =
    errors ??
    (typeof details.field === 'string' ? [{ path: `/${details.field}`, message: reason.message }] : undefined);
  return {
    type: `urn:stampede:problem:${reason.code}`,
    title: ERRORS[reason.code].title,
    status: ERRORS[reason.code].status,
    detail: reason.message,
    code: reason.code,
    instance,
    requestId,
    ...(reason.retryAfterMs === undefined ? {} : { retryAfterMs: reason.retryAfterMs }),
    ...(Object.keys(details).length === 0 ? {} : { details }),
    ...(listed === undefined ? {} : { errors: listed }),
  };
}

function failureOf(error: unknown, request: FastifyRequest): Failure {
  if (error instanceof StampedeError) {
    if (error.failure.code === 'internal') request.log.error({ err: error }, 'a request failed');
    return error.failure;
  }
  const known = error as Partial<FastifyError>;
  if (known.validation) return schemaFailure(known.validation, known.validationContext ?? 'body');
  const refused = FASTIFY_REFUSALS[known.code ?? ''];
  if (refused) return refused;
  if (known.statusCode === 404) return failure('not_found');
  if (known.statusCode !== undefined && known.statusCode >= 400 && known.statusCode < 500)
    return failure('invalid_request', 'The request could not be read.');
  request.log.error({ err: error }, 'a request failed');
  return failure('internal', undefined, { retryAfterMs: 1_000 });
}

const notJson = failure('invalid_request', 'The body is not JSON.');
const FASTIFY_REFUSALS: Readonly<Record<string, Failure>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: failure('unsupported_media_type', 'Send the body as application/json.'),
  FST_ERR_CTP_INVALID_TYPE: failure('unsupported_media_type', 'Send the body as application/json.'),
  FST_ERR_CTP_BODY_TOO_LARGE: failure('frame_too_large', `The body is larger than ${LIMITS.httpBodyBytesMax} bytes.`),
  FST_ERR_CTP_INVALID_JSON_BODY: notJson,
  FST_ERR_CTP_EMPTY_JSON_BODY: notJson,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: failure('invalid_request', 'The body is not as long as its content-length says.'),
  FST_ERR_BAD_URL: failure('invalid_request', 'The address holds a broken percent-encoding.'),
  FST_ERR_MAX_PARAM_LENGTH: failure('invalid_request', 'A part of the address is longer than any id.'),
};

type SchemaError = NonNullable<FastifyError['validation']>[number];

function schemaFailure(validation: readonly SchemaError[], context: string): Failure {
  const errors: Mistake[] = [];
  for (const mistake of validation) {
    const path = `${context === 'body' ? '' : context}${mistake.instancePath}${missingOrForeign(mistake.params)}`;
    const message = messageOf(mistake);
    if (errors.length < LIMITS.mistakesListedMax && !errors.some((known) => known.path === path))
      errors.push({ path, message });
  }
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return failure(
    'invalid_request',
    first ? `${first.path === '' ? '' : `${first.path}: `}${first.message}${more}` : undefined,
    { details: { errors } },
  );
}

function messageOf({ keyword, params, message }: SchemaError): string {
  if (keyword === 'additionalProperties') return 'This field is not known here: a typing error?';
  if (keyword === 'enum' && Array.isArray(params.allowedValues))
    return `Must be one of ${params.allowedValues.join(', ')}.`;
  return sentence(message);
}

function missingOrForeign(params: Record<string, unknown>): string {
  const name = params.missingProperty ?? params.additionalProperty;
  return typeof name === 'string' ? `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : '';
}

const sentence = (text = 'is wrong'): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;

/**
 * Fastify answers a known address with a wrong method as if it did not exist; this table tells the
 * two apart. Asked on that way only.
 */
function collectRoutes(app: App): (path: string) => string[] {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    if (url.includes('*')) return;
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const name of Array.isArray(method) ? method : [method]) route.methods.add(name);
    routes.set(url, route);
  });
  return (path) =>
    [
      ...new Set(
        [...routes.values()].filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => [...methods]),
      ),
    ].sort();
}

function patternOf(url: string): RegExp {
  const parts = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')));
  return new RegExp(`^${parts.join('/')}$`);
}
