/**
 * Sends every error as `application/problem+json` (RFC 9457) with a code of the catalogue. Defects
 * of the engine are logged with their stack, which the response does not contain.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { ArchiveStore } from '../../domain/archive.ts';
import { type Mistake, mistakesFailure } from '../../domain/mistakes.ts';
import { LIMITS } from '../../limits.ts';
import { ERRORS, type ErrorCode, type Failure, failure, StampedeError } from '../../protocol/codes.ts';
import { wordsOfPattern } from './fields.ts';
import { MOMENT_KEYWORD, NOT_A_MOMENT } from './moments.ts';
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

export function registerProblems(app: App, store: Pick<ArchiveStore, 'whyMissing'>): void {
  const methodsOf = collectRoutes(app);
  app.setErrorHandler(async (error: unknown, request, reply) => {
    const found = failureOf(error, request);
    const show = found.code === 'show_not_found' ? showOf(request) : null;
    const missing = show === null ? null : await store.whyMissing(show);
    const isImported = missing?.ok === false && missing.error.code === 'illegal_move';
    return sendProblem(request, reply, isImported ? missing.error : found);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url);
    const allowed = methodsOf(path).join(', ');
    if (allowed === '')
      return sendProblem(request, reply, failure('not_found', `There is no route ${path}. See /docs for all routes.`));
    reply.header('allow', allowed);
    const message = `${path} does not support ${request.method}. Use ${allowed}.`;
    return sendProblem(request, reply, failure('method_not_allowed', message));
  });
}

/** Sends a failure as a problem, without the response schema of the route that failed. */
function sendProblem(request: FastifyRequest, reply: FastifyReply, reason: Failure): FastifyReply {
  const problem = problemOf(reason, pathOf(request.url), request.id, showOf(request));
  if (reason.retryAfterMs !== undefined)
    reply.header('retry-after', Math.max(1, Math.ceil(reason.retryAfterMs / 1000)));
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="stampede"');
  return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).serializer(JSON.stringify).send(problem);
}

/** For Fastify's `frameworkErrors`: URLs that cannot be decoded or are too long. */
export function onFrameworkError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(request, reply, failureOf(error, request));
}

/** For Fastify's `clientErrorHandler`: input that is not HTTP or too slow. Writes to the socket. */
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
  if (code === 'HPE_HEADER_OVERFLOW')
    return [431, failure('frame_too_large', 'The headers are too large. Send fewer or shorter headers.')];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return [408, failure('invalid_request', 'The request did not arrive in time. Send it again.')];
  return [400, failure('invalid_request', 'The bytes are not an HTTP request. Send HTTP/1.1.')];
}

/** What an API client can do next, for codes that also reach viewers. */
const NEXT_STEPS: Partial<Record<ErrorCode, (show: string) => string>> = {
  show_archived: (show) =>
    ` GET /v1/shows/${show}/archive returns its summary, and \`stampede verify --archive ARCHIVE_DIR/${show}\` ` +
    'proves its files.',
};

/** Returns the id of the show that a request is about, also of one that would be made. */
function showOf({ params, body }: FastifyRequest): string | null {
  const [{ show }, { id }] = [(params ?? {}) as { show?: string }, (body ?? {}) as { id?: unknown }];
  return show ?? (typeof id === 'string' ? id : null);
}

function problemOf(reason: Failure, instance: string, requestId: string, show: string | null = null): Problem {
  const { errors, ...details } = (reason.details ?? {}) as Record<string, unknown> & { errors?: Mistake[] };
  const listed =
    errors ??
    (typeof details.field === 'string' ? [{ path: `/${details.field}`, message: reason.message }] : undefined);
  return {
    type: `urn:stampede:problem:${reason.code}`,
    title: ERRORS[reason.code].title,
    status: ERRORS[reason.code].status,
    detail: reason.message + (show === null ? '' : (NEXT_STEPS[reason.code]?.(show) ?? '')),
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
    if (error.failure.code === 'internal') request.log.error({ err: error }, 'request failed');
    return error.failure;
  }
  const known = error as Partial<FastifyError>;
  if (known.validation) return schemaFailure(known.validation, known.validationContext ?? 'body');
  const refused = FASTIFY_REFUSALS[known.code ?? ''];
  if (refused) return refused;
  if (known.statusCode === 404) return failure('not_found');
  if (known.statusCode !== undefined && known.statusCode >= 400 && known.statusCode < 500)
    return failure('invalid_request', 'The request could not be read. Check its headers and body.');
  request.log.error({ err: error }, 'request failed');
  return failure('internal', undefined, { retryAfterMs: 1_000 });
}

const NOT_JSON = failure('invalid_request', 'The body is not valid JSON. Check its syntax.');
const NOT_JSON_TYPE = failure('unsupported_media_type', 'Send the body as application/json.');
const FASTIFY_REFUSALS: Readonly<Record<string, Failure>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: NOT_JSON_TYPE,
  FST_ERR_CTP_INVALID_TYPE: NOT_JSON_TYPE,
  FST_ERR_CTP_BODY_TOO_LARGE: failure('frame_too_large', `The body exceeds ${LIMITS.httpBodyBytesMax} bytes.`),
  FST_ERR_CTP_INVALID_JSON_BODY: NOT_JSON,
  FST_ERR_CTP_EMPTY_JSON_BODY: NOT_JSON,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: failure(
    'invalid_request',
    'The body has another length than its content-length header.',
  ),
  FST_ERR_BAD_URL: failure('invalid_request', 'The URL has an invalid percent-encoding.'),
  FST_ERR_MAX_PARAM_LENGTH: failure('invalid_request', 'A part of the URL is longer than any id.'),
};

const EMPTY = /^must NOT have fewer than 1 (characters|items|properties)$/;

type SchemaError = NonNullable<FastifyError['validation']>[number];

function schemaFailure(validation: readonly SchemaError[], context: string): Failure {
  const found = new Map<string, { first: SchemaError; readonly values: Set<unknown> }>();
  for (const mistake of validation) {
    const path = `${context === 'body' ? '' : context}${mistake.instancePath}${fieldPathOf(mistake.params)}`;
    const known = found.get(path) ?? { first: mistake, values: new Set() };
    if (found.size < LIMITS.mistakesListedMax) found.set(path, known);
    // It says what the mistakes in type and format say.
    if (mistake.keyword === MOMENT_KEYWORD) known.first = mistake;
    // Each value of a union is a mistake.
    for (const value of allowedValues(mistake)) known.values.add(value);
  }
  const errors: Mistake[] = [...found].map(([path, { first, values }]) => ({
    path,
    message: values.size > 0 ? oneOf([...values]) : messageOf(first),
  }));
  return mistakesFailure(errors);
}

function messageOf({ keyword, message, params }: SchemaError): string {
  if (keyword === MOMENT_KEYWORD) return NOT_A_MOMENT;
  const words = keyword === 'pattern' ? wordsOfPattern(String(params.pattern)) : undefined;
  if (words !== undefined) return `Must be ${words}.`;
  if (keyword === 'additionalProperties') return 'This field is not known. Check its spelling.';
  return EMPTY.test(message ?? '') ? 'Must not be empty.' : sentence(message);
}

/** Returns the values that a field may have, if the mistake is that it has another one. */
function allowedValues({ keyword, params }: SchemaError): unknown[] {
  if (keyword === 'enum' && Array.isArray(params.allowedValues)) return params.allowedValues;
  if (keyword === 'const') return [params.allowedValue];
  return keyword === 'type' && params.type === 'boolean' ? [true, false] : [];
}

const oneOf = (values: readonly unknown[]): string =>
  values.length === 1 ? `Must be ${values[0]}.` : `Must be one of ${values.join(', ')}.`;

function fieldPathOf(params: Record<string, unknown>): string {
  const name = params.missingProperty ?? params.additionalProperty;
  return typeof name === 'string' ? `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : '';
}

const sentence = (text = 'is wrong'): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;

/** Returns a lookup of the methods of a path. Fastify does not distinguish 404 and 405. */
function collectRoutes(app: App): (path: string) => string[] {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    if (url.includes('*')) return;
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const name of Array.isArray(method) ? method : [method]) route.methods.add(name);
    routes.set(url, route);
  });
  return (path) => {
    const matching = [...routes.values()].filter(({ pattern }) => pattern.test(path));
    return [...new Set(matching.flatMap(({ methods }) => [...methods]))].sort();
  };
}

function patternOf(url: string): RegExp {
  const parts = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')));
  return new RegExp(`^${parts.join('/')}$`);
}
