/** The control API, with which hosts and back offices plan and run shows over HTTP. */
import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { troubleText } from '../domain/health.ts';
import { sharedReads } from '../domain/shared-read.ts';
import { LIMITS } from '../limits.ts';
import { isGone } from '../protocol/codes.ts';
import { access } from './access/routes.ts';
import { archive } from './archive/routes.ts';
import type { ControlDeps } from './deps.ts';
import { health } from './health/routes.ts';
import { registerApiKey } from './http/api-key.ts';
import { registerBodies } from './http/bodies.ts';
import { registerBrowserHeaders } from './http/browser-headers.ts';
import { registerDocs } from './http/docs.ts';
import { registerIdempotency } from './http/idempotency.ts';
import { momentKeyword } from './http/moments.ts';
import { registerPages, routableUrl } from './http/pages.ts';
import { ProblemSchema } from './http/problem-schema.ts';
import { onClientError, onFrameworkError, registerProblems } from './http/problems.ts';
import { registerRateLimit } from './http/rate-limit.ts';
import type { Resource } from './http/resource.ts';
import { type App, refusal } from './http/routing.ts';
import { sharedSerializers } from './http/serializers.ts';
import { registerTraffic } from './http/traffic.ts';
import { moderation } from './moderation/routes.ts';
import { orders } from './orders/routes.ts';
import { products } from './products/routes.ts';
import { publicShows } from './public-shows/routes.ts';
import { reservations } from './reservations/routes.ts';
import { sales } from './sales/routes.ts';
import { shows } from './shows/routes.ts';
import { users } from './users/routes.ts';
import { verification } from './verification/routes.ts';
import { registerWireDocs } from './wire/routes.ts';

/** A new resource is one folder and one entry here. The API docs keep this order. */
const RESOURCES: readonly Resource[] = [
  shows,
  publicShows,
  moderation,
  products,
  sales,
  reservations,
  orders,
  access,
  verification,
  archive,
  users,
];

const REDIS_RETRY_MS = 500;

/**
 * Builds the API, ready to listen. `close()` refuses new requests with `draining` and waits for the
 * others. The caller owns the store and closes it.
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
    rewriteUrl: ({ url = '/' }) => routableUrl(url),
    frameworkErrors: onFrameworkError,
    clientErrorHandler: onClientError,
    // Unknown fields are typing errors, so they are refused. A number in quotes is not a number.
    ajv: {
      customOptions: {
        ...{ removeAdditional: false, coerceTypes: false, useDefaults: true, allErrors: true },
        ...{ allowUnionTypes: true, keywords: [momentKeyword as never] },
      },
    },
    schemaController: { compilersFactory: { buildSerializer: sharedSerializers() } },
  }).withTypeProvider<TypeBoxTypeProvider>();

  const all = [...RESOURCES, health];
  for (const schema of [ProblemSchema, ...all.flatMap(({ schemas }) => schemas)]) app.addSchema(schema);
  registerProblems(app, deps.store);
  registerBodies(app);
  registerTraffic(app, deps.metrics);
  await registerBrowserHeaders(app, options);
  await registerDocs(
    app,
    options.version,
    all.flatMap(({ tags }) => tags),
  );
  registerWireDocs(app, options);
  health.register(app, deps);
  if (options.web) {
    const { store } = deps;
    // While Redis is unavailable the page loads, and says so. A rush on a page is one read.
    const isMissing = async (show: string): Promise<boolean> => {
      const found = store.refusal() === null ? await store.getShow(show) : null;
      return found?.ok === false && isGone(found.error.code);
    };
    const { unknownShowMs, unknownShowsKeptMax } = LIMITS;
    await registerPages(app, options.web, sharedReads(isMissing, unknownShowMs, unknownShowsKeptMax));
  }
  await app.register((scope) => registerV1(scope as unknown as App, deps), { prefix: '/v1' });
  await app.ready();
  return app as unknown as FastifyInstance;
}

async function registerV1(app: App, deps: ControlDeps): Promise<void> {
  registerApiKey(app, deps.apiKeys);
  await registerRateLimit(app, deps.options.rates);
  // Refuses at once while Redis is known to be unavailable, so that no request waits for a timeout.
  app.addHook('preHandler', async () => {
    const trouble = deps.store.refusal();
    if (trouble !== null)
      throw refusal('redis_unavailable', `${troubleText(trouble)} Repeat the request with the same key.`, {
        retryAfterMs: REDIS_RETRY_MS,
      });
  });
  registerIdempotency(app, deps.store);
  for (const resource of RESOURCES) resource.register(app, deps);
}
