/** Probes and metrics, without rate limit. */
import { METRICS_MEDIA_TYPE } from '../../telemetry/exposition.ts';
import { createReadiness, READY_RETRY_MS } from '../../telemetry/readiness.ts';
import { presentedKey } from '../http/api-key.ts';
import type { Resource } from '../http/resource.ts';
import { refusal } from '../http/routing.ts';
import { Alive, Ready } from './schemas.ts';

export const health: Resource = {
  tags: [{ name: 'health', description: 'Liveness, readiness and metrics' }],
  schemas: [],
  register(app, { store, apiKeys, metrics, scrape, scrapeKeys, options: { node, version }, ...deps }) {
    const readiness =
      deps.readiness ??
      createReadiness({ health: store, node, version, isDraining: () => false, servesViewers: false });
    app.get(
      '/healthz',
      {
        config: { open: true },
        schema: { tags: ['health'], summary: 'Is the process alive?', security: [], response: { 200: Alive } },
      },
      async () => ({ status: 'alive' as const, node, version }),
    );
    app.get(
      '/readyz',
      {
        config: { open: true },
        schema: {
          tags: ['health'],
          summary: 'Can the process take requests, and what would a crash lose?',
          description: 'Asks Redis. 503 names what is wrong and what to do.',
          security: [],
          response: { 200: Ready, 503: Ready },
        },
      },
      async (_request, reply) => {
        const report = await readiness.probe();
        if (report.ready) return report;
        return reply
          .code(503)
          .header('retry-after', READY_RETRY_MS / 1000)
          .send(report);
      },
    );
    if (!metrics) return;
    app.get(
      '/metrics',
      {
        config: { open: true },
        schema: {
          tags: ['health'],
          summary: 'Prometheus metrics',
          description: 'Needs an API key or METRICS_TOKEN. METRICS_PORT serves them too.',
          produces: ['text/plain'],
        },
      },
      async (request, reply) => {
        const key = presentedKey(request);
        if (key === null || (apiKeys.check(key) ?? scrapeKeys?.check(key) ?? null) === null)
          throw refusal('unauthenticated', 'Send an API key or METRICS_TOKEN as "Authorization: Bearer <key>".');
        return reply.type(METRICS_MEDIA_TYPE).send(await (scrape?.() ?? metrics.registry.metrics()));
      },
    );
  },
};
