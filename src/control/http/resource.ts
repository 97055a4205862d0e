/** A resource of the API: its section in the docs, its shared schemas and its routes. */
import type { FastifyContextConfig } from 'fastify';
import type { TSchema } from 'typebox';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
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
  readonly body?: TSchema;
  readonly response: Readonly<Record<number, TSchema>>;
  /** Codes the route may respond with, beside those that every route has. */
  readonly errors?: readonly ErrorCode[];
  /** The route takes no API key. */
  readonly open?: boolean;
  /** See `idempotency.ts`. */
  readonly keyed?: 'script';
}

/** Returns a function that makes the options of a route, for one section of the docs. */
export function operationsOf(tag: string) {
  return <T extends Operation>(operation: T): { config: FastifyContextConfig; schema: T } => {
    const { errors = [], open = false, keyed, response, ...documented } = operation;
    const schema = {
      tags: [tag],
      ...documented,
      ...(open ? { security: [] } : {}),
      response: { ...response, ...problems(errors, { open, bodiless: operation.body === undefined }) },
    };
    return { config: { open, ...(keyed === undefined ? {} : { keyed }) }, schema: schema as unknown as T };
  };
}
