/** The port for scrapers and probes, which is not public: /metrics, /healthz and /readyz. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { METRICS_MEDIA_TYPE } from './exposition.ts';
import { READY_RETRY_MS, type Readiness } from './readiness.ts';

export interface OperationsServerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly readiness: Readiness;
  readonly node: string;
  /** The text of a scrape. */
  readonly scrape: () => Promise<string>;
  /** Whether a request with this bearer token may read the metrics. */
  readonly mayScrape: (token: string | undefined) => boolean;
}

const REQUEST_TIMEOUT_MS = 10_000;
/** Then the connection is closed: requests that are sent at once and not read have a bound. */
const REQUESTS_PER_CONNECTION_MAX = 100;

function send(response: ServerResponse, status: number, body: string | object, headers: Record<string, string>): void {
  const type = typeof body === 'string' ? METRICS_MEDIA_TYPE : 'application/json';
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Rejects with the error of the socket if the port cannot be opened. */
export async function startOperationsServer(
  options: OperationsServerOptions,
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const { host, port, readiness, node, scrape, mayScrape } = options;
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, { message: 'Use GET.' }, { Allow: 'GET, HEAD' });
    if (path === '/healthz') return send(response, 200, { status: 'alive', node }, {});
    if (path === '/readyz') {
      const report = readiness.report();
      return send(
        response,
        report.ready ? 200 : 503,
        report,
        report.ready ? {} : { 'Retry-After': String(READY_RETRY_MS / 1000) },
      );
    }
    if (path !== '/metrics')
      return send(response, 404, { message: 'This port serves /metrics, /healthz and /readyz.' }, {});
    if (!mayScrape(/^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]))
      return send(
        response,
        401,
        { message: 'Send METRICS_TOKEN as "Authorization: Bearer <token>".' },
        { 'WWW-Authenticate': 'Bearer realm="stampede metrics"' },
      );
    scrape().then(
      (text) => send(response, 200, text, {}),
      () => send(response, 500, { message: 'The metrics could not be read.' }, {}),
    );
  });
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  await listening(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve());
  });
}
