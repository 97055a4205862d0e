import t from 'tap';
import type { Static } from 'typebox';
import { wordsOfPattern } from '../../../src/control/http/fields.ts';
import type { ProductSchema } from '../../../src/control/products/schemas.ts';
import type { ReservationSchema } from '../../../src/control/reservations/schemas.ts';
import type { SaleSchema } from '../../../src/control/sales/schemas.ts';
import type { ShowSchema } from '../../../src/control/shows/schemas.ts';
import type { ReconciliationSchema, VerificationSchema } from '../../../src/control/verification/schemas.ts';
import type { Reconciliation, Verification } from '../../../src/domain/audit.ts';
import type { SaleBooks } from '../../../src/domain/sale.ts';
import { ERRORS } from '../../../src/protocol/codes.ts';
import type { Product, ReservationView, ShowView } from '../../../src/protocol/messages.ts';
import { rows } from '../../protocol/spec.ts';
import { startControl } from '../harness.ts';

/** Compiles only if schema and type are equal. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
void ([true, true, true, true, true, true] satisfies [
  Same<Static<typeof ShowSchema>, ShowView & { archiveAt: number | null }>,
  Same<Static<typeof ProductSchema>, Product>,
  Same<Static<typeof SaleSchema>, SaleBooks>,
  Same<Static<typeof ReservationSchema>, ReservationView>,
  Same<Static<typeof VerificationSchema>, Verification>,
  Same<Static<typeof ReconciliationSchema>, Reconciliation>,
]);

interface Operation {
  tags?: string[];
  summary?: string;
  parameters?: Array<{ in: string; name: string }>;
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
}

/** The methods of each path, and the POST routes below it. */
const ROUTES: Readonly<Record<string, readonly [methods: string, posts?: string]>> = {
  '/v1/shows': ['GET POST'],
  '/v1/shows/{show}': ['GET PATCH DELETE', 'start end pin announcements tokens reconcile archive clone'],
  '/v1/public/shows': ['GET'],
  '/v1/shows/{show}/announcements': ['DELETE'],
  '/v1/shows/{show}/announcements/{announcement}': ['DELETE'],
  '/v1/shows/{show}/archive': ['GET'],
  '/v1/shows/{show}/size': ['GET'],
  '/v1/shows/{show}/watch': ['GET'],
  '/v1/shows/{show}/verify': ['GET'],
  '/v1/shows/{show}/audience': ['GET'],
  '/v1/shows/{show}/chat': ['GET'],
  '/v1/shows/{show}/chat/{message}': ['DELETE'],
  '/v1/shows/{show}/mutes': ['GET'],
  '/v1/shows/{show}/mutes/{user}': ['PUT DELETE'],
  '/v1/shows/{show}/products': ['GET', 'import'],
  '/v1/shows/{show}/products/{product}': ['PUT DELETE'],
  '/v1/shows/{show}/sales': ['GET POST'],
  '/v1/shows/{show}/sales/{sale}': ['GET PATCH DELETE', 'schedule open pause resume extend end cancel units'],
  '/v1/shows/{show}/reservations': ['GET'],
  '/v1/shows/{show}/reservations/export': ['GET'],
  '/v1/shows/{show}/orders': ['GET'],
  '/v1/shows/{show}/orders/export': ['GET'],
  '/v1/shows/{show}/orders/{order}': ['GET PATCH', 'refund'],
  '/v1/shows/{show}/reservations/{reservation}': ['GET', 'confirm release extend'],
  '/v1/users/{user}': ['DELETE'],
  '/v1/users/{user}/erasure': ['GET'],
};

t.test('the API docs list the codes of SPEC.md and the routes', async (t) => {
  const { request } = await startControl(t);
  const response = await request('/openapi.json', { key: null });
  t.equal(response.status, 200);
  const spec = response.body as {
    openapi: string;
    info: { description: string };
    tags: Array<{ name: string }>;
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, { properties: { code: { enum: string[] } } }> };
  };
  t.equal(spec.openapi, '3.1.0');
  for (const [, pattern = ''] of response.text.matchAll(/"pattern": ?"((?:[^"\\]|\\.)*)"/g))
    t.ok(wordsOfPattern(JSON.parse(`"${pattern}"`)), `an error has words for ${pattern}`);
  const specified = rows.filter(([code, status]) => /^`\w+`$/.test(code ?? '') && /^\d{3}$/.test(status ?? ''));
  const codes = specified.map(([code = '', status]) => [code.replaceAll('`', ''), Number(status)]);
  const names = codes.map(([code]) => code);
  t.same(spec.components.schemas.Problem?.properties.code.enum, names);
  const table = [...spec.info.description.matchAll(/^\| `(\w+)` \| (\d+) \| .+ \| .+ \|$/gm)];
  const listed = table.map(([, code, status]) => [code, Number(status)]);
  t.strictSame(listed, codes);

  const operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
  const routes = Object.entries(ROUTES).flatMap(([path, [methods, posts]]) => [
    ...methods.split(' ').map((method) => `${method} ${path}`),
    ...(posts?.split(' ') ?? []).map((name) => `POST ${path}/${name}`),
  ]);
  const wanted = new Set(['GET /healthz', 'GET /readyz', 'GET /metrics', ...routes]);
  t.strictSame(new Set(operations.map(({ name }) => name)), wanted);
  const tags = new Set(spec.tags.map(({ name }) => name));
  for (const { name, operation } of operations) {
    t.ok(operation.tags?.every((tag) => tags.has(tag)) && operation.summary, `${name} has a section and a summary`);
    // A process that is not ready sends the same report with another status.
    const isError = (status: string): boolean => Number(status) >= 400 && name !== 'GET /readyz';
    const errors = Object.entries(operation.responses).filter(([status]) => isError(status));
    for (const [status, { description, content }] of errors) {
      const schema = { $ref: '#/components/schemas/Problem' };
      t.strictSame(content, { 'application/problem+json': { schema } }, `${name} ${status}`);
      for (const [, code] of description.matchAll(/`(\w+)`/g))
        t.equal(String(ERRORS[code as keyof typeof ERRORS]?.status), status, `${name} ${status} ${code}`);
    }
    if (name.startsWith('GET ')) continue;
    const header = operation.parameters?.find((parameter) => parameter.name === 'idempotency-key');
    t.equal(header?.in, 'header', name);
    t.match(operation.responses['409']?.description, /`idempotency_conflict`: .+`idempotency_in_progress`: /, name);
  }
});

t.test('the page at /docs loads nothing from other origins', async (t) => {
  const { request } = await startControl(t);
  const page = await request('/docs/', { key: null });
  t.equal(page.status, 200);
  const policy = String(page.headers['content-security-policy']);
  t.match(policy, /script-src 'self' *;/);
  t.notMatch(policy, /unsafe-eval|https:|upgrade-insecure-requests|validator/);
  const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? '');
  t.ok(assets.length >= 4);
  for (const url of assets) {
    t.notMatch(url, /^(?:https?:)?\/\//);
    t.equal((await request(new URL(url, 'http://x/docs/').pathname, { key: null })).status, 200, url);
  }
});
