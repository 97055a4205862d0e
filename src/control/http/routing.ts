/**
 * The types that routes and plugins share, and the step from an error as a value to one that
 * Fastify carries.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { Actor } from '../../domain/command.ts';
import { failure, type Result, StampedeError } from '../../protocol/codes.ts';

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the presented API key; null when there was none or an unknown one. */
    apiKeyName: string | null;
  }
  interface FastifyContextConfig {
    /** The route takes no API key. */
    open?: boolean;
  }
}

/** The value of a result, or its failure thrown for the problem handler. */
export function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new StampedeError(result.error);
  return result.value;
}

/** Who the ledger will say it was. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.apiKeyName === null) throw new StampedeError(failure('unauthenticated'));
  return `host:${request.apiKeyName}`;
}
