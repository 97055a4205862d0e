/** The schema of errors (RFC 9457) and the errors of each route, from the catalogue of codes. */
import { Type } from 'typebox';
import { ERRORS, type ErrorCode, type Policy } from '../../protocol/codes.ts';

export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[];
export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'urn:stampede:problem:<code>' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What happened and what to do, for people' }),
    code: Type.Unsafe<ErrorCode>({ type: 'string', enum: ERROR_CODES, description: 'Stable, for programs' }),
    instance: Type.String({ description: 'Path of the request' }),
    requestId: Type.String({ description: 'Also in the header x-request-id and in the logs' }),
    retryAfterMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Wait at least this long before you try again; also as Retry-After, in whole seconds',
      }),
    ),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Facts for programs' })),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({
            description: 'JSON pointer into the body, or params, querystring, headers and a pointer',
          }),
          message: Type.String(),
        }),
      ),
    ),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details' },
);

/** Every route below /v1 may respond with these. */
const ALWAYS: readonly ErrorCode[] = ['invalid_request', 'rate_limited', 'redis_unavailable', 'draining', 'internal'];
const WITH_KEY: readonly ErrorCode[] = ['unauthenticated', 'redis_full', 'redis_readonly'];
const WITH_BODY: readonly ErrorCode[] = ['unsupported_media_type', 'frame_too_large'];

interface ProblemsOf {
  /** The route takes no API key. */
  readonly open?: boolean;
  /** The route takes no body. */
  readonly bodiless?: boolean;
}

/** Returns the errors of a route's `response`: one entry per status, which names its codes. */
export function problems(codes: readonly ErrorCode[], { open = false, bodiless = false }: ProblemsOf = {}): object {
  return withProblems({}, [
    ...new Set([...ALWAYS, ...(open ? [] : WITH_KEY), ...(bodiless ? [] : WITH_BODY), ...codes]),
  ]);
}

/** Returns a `response` with more codes. It must not name one of them already. */
export function withProblems(response: object, codes: readonly ErrorCode[]): object {
  const entries: Record<string, unknown> = { ...response };
  for (const code of codes) {
    const { status, title } = ERRORS[code];
    const others = (entries[status] as { description: string } | undefined)?.description;
    const description = `${others === undefined ? '' : `${others} `}\`${code}\`: ${title}.`;
    entries[status] = { description, content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: 'Problem#' } } } };
  }
  return entries;
}

const ADVICE: Readonly<Record<Policy, string>> = {
  fix: 'fix the request',
  retry: 'try again later, with the same key',
  resume: 'reconnect and catch up',
  stop: 'do not try again',
};

/** Returns the catalogue as a Markdown table for the description of the API. */
export function catalogueTable(): string {
  const rows = ERROR_CODES.map(
    (code) => `| \`${code}\` | ${ERRORS[code].status} | ${ERRORS[code].title} | ${ADVICE[ERRORS[code].policy]} |`,
  );
  return ['| code | status | meaning | what to do |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
