/**
 * The key is resolved before rate limiting and enforced after it, before the body is read: guessed
 * keys count against the limit of their address, and no stranger's body is read.
 */
import type { FastifyRequest } from 'fastify';
import type { ApiKeys } from '../../auth/api-keys.ts';
import { type App, refusal } from './routing.ts';

export function registerApiKey(app: App, apiKeys: ApiKeys): void {
  app.decorateRequest('apiKeyName', null);
  app.addHook('onRequest', async (request) => {
    const presented = presentedKey(request);
    request.apiKeyName = presented === null ? null : apiKeys.check(presented);
  });
  app.addHook('preParsing', async (request) => {
    if (request.apiKeyName !== null || request.routeOptions.config.open === true || request.is404) return;
    throw refusal(
      'unauthenticated',
      presentedKey(request) === null
        ? 'The request has no API key. Send one as "Authorization: Bearer <key>" or "x-api-key: <key>".'
        : 'The API key is not known. Check API_KEYS.',
    );
  });
}

/** Returns the API key of a request, or null. */
export function presentedKey({ headers }: FastifyRequest): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const plain = headers['x-api-key'];
  return bearer ?? (typeof plain === 'string' && plain !== '' ? plain : null);
}
