/** HTTP on the gateway port: errors of upgrades, health, readiness. */
import { STATUS_CODES } from 'node:http';
import { ERRORS, type Failure, failure } from '../protocol/codes.ts';
import { READY_RETRY_MS, type Readiness } from '../telemetry/readiness.ts';
import type { HttpResponse, TemplatedApp } from './uws.ts';

const RETRY_SECONDS = String(READY_RETRY_MS / 1000);

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

/** Metrics are not for the public: see METRICS_PORT. */
export function addHttpRoutes(app: TemplatedApp, node: string, readiness: Readiness): void {
  app.get('/healthz', (res) => respond(res, 200, { status: 'ok', node }));
  app.get('/readyz', (res) => {
    const report = readiness.report();
    if (report.ready) respond(res, 200, report);
    else respond(res, 503, report, { 'Content-Type': 'application/json', 'Retry-After': RETRY_SECONDS });
  });
  app.get('/v1/shows/:show', (res) =>
    respond(res, 426, failure('invalid_request', 'This is a WebSocket URL. Connect with an upgrade request.'), {
      Upgrade: 'websocket',
    }),
  );
  app.any('/*', (res) =>
    respondError(res, failure('not_found', 'The gateway serves /v1/shows/{showId} (WebSocket), /healthz and /readyz.')),
  );
}
