/** The control API: hosts and back offices plan and move shows and sales over HTTP. Built here, listening elsewhere. */
import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { failure, StampedeError } from '../protocol/codes.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { ControlDeps } from './deps.ts';
import { registerApiKey } from './plugins/api-key.ts';
import { registerBodies } from './plugins/bodies.ts';
import { registerBrowserHeaders } from './plugins/browsers.ts';
import { registerDocs } from './plugins/docs.ts';
import { registerIdempotency } from './plugins/idempotency.ts';
import { registerPages } from './plugins/pages.ts';
import { onClientError, onFrameworkError, registerProblems } from './plugins/problems.ts';
import { registerRateLimit } from './plugins/rate-limit.ts';
import { registerTraffic } from './plugins/traffic.ts';
import { registerAccess } from './routes/access.ts';
import { registerHealth } from './routes/health.ts';
import { registerModeration } from './routes/moderation.ts';
import { registerProducts } from './routes/products.ts';
import { registerReservations } from './routes/reservations.ts';
import { registerSales } from './routes/sales.ts';
import { registerShows } from './routes/shows.ts';
import { registerVerification } from './routes/verification.ts';
import type { App } from './routing.ts';
import { ProblemSchema } from './schemas/problem.ts';
import { ReservationSchema, SaleSchema } from './schemas/sales.ts';
import { ProductSchema, ShowSchema } from './schemas/shows.ts';

const REDIS_RETRY_MS = 500;

/**
 * Builds the API, ready to listen or to be injected into. `close()` answers new requests with `draining`, waits for those in flight, and
 * leaves the store alone: it belongs to the caller.
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
      throw new StampedeError(failure('redis_unavailable', `Redis is in trouble: ${trouble}. Repeat with the same key.`, { retryAfterMs: REDIS_RETRY_MS }));
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
