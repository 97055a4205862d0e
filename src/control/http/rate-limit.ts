/**
 * A fixed window a minute, per API key, and per address where no valid key came along. Counted per
 * process.
 */
import rateLimit from '@fastify/rate-limit';
import { LIMITS } from '../../limits.ts';
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { App } from './routing.ts';

export async function registerRateLimit(app: App, ratePerMinute: number = LIMITS.httpRatePerMinute): Promise<void> {
  await app.register(rateLimit, {
    global: true,
    max: ratePerMinute,
    timeWindow: 60_000,
    cache: LIMITS.httpRateKeysMax,
    hook: 'onRequest',
    keyGenerator: (request) => (request.apiKeyName === null ? `address ${request.ip}` : `key ${request.apiKeyName}`),
    errorResponseBuilder: (_request, { max, ttl }) =>
      new StampedeError(
        failure('rate_limited', `At most ${max} requests a minute: wait ${Math.ceil(ttl / 1000)} s.`, {
          retryAfterMs: ttl,
        }),
      ),
  });
}
