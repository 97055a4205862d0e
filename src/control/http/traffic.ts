/** Request ids, one log line and one metric a request, and no new work while the process stops. */
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { App } from './routing.ts';

const DRAINING_RETRY_MS = 1_000;

export function registerTraffic(app: App, metrics: Metrics | undefined): void {
  let draining = false;
  app.addHook('preClose', async () => {
    draining = true;
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (draining) throw new StampedeError(failure('draining', undefined, { retryAfterMs: DRAINING_RETRY_MS }));
  });
  // A kept-alive connection that was busy when the closing began would otherwise hold it up until
  // its idle timeout.
  app.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    // The pattern of the route, never the address: labels must stay few.
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    metrics?.httpRequestSeconds.observe(
      { method: request.method, route, status: String(reply.statusCode) },
      reply.elapsedTime / 1000,
    );
    request.log.debug(
      {
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        key: request.apiKeyName,
      },
      'request',
    );
  });
}
