/** Request ids, a log line and a metric per request, and refusals while the process drains. */
import { LIMITS } from '../../limits.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type App, refusal } from './routing.ts';

const DRAINING_RETRY_MS = 1_000;
const CLOSE_IDLE_EVERY_MS = 100;

export function registerTraffic(app: App, metrics: Metrics | undefined): void {
  let draining = false;
  let closing: NodeJS.Timeout | undefined;
  // Without this a client that sends nothing, or does not read, delays the close by minutes.
  app.addHook('preClose', async () => {
    draining = true;
    const until = performance.now() + LIMITS.httpDrainMs;
    closing = setInterval(() => {
      app.server.closeIdleConnections();
      if (performance.now() > until) app.server.closeAllConnections();
    }, CLOSE_IDLE_EVERY_MS);
  });
  app.addHook('onClose', async () => clearInterval(closing));
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (draining) throw refusal('draining', undefined, { retryAfterMs: DRAINING_RETRY_MS });
  });
  // Otherwise a busy keep-alive connection would delay the close until its idle timeout.
  app.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    // The pattern of the route bounds the number of labels.
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    metrics?.httpRequestSeconds.observe(
      { method: request.method, route, status: String(reply.statusCode) },
      reply.elapsedTime / 1000,
    );
    const { method, apiKeyName: key } = request;
    request.log.debug({ method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime), key }, 'request');
  });
}
