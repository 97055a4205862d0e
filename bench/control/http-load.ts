/**
 * HTTP load by autocannon, measured by route. Flat out, every connection asks again as soon as it
 * is answered. At a rate, autocannon gives each connection its part of every second at the second's
 * start; the part of a second that a slow answer took from the requests behind it is put back by
 * HdrHistogram's correction with the interval between a connection's requests. (autocannon's own
 * correction assumes requests a millisecond apart, whatever the rate.)
 */
import autocannon from 'autocannon';
import type { Histogram } from 'hdr-histogram-js';
import { describe } from '../generator/assemble.ts';
import { createPrng } from '../generator/prng.ts';
import { newHistogram } from '../generator/recorder.ts';
import type { Latency } from '../report/result.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly key?: string;
  readonly body?: unknown;
  /**
   * Which of the API keys: an Idempotency-Key belongs to the API key that used it. Any of them, in
   * turns, unless given.
   */
  readonly as?: number;
}

export interface Route {
  readonly name: string;
  /** Relative to the others. */
  readonly weight: number;
  /** The n-th request of this route. */
  request(n: number): HttpRequest;
}

export interface HttpLoadOptions {
  readonly url: string;
  /** The engine counts requests by key. */
  readonly apiKeys: readonly string[];
  readonly routes: readonly Route[];
  readonly connections: number;
  /** Null: as fast as answers come. */
  readonly perSecond: number | null;
  readonly seconds: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Once a second. */
  onSecond(second: HttpSecond): void;
}

export interface HttpSecond {
  readonly atMs: number;
  readonly answers: number;
  readonly latency: Latency | null;
  readonly refusals: ReadonlyMap<string, number>;
}

export interface HttpLoadResult {
  readonly seconds: number;
  readonly asked: number;
  readonly answers: number;
  /** By route, and all of them. */
  readonly latencies: readonly Latency[];
  readonly all: Latency | null;
  /** By problem code; `no answer` for connections that broke or timed out. */
  readonly refusals: ReadonlyMap<string, number>;
}

/** What travels with a request until its answer. */
interface Trip {
  route?: string;
  startedMs?: number;
}

const TIMEOUT_SECONDS = 10;

export async function runHttpLoad(options: HttpLoadOptions): Promise<HttpLoadResult> {
  const { url, apiKeys, connections, perSecond, seconds, signal, onSecond } = options;
  const book = new Book(perSecond === null ? null : (connections * 1000) / perSecond);
  const prng = createPrng(options.seed);
  const counts = new Map<string, number>();
  const choices = options.routes.map((route) => [route, route.weight] as const);
  let sent = 0;
  const setupRequest = (request: autocannon.Request, context: object): autocannon.Request => {
    const route = prng.weighted(choices);
    const n = counts.get(route.name) ?? 0;
    counts.set(route.name, n + 1);
    const { method, path, key, body, as = sent } = route.request(n);
    const trip = context as Trip;
    // The first request of a connection is made before it is connected: its time would be that of
    // the connection.
    if (sent >= connections) trip.startedMs = performance.now();
    trip.route = route.name;
    sent++;
    return {
      ...request,
      method,
      path,
      headers: {
        authorization: `Bearer ${apiKeys[as % apiKeys.length]}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: body === undefined ? '' : JSON.stringify(body),
    };
  };
  const onResponse = (status: number, body: string, context: object): void => {
    const { route = '', startedMs } = context as Trip;
    book.answered(route, startedMs === undefined ? null : performance.now() - startedMs, status, body);
  };
  const startedMs = performance.now();
  await cannonade(
    {
      url,
      connections: perSecond === null ? connections : Math.min(connections, perSecond),
      duration: seconds,
      timeout: TIMEOUT_SECONDS,
      requests: [{ setupRequest, onResponse }],
      ...(perSecond === null ? {} : { overallRate: perSecond, ignoreCoordinatedOmission: true }),
    },
    signal,
    () => book.refused('no answer'),
    () => onSecond(book.second(performance.now() - startedMs)),
  );
  return { seconds: (performance.now() - startedMs) / 1000, asked: sent, ...book.total() };
}

function cannonade(
  options: autocannon.Options,
  signal: AbortSignal,
  onError: () => void,
  everySecond: () => void,
): Promise<void> {
  const timer = setInterval(everySecond, 1_000);
  return new Promise<void>((resolve, reject) => {
    const instance = autocannon(options, (error: unknown) => (error ? reject(error) : resolve()));
    instance.on('reqError', onError);
    signal.addEventListener('abort', () => instance.stop(), { once: true });
  }).finally(() => clearInterval(timer));
}

/** Answers by route, of the whole run and of the second. */
class Book {
  readonly #intervalMs: number | null;
  readonly #routes = new Map<string, Histogram>();
  readonly #all = newHistogram();
  readonly #second = newHistogram();
  readonly #refusals = new Map<string, number>();
  #answers = 0;
  #told = 0;

  constructor(intervalMs: number | null) {
    this.#intervalMs = intervalMs;
  }

  answered(route: string, latencyMs: number | null, status: number, body: string): void {
    this.#answers++;
    if (status >= 400) this.refused(codeOf(status, body));
    if (latencyMs === null) return;
    const own = this.#routes.get(route) ?? newHistogram();
    this.#routes.set(route, own);
    for (const histogram of [own, this.#all, this.#second])
      this.#record(histogram, Math.max(1, Math.round(latencyMs * 1000)));
  }

  #record(histogram: Histogram, micros: number): void {
    if (this.#intervalMs === null) histogram.recordValue(micros);
    else histogram.recordValueWithExpectedInterval(micros, Math.round(this.#intervalMs * 1000));
  }

  refused(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
  }

  second(atMs: number): HttpSecond {
    const latency = this.#second.totalCount === 0 ? null : describe('request', this.#second);
    const answers = this.#answers - this.#told;
    this.#told = this.#answers;
    this.#second.reset();
    return { atMs, answers, latency, refusals: new Map(this.#refusals) };
  }

  total(): Pick<HttpLoadResult, 'answers' | 'latencies' | 'all' | 'refusals'> {
    return {
      answers: this.#answers,
      latencies: [...this.#routes]
        .map(([name, histogram]) => describe(name, histogram))
        .sort((a, b) => b.count - a.count),
      all: this.#all.totalCount === 0 ? null : describe('request', this.#all),
      refusals: this.#refusals,
    };
  }
}

/** Of a problem document; else the status. */
function codeOf(status: number, body: string): string {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    if (typeof code === 'string') return code;
  } catch {
    // no problem document
  }
  return `http_${status}`;
}
