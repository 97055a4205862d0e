/** Limits requests per minute and process, by API key, or by address without a valid key. */
import rateLimit from '@fastify/rate-limit';
import { LIMITS } from '../../limits.ts';
import { type App, refusal } from './routing.ts';

export async function registerRateLimit(app: App, ratePerMinute: number = LIMITS.httpRatePerMinute): Promise<void> {
  await app.register(rateLimit, {
    global: true,
    max: ratePerMinute,
    timeWindow: 60_000,
    cache: LIMITS.httpRateKeysMax,
    hook: 'onRequest',
    keyGenerator: (request) => (request.apiKeyName === null ? `address ${request.ip}` : `key ${request.apiKeyName}`),
    errorResponseBuilder: (_request, { max, ttl }) =>
      refusal(
        'rate_limited',
        `More than ${max} requests arrived in a minute. Wait ${Math.ceil(ttl / 1000)} s, then try again.`,
        { retryAfterMs: ttl },
      ),
  });
}
