/**
 * All metrics, in a separate Prometheus registry. Labels have few values (codes, lanes, scripts),
 * never a show, a user or a SKU: those would fill the memory of the Prometheus server.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Health, REDIS_STATES } from '../domain/health.ts';
import { HOLD_OUTCOMES } from '../domain/reservation.ts';
import { VARIANTS, type Variant } from '../protocol/messages.ts';
import { addCollected, type Distribution, PlainHistogram, type Sample, type Tally } from './metric-kinds.ts';

/** Units of the sales of live shows; `open` counts sales that take reservations. */
export interface SaleTotals {
  readonly shows: number;
  readonly open: number;
  readonly units: Readonly<Record<'available' | 'held' | 'sold', number>>;
}

/** A gateway process of a supervisor. */
export interface WorkerState {
  readonly worker: number;
  readonly state: 'starting' | 'ready' | 'restarting';
  /** Its samples are part of this scrape. */
  readonly isScraped: boolean;
  readonly restarts: number;
  readonly missedScrapes: number;
}

/** What is read at each scrape. The metrics of an absent source have no samples. */
export interface MetricSources {
  readonly version?: string;
  readonly health?: Health;
  readonly isReady?: () => boolean;
  readonly embeddedRestarts?: () => number;
  readonly saleTotals?: () => SaleTotals | null;
  readonly workers?: () => readonly WorkerState[];
}

export interface Metrics {
  readonly registry: Registry;
  /** Adds sources, and replaces those of the same name. */
  observe(sources: MetricSources): void;
  readonly connections: Gauge;
  readonly rooms: Gauge;
  readonly joins: Tally;
  readonly joinsRefused: Tally;
  readonly closes: Tally;
  readonly framesIn: Tally;
  readonly badFrames: Counter<'code'>;
  /** Encoded broadcasts and welcomes. */
  readonly encodes: Record<Variant, number>;
  readonly framesOut: Counter<'lane' | 'variant'>;
  readonly deliveries: Counter<'lane'>;
  readonly bytesOut: Counter<'lane'>;
  readonly demotions: Counter;
  readonly resumes: Tally;
  readonly chatAccepted: Counter;
  readonly chatLeftOut: Counter;
  readonly chatRefused: Tally;
  readonly hearts: Counter;
  readonly decisions: Tally;
  readonly localRefusals: Tally;
  readonly reserveBatchSize: Distribution;
  readonly decisionSeconds: Distribution;
  readonly holds: Tally;
  readonly units: Tally;
  readonly revenue: Tally;
  readonly booksVerified: Tally;
  readonly scriptSeconds: Histogram<'script'>;
  readonly flushSeconds: Histogram<'lane'>;
  readonly httpRequestSeconds: Histogram<'method' | 'route' | 'status'>;
  readonly jobs: Counter<'queue' | 'outcome'>;
  readonly jobLastRun: Gauge<'task'>;
  readonly nodeNameShared: Gauge;
}

export interface MetricsOptions {
  /** Adds the metrics of Node.js: memory, event-loop delay, garbage collection. Default: true. */
  readonly processMetrics?: boolean;
  readonly node?: string;
}

const SECONDS_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128];

export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (options.node !== undefined) registry.setDefaultLabels({ node: options.node });
  if (options.processMetrics !== false) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = <L extends string = never>(name: string, help: string, labelNames: L[] = []): Counter<L> =>
    new Counter<L>({ name: `stampede_${name}`, help, labelNames, registers });
  /** `known` values begin with 0: `increase()` misses the first step of a series. */
  const tally = (name: string, help: string, label: string, known: readonly string[] = []): Tally => {
    const counts = new Map<string, number>(known.map((value) => [value, 0]));
    const read = (): Sample[] => Array.from(counts, ([value, count]) => [{ [label]: value }, count]);
    addCollected(registry, 'counter', { name: `stampede_${name}`, help, labelNames: [label] }, read);
    return { add: (value, count = 1) => void counts.set(value, (counts.get(value) ?? 0) + count) };
  };
  const distribution = (name: string, help: string, bounds: readonly number[]): Distribution =>
    new PlainHistogram(registry, `stampede_${name}`, help, bounds);
  const gauge = <L extends string = never>(name: string, help: string, labelNames: L[] = []): Gauge<L> =>
    new Gauge<L>({ name: `stampede_${name}`, help, labelNames, registers });
  const seconds = <L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> =>
    new Histogram<L>({ name: `stampede_${name}`, help, buckets: SECONDS_BUCKETS, labelNames, registers });

  const encodes = Object.fromEntries(VARIANTS.map((variant) => [variant, 0])) as Record<Variant, number>;
  const named = { name: 'stampede_encodes_total', help: 'Broadcasts and welcomes encoded, by wire variant' };
  addCollected(registry, 'counter', { ...named, labelNames: ['variant'] }, () =>
    Object.entries(encodes).map(([variant, count]) => [{ variant }, count]),
  );

  return Object.freeze({
    registry,
    observe: observedMetrics(registry),
    encodes,
    connections: gauge('connections', 'Open WebSocket connections of this node'),
    rooms: gauge('rooms', 'Shows in memory on this node'),
    joins: tally('joins_total', 'Viewers welcomed, by role', 'role'),
    joinsRefused: tally('joins_refused_total', 'WebSocket connections refused, by error code', 'code'),
    closes: tally('closes_total', 'WebSocket connections closed, by close code', 'code'),
    framesIn: tally('frames_in_total', 'Messages received from clients, by type', 'type'),
    badFrames: counter('bad_frames_total', 'Invalid messages from clients, by error code', ['code']),
    framesOut: counter('frames_out_total', 'Frames published, by lane and wire variant', ['lane', 'variant']),
    deliveries: counter('deliveries_total', 'Frames sent to viewers, by lane', ['lane']),
    bytesOut: counter('bytes_out_total', 'Payload bytes sent to viewers, by lane', ['lane']),
    demotions: counter('demotions_total', 'Slow viewers unsubscribed from chat until their buffer was empty'),
    resumes: tally('resumes_total', 'Resumed viewers, by source of the missed events: memory, log, snapshot', 'from'),
    chatAccepted: counter('chat_accepted_total', 'Chat messages accepted'),
    chatLeftOut: counter('chat_left_out_total', 'Accepted chat messages dropped by the display cap of their show'),
    chatRefused: tally('chat_refused_total', 'Chat messages refused, by error code', 'code'),
    hearts: counter('hearts_total', 'Hearts received by this node'),
    decisions: tally('decisions_total', 'Redis results of reserve and release, by outcome or error code', 'outcome'),
    localRefusals: tally('local_refusals_total', 'Reserve requests refused from memory, by error code', 'code'),
    reserveBatchSize: distribution('reserve_batch_size', 'Reserve requests per script call', BATCH_BUCKETS),
    decisionSeconds: distribution(
      'decision_seconds',
      'Time from a reserve or release request to its reply, for results of Redis',
      SECONDS_BUCKETS,
    ),
    holds: tally(
      'holds_total',
      'Holds by outcome: made, offered, confirmed (orders), released, expired, refunded',
      'outcome',
      HOLD_OUTCOMES,
    ),
    units: tally('units_total', 'Units of holds by outcome; confirmed are the units sold', 'outcome', HOLD_OUTCOMES),
    revenue: tally('revenue_minor_units_total', 'Amount of confirmed orders in minor units, by currency', 'currency'),
    booksVerified: tally(
      'books_verified_total',
      'Shows whose books were verified after a restart of Redis, by result: intact, repaired, untrusted',
      'result',
      ['intact', 'repaired', 'untrusted'],
    ),
    scriptSeconds: seconds('script_seconds', 'Time from sending a script to Redis until its reply', ['script']),
    flushSeconds: seconds('flush_seconds', 'Time from the flush of a lane until it is written', ['lane']),
    httpRequestSeconds: seconds('http_request_seconds', 'Duration of HTTP requests', ['method', 'route', 'status']),
    jobs: counter('jobs_total', 'Finished background jobs, by queue and outcome', ['queue', 'outcome']),
    nodeNameShared: gauge('node_name_shared', '1 while another running process has the same NODE_NAME, else 0'),
    jobLastRun: gauge('job_last_run_timestamp_seconds', 'Unix time at which this process last completed a job', [
      'task',
    ]),
  });
}

const inSeconds = (ms: number | null | undefined): number | null => (typeof ms === 'number' ? ms / 1000 : null);

/** Adds the metrics that are read at a scrape. Returns the function that adds their sources. */
function observedMetrics(registry: Registry): Metrics['observe'] {
  let sources: MetricSources = {};
  type Read = (from: MetricSources) => Iterable<Sample>;
  const add = (kind: 'counter' | 'gauge', name: string, help: string, labelNames: string[], read: Read): void =>
    addCollected(registry, kind, { name: `stampede_${name}`, help, labelNames }, () => read(sources));
  const one = (value: number | boolean | null | undefined): Sample[] =>
    value === null || value === undefined ? [] : [[{}, Number(value)]];
  const health =
    (read: (of: Health) => Iterable<Sample>): Read =>
    (from) =>
      from.health ? read(from.health) : [];

  add('gauge', 'build_info', 'Release of this process; always 1', ['version'], ({ version }) =>
    version === undefined ? [] : [[{ version }, 1]],
  );
  add('gauge', 'ready', '1 while /readyz returns 200, else 0', [], ({ isReady }) => one(isReady?.()));
  add(
    'gauge',
    'redis_up',
    '1 while Redis accepts commands, also while it is full and accepts only some, else 0',
    [],
    health((of) => one(of.refusal() === null)),
  );
  add(
    'gauge',
    'redis_state',
    '1 for the present state of Redis, 0 for the others: ok, or why it cannot be used',
    ['state'],
    health((of) => {
      const present = of.trouble()?.state ?? 'ok';
      return ['ok', ...REDIS_STATES].map((state) => [{ state }, Number(state === present)]);
    }),
  );
  add(
    'gauge',
    'redis_info',
    'What Redis allows and how it is used; always 1',
    ['server', 'cluster', 'identity', 'scripts', 'publish', 'durability', 'eviction'],
    health((of) => {
      const found = of.redisCapabilities();
      if (found === null) return [];
      const { server, isCluster, identity, scripts, publish, durability, evictionPolicy } = found;
      const eviction = evictionPolicy ?? 'unknown';
      return [[{ server, cluster: String(isCluster), identity, scripts, publish, durability, eviction }, 1]];
    }),
  );
  let reconnects = -1;
  add(
    'counter',
    'redis_reconnects_total',
    'Times that Redis could be used again after it could not',
    [],
    health(() => one(Math.max(0, reconnects))),
  );
  add('counter', 'embedded_redis_restarts_total', 'Restarts of the embedded Redis after it ended', [], (from) =>
    one(from.embeddedRestarts?.()),
  );
  add(
    'gauge',
    'redis_memory_used_bytes',
    'Memory that Redis uses',
    [],
    health((of) => one(of.memory()?.usedBytes)),
  );
  add(
    'gauge',
    'redis_memory_max_bytes',
    'Memory that Redis may use (maxmemory); 0 = no limit',
    [],
    health((of) => one(of.memory()?.maxBytes)),
  );
  add(
    'gauge',
    'redis_memory_full_seconds',
    'Time until Redis is full, at the growth of the last week; absent while it does not grow',
    [],
    health((of) => one(inSeconds(of.memory()?.fullInMs))),
  );
  add(
    'gauge',
    'clock_error_seconds',
    'Largest error of the Redis clock in this process',
    [],
    health((of) => one(of.nowErrorMs() / 1000)),
  );
  add(
    'counter',
    'clock_steps_total',
    'Steps of the Redis clock that this process noticed',
    [],
    health((of) => one(of.clockSteps())),
  );
  const totals =
    (read: (of: SaleTotals) => Iterable<Sample>): Read =>
    (from) => {
      const of = from.saleTotals?.() ?? null;
      return of === null ? [] : read(of);
    };
  const TOTALS = 'Each process with the role jobs reports all: use max';
  add(
    'gauge',
    'live_shows',
    `Shows with a sale that is not over. ${TOTALS}`,
    [],
    totals(({ shows }) => one(shows)),
  );
  add(
    'gauge',
    'open_sales',
    `Sales that take reservations. ${TOTALS}`,
    [],
    totals(({ open }) => one(open)),
  );
  add(
    'gauge',
    'sale_units',
    `Units in sales of live shows: available, held, sold. ${TOTALS}`,
    ['state'],
    totals(({ units }) => Object.entries(units).map(([state, count]) => [{ state }, count])),
  );
  const workers =
    (read: (of: WorkerState) => number): Read =>
    (from) =>
      (from.workers?.() ?? []).map((of) => [{ worker: String(of.worker) }, read(of)]);
  add(
    'gauge',
    'worker_up',
    '1 if the gateway worker replied to this scrape, else 0',
    ['worker'],
    workers(({ isScraped }) => Number(isScraped)),
  );
  add(
    'counter',
    'worker_restarts_total',
    'Restarts of a gateway worker that ended unexpectedly',
    ['worker'],
    workers(({ restarts }) => restarts),
  );
  add(
    'counter',
    'worker_scrapes_missed_total',
    'Scrapes without the samples of a gateway worker',
    ['worker'],
    workers(({ missedScrapes }) => missedScrapes),
  );
  return (more) => {
    sources = { ...sources, ...more };
    if (more.health === undefined) return;
    if (more.health.trouble() === null) reconnects = 0;
    more.health.watchTrouble((trouble) => {
      if (trouble === null) reconnects += 1;
    });
  };
}
