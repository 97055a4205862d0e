/**
 * The control API: hosts and back offices plan and move shows and sales over HTTP. Built here,
 * listening elsewhere.
 */
import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { LIMITS } from '../limits.ts';
import { failure, StampedeError } from '../protocol/codes.ts';
import { registerAccess } from './access/routes.ts';
import type { ControlDeps } from './deps.ts';
import { registerHealth } from './health/routes.ts';
import { registerApiKey } from './http/api-key.ts';
import { registerBodies } from './http/bodies.ts';
import { registerBrowserHeaders } from './http/browser-headers.ts';
import { registerDocs } from './http/docs.ts';
import { registerIdempotency } from './http/idempotency.ts';
import { registerPages } from './http/pages.ts';
import { ProblemSchema } from './http/problem-schema.ts';
import { onClientError, onFrameworkError, registerProblems } from './http/problems.ts';
import { registerRateLimit } from './http/rate-limit.ts';
import type { App } from './http/routing.ts';
import { registerTraffic } from './http/traffic.ts';
import { registerModeration } from './moderation/routes.ts';
import { registerProducts } from './products/routes.ts';
import { ProductSchema } from './products/schemas.ts';
import { registerReservations } from './reservations/routes.ts';
import { ReservationSchema } from './reservations/schemas.ts';
import { registerSales } from './sales/routes.ts';
import { SaleSchema } from './sales/schemas.ts';
import { registerShows } from './shows/routes.ts';
import { ShowSchema } from './shows/schemas.ts';
import { registerVerification } from './verification/routes.ts';

const REDIS_RETRY_MS = 500;

/**
 * Builds the API, ready to listen or to be injected into. `close()` answers new requests with
 * `draining`, waits for those in flight, and leaves the store alone: it belongs to the caller.
 */
export async function createControl(deps: ControlDeps): Promise<FastifyInstance> {
  const { options } = deps;
  const app: App = Fastify({
    loggerInstance: deps.logger.child({ part: 'control' }) as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: LIMITS.httpBodyBytesMax,
    requestTimeout: LIMITS.httpRequestTimeoutMs,
    routerOptions: { maxParamLength: LIMITS.keyCharsMax },
    trustProxy: options.trustedProxies?.length ? [...options.trustedProxies] : false,
    return503OnClosing: false,
    genReqId: () => randomUUID(),
    frameworkErrors: onFrameworkError,
    clientErrorHandler: onClientError,
    // A field nobody reads is a typing error and not noise; a number in quotes is not a number.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: true, allErrors: true } },
  }).withTypeProvider<TypeBoxTypeProvider>();

  for (const schema of [ProblemSchema, ShowSchema, ProductSchema, SaleSchema, ReservationSchema]) app.addSchema(schema);
  registerProblems(app);
  registerBodies(app);
  registerTraffic(app, deps.metrics);
  await registerBrowserHeaders(app, options.corsOrigins);
  await registerDocs(app, options.version);
  registerHealth(app, deps);
  if (options.web) await registerPages(app, options.web);
  await app.register((scope) => registerV1(scope as unknown as App, deps), { prefix: '/v1' });
  await app.ready();
  return app as unknown as FastifyInstance;
}

async function registerV1(app: App, deps: ControlDeps): Promise<void> {
  registerApiKey(app, deps.apiKeys);
  await registerRateLimit(app, deps.options.ratePerMinute);
  // While Redis is known to be away nobody waits for a timeout to learn it.
  app.addHook('preHandler', async () => {
    const trouble = deps.store.trouble();
    if (trouble !== null)
      throw new StampedeError(
        failure('redis_unavailable', `Redis is in trouble: ${trouble}. Repeat with the same key.`, {
          retryAfterMs: REDIS_RETRY_MS,
        }),
      );
  });
  registerIdempotency(app, deps.store);
  registerShows(app, deps);
  registerModeration(app, deps);
  registerProducts(app, deps);
  registerSales(app, deps);
  registerReservations(app, deps);
  registerAccess(app, deps);
  registerVerification(app, deps);
}
