/** Probes and metrics, without API key and rate limit. */
import { type Durability, troubleText } from '../../domain/health.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { refusal, unwrap } from '../http/routing.ts';
import { Alive, Ready } from './schemas.ts';

const { operation } = operationsOf('health');

const MEANING: Readonly<Record<Durability, string>> = {
  memory: 'Redis keeps everything in memory only: when it stops, every show, reservation and order in it is lost.',
  everysec:
    'Redis writes its log to disk about once a second: a crash of its process loses nothing, a power cut can lose ' +
    'about the last second of requests that have got their response.',
  always:
    'Redis writes its log to disk before it replies: a crash or a power cut loses no request that has got its ' +
    'response; a failover to a replica still can.',
  unknown: 'Redis does not report how it writes to disk: a power cut can lose the last second or more.',
};

export const health: Resource = {
  tags: [{ name: 'health', description: 'Liveness, readiness and metrics' }],
  schemas: [],
  register(app, { store, metrics, options: { node, version } }) {
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
      operation({
        summary: 'Can the process take requests, and what would a crash lose?',
        description: 'Responds with 503 while Redis is unavailable.',
        open: true,
        response: { 200: Ready },
        errors: ['redis_unavailable', 'redis_full', 'redis_readonly'],
      }),
      async () => {
        const mode = store.durability();
        const durability = { mode, meaning: MEANING[mode] };
        const trouble = store.trouble();
        if (trouble !== null)
          throw refusal('redis_unavailable', troubleText(trouble), {
            retryAfterMs: 1_000,
            details: { redis: trouble, durability, node, version },
          });
        const { roundTripMs } = unwrap(await store.ping());
        const redis = { roundTripMs, clockErrorMs: store.nowErrorMs(), runId: store.runId() };
        return { status: 'ready' as const, node, version, durability, redis };
      },
    );
    if (!metrics) return;
    app.get(
      '/metrics',
      {
        config: { open: true },
        schema: { tags: ['health'], summary: 'Prometheus metrics', security: [], produces: ['text/plain'] },
      },
      async (_request, reply) => {
        return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
      },
    );
  },
};
