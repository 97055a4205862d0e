/**
 * The API described by its own schemas: OpenAPI at /openapi.json, a page to read and try it at
 * /docs. Everything is served from here.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { catalogueTable } from './problem-schema.ts';
import type { App } from './routing.ts';

const DESCRIPTION = `Plan shows, products and flash sales, move them, confirm reservations and mint viewer tokens.

**Keys.** Give an API key as \`Authorization: Bearer <key>\` or \`x-api-key: <key>\`.

**Repeating.** Every POST, PUT, PATCH and DELETE takes an \`Idempotency-Key\`. Repeat a request whose answer got lost with the same key and the same body, and
you get the first answer again, for at least 24 hours, with the header \`Idempotent-Replayed: true\`. With another body it is answered
\`idempotency_conflict\`, and \`idempotency_in_progress\` while the first still runs. A key names one command: never give it to two. Errors are not recorded: after an error the key may be used again. Without the header every request
is a command of its own.

Sales, reservations and announcements record key and answer in one step with the change. For everything else the answer is kept right after it: should a process
die between the two, the repeat does it once more. That sets the same thing again; only a product that is gone by then is \`product_not_found\`, a mute counts from the
repeat, and a token is minted anew. Kept answers, tokens among them, lie in Redis for a day.

**Money** is integer minor units (cents). **Times** are milliseconds since the Unix epoch on the clock of Redis, which alone decides.

**Errors** are \`application/problem+json\` (RFC 9457) with a stable \`code\`:

`;

export async function registerDocs(app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Stampede control API',
        version,
        description: DESCRIPTION + catalogueTable(),
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'shows', description: 'Live events' },
        { name: 'moderation', description: 'What is said in the chat of a show, who may say it, and how many listen' },
        { name: 'products', description: 'What the brands of a show sell, and what is on stage' },
        { name: 'sales', description: 'Flash sales: units at a price, a per-buyer limit and a window' },
        { name: 'reservations', description: 'Holds on units, and the orders they become' },
        { name: 'access', description: 'Tokens for viewers, and what a page needs to watch' },
        { name: 'health', description: 'Is it alive, is it ready, what does it count' },
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        },
      },
      security: [{ bearer: [] }, { apiKey: [] }],
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) =>
        typeof json.$id === 'string' ? json.$id : `Schema${index}`,
    },
    hideUntagged: true,
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { deepLinking: true, docExpansion: 'list', displayRequestDuration: true },
    staticCSP: true,
    transformStaticCSP: docsPolicy,
  });
  app.get('/openapi.json', { config: { open: true } }, async () => app.swagger());
}

/**
 * Nothing from elsewhere, and no upgrade to https where there is none. The page writes a style into
 * its markup; scripts it brings as files.
 */
function docsPolicy(policy: string): string {
  return policy
    .replace('upgrade-insecure-requests;', '')
    .replaceAll(' https:', '')
    .replace(' validator.swagger.io', '')
    .replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    .trim();
}
