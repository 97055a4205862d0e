/** What browsers are told: which pages may call (CORS) and what our own pages may load (helmet). */
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
        // Pictures of products lie wherever the host keeps them.
        imgSrc: ["'self'", 'data:', 'https:', 'http:'],
        // The gateway listens on an address of its own.
        connectSrc: ["'self'", 'ws:', 'wss:'],
        manifestSrc: ["'self'"],
      },
    },
    // Whether the site speaks TLS, and for how long, is for whoever terminates it; the other two
    // warn on plain HTTP in a local network.
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
