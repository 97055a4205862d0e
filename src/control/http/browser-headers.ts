/** Headers for browsers: who may call the API (CORS) and what our pages may load (helmet). */
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import { originTest } from '../../domain/origin.ts';
import { LOOPBACK_HOSTS } from '../../domain/web-address.ts';
import { REPLAYED_HEADER } from './idempotency.ts';
import type { App } from './routing.ts';

/** Origins; null = any. */
export interface BrowserOptions {
  /** Whose pages may call the API. */
  readonly corsOrigins?: readonly string[] | null | undefined;
  /** Whose pages may show ours in a frame. */
  readonly frameAncestors?: readonly string[] | null | undefined;
}

export async function registerBrowserHeaders(
  app: App,
  { corsOrigins = [], frameAncestors = [] }: BrowserOptions,
): Promise<void> {
  const videoSites = ['https:', ...LOOPBACK_HOSTS.map((host) => `http://${host}:*`)];
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'self'", ...(frameAncestors ?? ['*'])],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        fontSrc: ["'self'", 'data:'],
        // Product images are on any site.
        imgSrc: ["'self'", 'data:', 'https:', 'http:'],
        // Videos are on any site that `videoUrl` may name; `blob:` is for Media Source Extensions.
        mediaSrc: ["'self'", 'blob:', ...videoSites],
        // The gateway has another origin. Parts of an HLS video are fetched by a script.
        connectSrc: ["'self'", 'ws:', 'wss:', ...videoSites],
        manifestSrc: ["'self'"],
      },
    },
    // HSTS belongs to the proxy that terminates TLS. The other two log warnings on plain HTTP.
    strictTransportSecurity: false,
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    // It cannot name other origins; frame-ancestors can.
    xFrameOptions: false,
  });
  if (corsOrigins?.length === 0) return;
  const isAllowed = originTest(corsOrigins);
  await app.register(cors, {
    origin: corsOrigins === null ? '*' : (origin, done) => done(null, origin !== undefined && isAllowed(origin)),
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'idempotency-key', 'x-api-key'],
    exposedHeaders: [REPLAYED_HEADER, 'location', 'retry-after', 'x-request-id'],
    maxAge: 600,
  });
}
