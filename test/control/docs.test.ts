import t from 'tap';
import type { Static } from 'typebox';
import type { ProductSchema } from '../../src/control/products/schemas.ts';
import type { ReservationSchema } from '../../src/control/reservations/schemas.ts';
import type { SaleSchema } from '../../src/control/sales/schemas.ts';
import type { ShowSchema } from '../../src/control/shows/schemas.ts';
import type { ReconciliationSchema, VerificationSchema } from '../../src/control/verification/schemas.ts';
import type { Reconciliation, Verification } from '../../src/domain/audit.ts';
import type { SaleBooks } from '../../src/domain/sale.ts';
import { ERRORS } from '../../src/protocol/codes.ts';
import type { Product, ReservationView, ShowView } from '../../src/protocol/messages.ts';
import { startControl } from './harness.ts';

/** Compiles only while schema and type say the same. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const schemasEqualTypes: [
  Same<Static<typeof ShowSchema>, ShowView>,
  Same<Static<typeof ProductSchema>, Product>,
  Same<Static<typeof SaleSchema>, SaleBooks>,
  Same<Static<typeof ReservationSchema>, ReservationView>,
  Same<Static<typeof VerificationSchema>, Verification>,
  Same<Static<typeof ReconciliationSchema>, Reconciliation>,
] = [true, true, true, true, true, true];

interface Operation {
  tags?: string[];
  summary?: string;
  security?: unknown[];
  parameters?: Array<{ in: string; name: string }>;
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
}

t.test('the page of the API is equal to the catalogue and to the routes', async (t) => {
  t.equal(schemasEqualTypes.length, 6);
  const { ask } = await startControl(t);
  const answer = await ask('/openapi.json', { key: null });
  t.equal(answer.status, 200);
  const spec = answer.body as {
    openapi: string;
    info: { description: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, { properties: { code: { enum: string[] } } }> };
  };
  t.equal(spec.openapi, '3.1.0');

  t.strictSame(
    new Set(spec.components.schemas.Problem?.properties.code.enum),
    new Set(Object.keys(ERRORS)),
    'Problem.code lists the catalogue',
  );
  const rows = [...spec.info.description.matchAll(/^\| `(\w+)` \| (\d+) \| (.+) \| .+ \|$/gm)].map(
    ([, code, status, title]) => [code, Number(status), title],
  );
  t.strictSame(
    rows,
    Object.entries(ERRORS).map(([code, { status, title }]) => [code, status, title]),
    'and so does the table',
  );

  const operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
  t.strictSame(
    new Set(operations.map(({ name }) => name)),
    new Set([
      ...['GET /healthz', 'GET /readyz', 'GET /metrics'],
      ...[
        'POST /v1/shows',
        'GET /v1/shows',
        'GET /v1/shows/{show}',
        'PATCH /v1/shows/{show}',
        'POST /v1/shows/{show}/start',
        'POST /v1/shows/{show}/end',
      ],
      ...[
        'POST /v1/shows/{show}/pin',
        'POST /v1/shows/{show}/announcements',
        'POST /v1/shows/{show}/tokens',
        'GET /v1/shows/{show}/watch',
        'GET /v1/shows/{show}/verify',
        'POST /v1/shows/{show}/reconcile',
      ],
      ...[
        'GET /v1/shows/{show}/audience',
        'GET /v1/shows/{show}/chat',
        'DELETE /v1/shows/{show}/chat/{message}',
        'GET /v1/shows/{show}/mutes',
      ],
      ...['PUT /v1/shows/{show}/mutes/{user}', 'DELETE /v1/shows/{show}/mutes/{user}'],
      ...[
        'PUT /v1/shows/{show}/products/{product}',
        'GET /v1/shows/{show}/products',
        'DELETE /v1/shows/{show}/products/{product}',
      ],
      ...['POST /v1/shows/{show}/sales', 'GET /v1/shows/{show}/sales', 'GET /v1/shows/{show}/sales/{sale}'],
      ...['schedule', 'open', 'pause', 'resume', 'extend', 'end', 'cancel', 'units'].map(
        (move) => `POST /v1/shows/{show}/sales/{sale}/${move}`,
      ),
      ...[
        'GET /v1/shows/{show}/reservations/{reservation}',
        'POST /v1/shows/{show}/reservations/{reservation}/confirm',
        'POST /v1/shows/{show}/reservations/{reservation}/release',
        'POST /v1/shows/{show}/reservations/{reservation}/extend',
      ],
    ]),
  );
  for (const { name, operation } of operations) {
    t.ok(operation.tags?.length && operation.summary, `${name} has a tag and a summary`);
    for (const [status, { description, content }] of Object.entries(operation.responses).filter(
      ([status]) => Number(status) >= 400,
    )) {
      t.strictSame(
        content,
        { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        `${name} ${status}`,
      );
      for (const [, code] of description.matchAll(/`(\w+)`/g))
        t.equal(String(ERRORS[code as keyof typeof ERRORS]?.status), status, `${name} ${status} ${code}`);
    }
  }
  for (const { name, operation } of operations.filter(({ name }) => !name.startsWith('GET '))) {
    t.ok(
      operation.parameters?.some((parameter) => parameter.in === 'header' && parameter.name === 'idempotency-key'),
      name,
    );
    t.match(operation.responses['409']?.description, /`idempotency_conflict`: .+`idempotency_in_progress`: /, name);
  }
});

t.test('the page at /docs needs nothing from elsewhere', async (t) => {
  const { ask } = await startControl(t);
  const page = await ask('/docs/', { key: null });
  t.equal(page.status, 200);
  const policy = String(page.headers['content-security-policy']);
  t.match(policy, /script-src 'self' *;/);
  t.notMatch(policy, /unsafe-eval|https:|upgrade-insecure-requests|validator/);
  const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? '');
  t.ok(assets.length >= 4);
  for (const url of assets) {
    t.notMatch(url, /^(?:https?:)?\/\//);
    t.equal((await ask(new URL(url, 'http://x/docs/').pathname, { key: null })).status, 200, url);
  }
});
