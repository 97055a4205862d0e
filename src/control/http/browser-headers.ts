/** Headers for browsers: who may call the API (CORS) and what our pages may load (helmet). */
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import { REPLAYED_HEADER } from './idempotency.ts';
import type { App } from './routing.ts';

export async function registerBrowserHeaders(
  app: App,
  corsOrigins: readonly string[] | null | undefined,
): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'self'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        fontSrc: ["'self'", 'data:'],
        // Product images are on any site.
        imgSrc: ["'self'", 'data:', 'https:', 'http:'],
        // The gateway has another origin.
        connectSrc: ["'self'", 'ws:', 'wss:'],
        manifestSrc: ["'self'"],
      },
    },
    // HSTS belongs to the proxy that terminates TLS. The other two log warnings on plain HTTP.
    strictTransportSecurity: false,
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
  });
  if (!corsOrigins || corsOrigins.length === 0) return;
  await app.register(cors, {
    origin: corsOrigins.includes('*') ? '*' : [...corsOrigins],
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'idempotency-key', 'x-api-key'],
    exposedHeaders: [REPLAYED_HEADER, 'location', 'retry-after', 'x-request-id'],
    maxAge: 600,
  });
}
