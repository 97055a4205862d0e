/**
 * Limits requests per minute and process: reads and commands separately, by API key, or by address
 * without a valid key. Payments that arrived must become orders in time, so that commands on holds
 * with a valid key have no limit.
 */
import rateLimit from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import { LIMITS } from '../../limits.ts';
import { type App, refusal } from './routing.ts';

export interface HttpRates {
  readonly readsPerMinute: number;
  readonly commandsPerMinute: number;
}

export async function registerRateLimit(app: App, rates: Partial<HttpRates> = {}): Promise<void> {
  const { readsPerMinute = LIMITS.httpReadsPerMinute, commandsPerMinute = LIMITS.httpCommandsPerMinute } = rates;
  await app.register(rateLimit, {
    global: true,
    max: (request) => (isRead(request) ? readsPerMinute : commandsPerMinute),
    timeWindow: 60_000,
    cache: LIMITS.httpRateKeysMax,
    hook: 'onRequest',
    allowList: (request) => request.apiKeyName !== null && request.routeOptions.config.unlimited === true,
    keyGenerator: (request) => {
      const kind = isRead(request) ? 'reads' : 'commands';
      return request.apiKeyName === null ? `${kind} of address ${request.ip}` : `${kind} of key ${request.apiKeyName}`;
    },
    errorResponseBuilder: (request, { max, ttl }) =>
      refusal(
        'rate_limited',
        `More than ${max} ${isRead(request) ? 'reads' : 'commands'} arrived in a minute. ` +
          `Wait ${Math.ceil(ttl / 1000)} s, then try again.`,
        { retryAfterMs: ttl },
      ),
  });
}

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';
