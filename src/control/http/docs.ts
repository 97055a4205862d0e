/** OpenAPI at /openapi.json, generated from the schemas of the routes, and the page at /docs. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { catalogueTable } from './problem-schema.ts';
import type { Resource } from './resource.ts';
import type { App } from './routing.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';
const DESCRIPTION = `Plan shows, products and flash sales, run them, confirm reservations and mint
viewer tokens. Viewers use [another protocol](../asyncapi), over WebSockets.

**Keys.** Send an API key as \`Authorization: Bearer <key>\` or \`x-api-key: <key>\`.

**Repeating.** Every POST, PUT, PATCH and DELETE takes an \`Idempotency-Key\`. If a response got
lost, repeat the request with the same key and the same body: for at least 24 hours you get the
first response, with the header \`Idempotent-Replayed: true\`. A request with the same key and
another body is refused with \`idempotency_conflict\`, one that arrives while the first still runs
with \`idempotency_in_progress\`. A key names one command: never use it for two. Errors are not
recorded: after an error you may use the key again. Without the header every request is a separate
command.

For sales, reservations and announcements, key and response are recorded in one step with the
change. All other responses are recorded right after the change: if a process dies between the
two, the repeat makes the change again. That sets the same values again; only a product that is
already removed is \`product_not_found\`, a mute counts from the repeat, and a new token is
minted. Redis keeps recorded responses, tokens among them, for a day.

**Rates.** Reads (GET) and all other requests have one rate each, per API key and process:
\`HTTP_READS_PER_MINUTE\` and \`HTTP_COMMANDS_PER_MINUTE\`. Beyond it you get \`rate_limited\` with
\`Retry-After\`. To confirm, release or extend a hold has no limit.

**Money** is in integer minor units (cents). **Times** are milliseconds since the Unix epoch on
the clock of Redis, which decides. In requests they may be RFC 3339, too
(\`2026-11-30T20:00:00+01:00\`). Unknown fields and query parameters are refused by name.

**Errors** are \`application/problem+json\` (RFC 9457) with a stable \`code\`:

`;

/** Swagger UI has texts with less than 4.5:1, and a list of the one server. */
const STYLE = `.swagger-ui .info .title small,.swagger-ui .info .title small.version-stamp{background:#4c5566}
.swagger-ui .info .title small pre.version{background:#4c5566}
.swagger-ui a,.swagger-ui .info a,.swagger-ui .info .title small a,.swagger-ui .info .url{color:#1b5fae}
.swagger-ui .opblock .opblock-summary-method{color:#111;text-shadow:none}
.swagger-ui .btn.authorize{color:#1d6b47;border-color:#1d6b47}.swagger-ui .btn.authorize svg{fill:#1d6b47}
.swagger-ui .servers,.swagger-ui .servers-title{display:none}
.swagger-ui .json-schema-2020-12-expand-deep-button,.swagger-ui .parameter__in{color:#4c5566}
.swagger-ui .download-contents{background:#4c5566}
.swagger-ui .btn.cancel{color:#a82020;border-color:#a82020}
.swagger-ui .btn.execute{background-color:#1b5fae;border-color:#1b5fae}
.swagger-ui .microlight [style*="rgb(211, 99, 99)"]{color:#ff9c9c!important}
`;

/**
 * Swagger UI has no landmark, links inside buttons, and headings that begin at level 3 below the
 * first one. Its elements stay as they are; only what they are for screen readers changes.
 */
const SCRIPT = `const plugin = () => ({
  wrapComponents: {
    BaseLayout: (Layout, { React }) => (props) =>
      React.createElement('main', null, React.createElement(Layout, props)),
    DeepLink: (_, { React }) => ({ text }) => React.createElement('span', null, text),
  },
});
const start = window.SwaggerUIBundle;
window.SwaggerUIBundle = Object.assign(
  (options) => start({ ...options, plugins: [...options.plugins, plugin] }),
  start,
);
const set = (selector, name, value) => {
  for (const node of document.querySelectorAll(\`:is(\${selector}):not([\${name}="\${value}"])\`))
    node.setAttribute(name, value);
};
const repair = () => {
  for (const level of [3, 4, 5, 6]) set('h' + level, 'aria-level', level - 1);
  set('.responses-table', 'role', 'table');
  set('.microlight', 'tabindex', 0);
  set('.body-param__text', 'aria-label', 'Request body');
  set('.close-modal', 'aria-label', 'Close');
  set('.copy-to-clipboard > button', 'aria-label', 'Copy');
  set('.modal-btn[type=submit]', 'aria-label', 'Authorize: apply credentials');
};
new MutationObserver(repair).observe(document.body, { childList: true, subtree: true });
`;

export async function registerDocs(app: App, version: string, tags: Resource['tags']): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Stampede control API',
        version,
        description: DESCRIPTION + catalogueTable(),
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [...tags],
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
    // Without the bar that loads other documents.
    uiConfig: { deepLinking: true, docExpansion: 'list', displayRequestDuration: true, layout: 'BaseLayout' },
    theme: {
      title: 'Stampede control API',
      css: [{ filename: 'theme.css', content: STYLE }],
      js: [{ filename: 'theme.js', content: SCRIPT }],
    },
    staticCSP: true,
    transformStaticCSP: docsPolicy,
    // The page's addresses are relative to its folder, the API's to the folder of the document.
    uiHooks: {
      onRequest(request, reply, done) {
        if (/^\/docs(?:\?|$)/.test(request.url)) reply.redirect('docs/');
        else done();
      },
    },
    transformSpecification: (spec) => ({ ...spec, servers: [{ url: '../' }] }),
  });
  let text: string | null = null;
  app.get('/openapi.json', { config: { open: true } }, async (_request, reply) => {
    text ??= JSON.stringify({ ...app.swagger(), servers: [{ url: './' }] });
    return reply.type(JSON_TYPE).send(text);
  });
}

/**
 * Returns the page's content security policy without other origins and without an upgrade to https.
 * The page needs inline styles; its scripts are files.
 */
function docsPolicy(policy: string): string {
  return policy
    .replace('upgrade-insecure-requests;', '')
    .replaceAll(' https:', '')
    .replace(' validator.swagger.io', '')
    .replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    .trim();
}
