/** Types and helpers that routes and plugins share. */
import { setMaxListeners } from 'node:events';
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
    /** Name of the presented API key; null without one and for an unknown one. */
    apiKeyName: string | null;
  }
  interface FastifyContextConfig {
    /** The route takes no API key. */
    open?: boolean;
    /** With a valid API key, the route has no rate limit. */
    unlimited?: boolean;
  }
}

/** Returns a signal that aborts when the API closes: who waits for long work replies then. */
export function closingSignal(app: App): AbortSignal {
  const closing = new AbortController();
  // Each request that waits has a listener.
  setMaxListeners(0, closing.signal);
  app.addHook('preClose', async () => closing.abort());
  return closing.signal;
}

/** Returns the error to throw for a failure with this code; `problems.ts` sends it. */
export const refusal = (...reason: Parameters<typeof failure>): StampedeError => new StampedeError(failure(...reason));

/** Returns the value of a result. Throws its failure. */
export function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new StampedeError(result.error);
  return result.value;
}

/** Reads a list without what cannot be read. Returns it with the field that names this, if any. */
export async function listedIn<T>(
  list: (onUnreadable: (id: string) => void) => Promise<Result<T>>,
): Promise<[T, { unreadable?: string[] }]> {
  const unreadable: string[] = [];
  const value = unwrap(await list((id) => unreadable.push(id)));
  return [value, unreadable.length === 0 ? {} : { unreadable }];
}

/** Returns the actor that the ledger records for the request. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.apiKeyName === null) throw refusal('unauthenticated');
  return `host:${request.apiKeyName}`;
}
