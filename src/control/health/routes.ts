/** For orchestrators, probes and scrapers: no key, no rate limit. */

import type { Durability } from '../../domain/health.ts';
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, unwrap } from '../http/routing.ts';
import { Alive, Ready } from './schemas.ts';

const tags = ['health'];

/** Said as it is: no mode of one Redis keeps everything under every failure. */
const MEANING: Readonly<Record<Durability, string>> = {
  memory: 'Redis keeps everything in memory only: when it stops, every show, reservation and order in it is lost.',
  everysec:
    'Redis writes its log to disk about once a second: a crash of its process loses nothing, a power cut can lose about the last second of answered requests.',
  always:
    'Redis writes its log to disk before it answers: a crash or a power cut loses no answered request; a failover to a replica still can.',
  unknown: 'Redis does not say how it writes to disk: count on losing the last second or more in a power cut.',
};

export function registerHealth(app: App, { store, metrics, options: { node, version } }: ControlDeps): void {
  app.get(
    '/healthz',
    {
      config: { open: true },
      schema: { tags, summary: 'Is the process alive?', security: [], response: { 200: Alive } },
    },
    async () => ({
      status: 'alive' as const,
      node,
      version,
    }),
  );
  app.get(
    '/readyz',
    {
      config: { open: true },
      schema: {
        tags,
        summary: 'May requests come, and what would a crash lose?',
        description: 'Answers 503 while Redis does not.',
        security: [],
        response: {
          200: Ready,
          ...problems(['redis_unavailable', 'redis_full', 'redis_readonly'], { open: true, bodiless: true }),
        },
      },
    },
    async () => {
      const mode = store.durability();
      const durability = { mode, meaning: MEANING[mode] };
      const trouble = store.trouble();
      if (trouble !== null)
        throw new StampedeError(
          failure('redis_unavailable', `Redis is in trouble: ${trouble}.`, {
            retryAfterMs: 1_000,
            details: { durability, node, version },
          }),
        );
      const { roundTripMs } = unwrap(await store.ping());
      return {
        status: 'ready' as const,
        node,
        version,
        durability,
        redis: { roundTripMs, clockErrorMs: store.nowErrorMs(), runId: store.runId() },
      };
    },
  );
  if (!metrics) return;
  app.get(
    '/metrics',
    { config: { open: true }, schema: { tags, summary: 'Prometheus metrics', security: [], produces: ['text/plain'] } },
    async (_request, reply) => {
      metrics.redisUp.set(store.trouble() === null ? 1 : 0);
      metrics.clockErrorSeconds.set(store.nowErrorMs() / 1000);
      return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
    },
  );
}
