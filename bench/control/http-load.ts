/**
 * HTTP load by autocannon, measured per route. Flat out, every connection sends its next request
 * after each response. At a rate, autocannon gives each connection its share at the start of every
 * second; HdrHistogram corrects for requests that a slow response delayed, with the interval of a
 * connection's requests. (autocannon's correction assumes an interval of 1 ms at any rate.)
 */
import autocannon from 'autocannon';
import type { Histogram } from 'hdr-histogram-js';
import { describe } from '../generator/assemble.ts';
import { createPrng } from '../generator/prng.ts';
import { newHistogram } from '../generator/recorder.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly key?: string;
  readonly body?: unknown;
  /** Index of the API key, for requests that repeat its Idempotency-Key. Default: round robin. */
  readonly as?: number;
}

export interface Route {
  readonly name: string;
  /** Relative to the others. */
  readonly weight: number;
  request(n: number): HttpRequest;
}

interface HttpLoadOptions {
  readonly url: string;
  /** The engine limits requests per key. */
  readonly apiKeys: readonly string[];
  readonly routes: readonly Route[];
  readonly connections: number;
  /** Null: flat out. */
  readonly perSecond: number | null;
  readonly seconds: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Once a second. */
  onSecond(second: HttpSecond): void;
}

export type HttpSecond = ReturnType<Stats['second']>;
export type HttpLoadResult = Awaited<ReturnType<typeof runHttpLoad>>;

/** Context of a request until its response. */
type Pending = { route?: string; startedMs?: number };

const TIMEOUT_SECONDS = 10;

export async function runHttpLoad(options: HttpLoadOptions) {
  const { url, apiKeys, connections, perSecond, seconds, signal, onSecond } = options;
  const stats = new Stats(perSecond === null ? null : (connections * 1000) / perSecond);
  const prng = createPrng(options.seed);
  const counts = new Map<string, number>();
  const choices = options.routes.map((route) => [route, route.weight] as const);
  let sent = 0;
  const setupRequest = (request: autocannon.Request, context: object): autocannon.Request => {
    const route = prng.weighted(choices);
    const n = counts.get(route.name) ?? 0;
    counts.set(route.name, n + 1);
    const { method, path, key, body, as = sent } = route.request(n);
    const pending = context as Pending;
    // The first request of a connection waits for the connection, so it is not timed.
    if (sent >= connections) pending.startedMs = performance.now();
    pending.route = route.name;
    sent++;
    const headers = {
      authorization: `Bearer ${apiKeys[as % apiKeys.length]}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    };
    return { ...request, method, path, headers, body: body === undefined ? '' : JSON.stringify(body) };
  };
  const onResponse = (status: number, body: string, context: object): void => {
    const { route = '', startedMs } = context as Pending;
    stats.add(route, startedMs === undefined ? null : performance.now() - startedMs, status, body);
  };
  const startedMs = performance.now();
  const onError = (): void => stats.refused('no response');
  const everySecond = (): void => onSecond(stats.second(performance.now() - startedMs));
  const load = {
    url,
    connections: perSecond === null ? connections : Math.min(connections, perSecond),
    duration: seconds,
    timeout: TIMEOUT_SECONDS,
    requests: [{ setupRequest, onResponse }],
    ...(perSecond === null ? {} : { overallRate: perSecond, ignoreCoordinatedOmission: true }),
  };
  await runAutocannon(load, { signal, onError, everySecond });
  return { seconds: (performance.now() - startedMs) / 1000, requests: sent, ...stats.total() };
}

type Hooks = { readonly signal: AbortSignal; onError(): void; everySecond(): void };

function runAutocannon(options: autocannon.Options, { signal, onError, everySecond }: Hooks): Promise<void> {
  const timer = setInterval(everySecond, 1_000);
  return new Promise<void>((resolve, reject) => {
    const instance = autocannon(options, (error: unknown) => (error ? reject(error) : resolve()));
    instance.on('reqError', onError);
    signal.addEventListener('abort', () => instance.stop(), { once: true });
  }).finally(() => clearInterval(timer));
}

/** Responses by route, of the whole run and of the present second. */
class Stats {
  readonly #intervalMs: number | null;
  readonly #routes = new Map<string, Histogram>();
  readonly #all = newHistogram();
  readonly #second = newHistogram();
  readonly #refusals = new Map<string, number>();
  #responses = 0;
  #reported = 0;

  constructor(intervalMs: number | null) {
    this.#intervalMs = intervalMs;
  }

  add(route: string, latencyMs: number | null, status: number, body: string): void {
    this.#responses++;
    if (status >= 400) this.refused(codeOf(status, body));
    if (latencyMs === null) return;
    const own = this.#routes.get(route) ?? newHistogram();
    this.#routes.set(route, own);
    const micros = Math.max(1, Math.round(latencyMs * 1000));
    for (const histogram of [own, this.#all, this.#second])
      if (this.#intervalMs === null) histogram.recordValue(micros);
      else histogram.recordValueWithExpectedInterval(micros, Math.round(this.#intervalMs * 1000));
  }

  refused(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
  }

  second(atMs: number) {
    const latency = this.#second.totalCount === 0 ? null : describe('request', this.#second);
    const responses = this.#responses - this.#reported;
    this.#reported = this.#responses;
    this.#second.reset();
    return { atMs, responses, latency };
  }

  /** Refusals by problem code; `no response` for broken connections and timeouts. */
  total() {
    const byRoute = [...this.#routes].map(([name, histogram]) => describe(name, histogram));
    const all = this.#all.totalCount === 0 ? null : describe('request', this.#all);
    const latencies = byRoute.sort((a, b) => b.count - a.count);
    return { responses: this.#responses, latencies, all, refusals: this.#refusals };
  }
}

/** The code of a problem document, or the status. */
function codeOf(status: number, body: string): string {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    if (typeof code === 'string') return code;
  } catch {
    // Not a problem document.
  }
  return `http_${status}`;
}
