/** HTTP on the gateway port: errors of upgrades, health, readiness, metrics. */
import { STATUS_CODES } from 'node:http';
import type { Health } from '../domain/health.ts';
import { ERRORS, type Failure, failure } from '../protocol/codes.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { HttpResponse, TemplatedApp } from './uws.ts';

/** Writes a complete response. Must not be called after the response was aborted. */
export function respond(
  res: HttpResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  res.cork(() => {
    res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    if (!('Content-Type' in headers)) res.writeHeader('Content-Type', 'application/json');
    res.writeHeader('Cache-Control', 'no-store');
    for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
    res.end(text);
  });
}

/** Writes an error response, with `Retry-After` if a retry helps. */
export function respondError(res: HttpResponse, error: Failure): void {
  const headers =
    error.retryAfterMs === undefined
      ? {}
      : { 'Retry-After': String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))) };
  respond(res, ERRORS[error.code].status, error, headers);
}

export interface HttpRoutesOptions {
  readonly health: Health;
  readonly draining: () => boolean;
  readonly node: string;
  readonly metrics: Metrics;
}

export function addHttpRoutes(app: TemplatedApp, { health, draining, node, metrics }: HttpRoutesOptions): void {
  app.get('/healthz', (res) => respond(res, 200, { status: 'ok', node }));
  app.get('/readyz', (res) => {
    const trouble = health.trouble();
    const ready = trouble === null && !draining();
    respond(res, ready ? 200 : 503, {
      ready,
      draining: draining(),
      redis: trouble?.state ?? 'ok',
      ...(trouble === null ? {} : { reason: trouble.reason, remedy: trouble.remedy }),
      durability: health.durability(),
      runId: health.runId(),
      node,
    });
  });
  app.get('/metrics', (res) => {
    let aborted = false;
    res.onAborted(() => {
      aborted = true;
    });
    metrics.registry.metrics().then(
      (text) => {
        if (!aborted) respond(res, 200, text, { 'Content-Type': metrics.registry.contentType });
      },
      () => {
        if (!aborted) respondError(res, failure('internal'));
      },
    );
  });
  app.get('/v1/shows/:show', (res) =>
    respond(res, 426, failure('invalid_request', 'This is a WebSocket URL. Connect with an upgrade request.'), {
      Upgrade: 'websocket',
    }),
  );
  app.any('/*', (res) =>
    respondError(
      res,
      failure('not_found', 'The gateway serves /v1/shows/{showId} (WebSocket), /healthz, /readyz and /metrics.'),
    ),
  );
}
