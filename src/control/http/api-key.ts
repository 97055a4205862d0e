/**
 * Who asks. The key is looked up first and missed only later, between the rate limiter and the
 * reading of the body: guesses at keys are counted against their address, and nobody unknown makes
 * us read a body.
 */
import type { FastifyRequest } from 'fastify';
import type { ApiKeys } from '../../auth/api-keys.ts';
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { App } from './routing.ts';

export function registerApiKey(app: App, apiKeys: ApiKeys): void {
  app.decorateRequest('apiKeyName', null);
  app.addHook('onRequest', async (request) => {
    const presented = presentedKey(request);
    request.apiKeyName = presented === null ? null : apiKeys.check(presented);
  });
  app.addHook('preParsing', async (request) => {
    if (request.apiKeyName !== null || request.routeOptions.config.open === true || request.is404) return;
    const why =
      presentedKey(request) === null
        ? 'Give an API key as "Authorization: Bearer <key>" or "x-api-key: <key>".'
        : 'This API key is not known.';
    throw new StampedeError(failure('unauthenticated', why));
  });
}

function presentedKey({ headers }: FastifyRequest): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const plain = headers['x-api-key'];
  return bearer ?? (typeof plain === 'string' && plain !== '' ? plain : null);
}
