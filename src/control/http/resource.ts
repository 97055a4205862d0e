/** A resource of the API: its section in the docs, its shared schemas and its routes. */
import type { FastifyContextConfig } from 'fastify';
import type { TSchema } from 'typebox';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { ShowParams, StrictObject } from './fields.ts';
import { problems } from './problem-schema.ts';
import type { App } from './routing.ts';

export interface Resource {
  /** Sections of the API docs that this resource adds. */
  readonly tags: ReadonlyArray<{ readonly name: string; readonly description: string }>;
  /** Schemas with an `$id` that routes refer to. */
  readonly schemas: readonly TSchema[];
  /** Adds the routes. Their paths start below /v1, except those of `health`. */
  readonly register: (app: App, deps: ControlDeps) => void;
}

interface Operation {
  readonly summary: string;
  readonly description?: string;
  readonly params?: TSchema;
  readonly querystring?: TSchema;
  readonly body?: TSchema;
  readonly response: Readonly<Record<number, TSchema>>;
  /** Codes beside those of the show (its state, its format) and those that every route has. */
  readonly errors?: readonly ErrorCode[];
  /** The route takes no API key. */
  readonly open?: boolean;
  /** See `rate-limit.ts`. */
  readonly unlimited?: boolean;
  /** See `idempotency.ts`. */
  readonly keyed?: 'script';
}

/** What each route of a show may return. `illegal_move`: the show is being imported. */
const SHOW_CODES = ['show_not_found', 'show_archived', 'format_newer', 'illegal_move'] as const;

/** A query with any parameter is refused: a misspelled filter would return too much. */
const NO_QUERY = StrictObject({});

/** Options of a route: what Fastify needs, with the types of the schemas. */
interface RouteOptions<Schema> {
  readonly config: FastifyContextConfig;
  readonly schema: Schema;
}

const hasShow = (params: TSchema | undefined): boolean =>
  params !== undefined && 'show' in ((params as { properties?: object }).properties ?? {});

/** Returns functions that make the options of routes, for one section of the docs. */
export function operationsOf(tag: string) {
  const operation = <T extends Operation>(documented: T): RouteOptions<T> => {
    const { errors = [], open = false, unlimited = false, keyed, response, ...schema } = documented;
    const codes: ErrorCode[] = hasShow(documented.params) ? [...SHOW_CODES] : [];
    const all = {
      ...{ tags: [tag], querystring: NO_QUERY },
      ...schema,
      ...(open ? { security: [] } : {}),
      response: { ...response, ...problems([...codes, ...errors], { open, bodiless: schema.body === undefined }) },
    };
    return { config: { open, unlimited, ...(keyed === undefined ? {} : { keyed }) }, schema: all as unknown as T };
  };
  return {
    operation,
    /** For routes below /shows/:show without further parameters. */
    showOperation: <T extends Operation>(documented: T): RouteOptions<T & { params: typeof ShowParams }> =>
      operation({ params: ShowParams, ...documented }),
  };
}
