/**
 * All metrics, in a separate Prometheus registry. Labels have few values (codes, lanes, scripts),
 * never a show, a user or a SKU: those would fill the memory of the Prometheus server.
 */
import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricType,
  type MetricValueWithName,
  Registry,
} from 'prom-client';
import { VARIANTS, type Variant } from '../protocol/messages.ts';

/** A counter with one label for hot paths: `inc` of prom-client takes 2 us. */
export interface Tally {
  add(label: string): void;
}

/** A histogram without labels for hot paths: `observe` of prom-client allocates. */
export interface Distribution {
  observe(value: number): void;
}

export interface Metrics {
  readonly registry: Registry;
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
  readonly scriptSeconds: Histogram<'script'>;
  readonly flushSeconds: Histogram<'lane'>;
  readonly redisUp: Gauge;
  readonly clockErrorSeconds: Gauge;
  readonly httpRequestSeconds: Histogram<'method' | 'route' | 'status'>;
  readonly jobs: Counter<'queue' | 'outcome'>;
}

export interface MetricsOptions {
  /** Adds the metrics of Node.js: memory, event-loop delay, garbage collection. Default: true. */
  readonly processMetrics?: boolean;
  readonly node?: string;
}

const SECONDS_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** The enum of prom-client exists in its types only. */
const HISTOGRAM = 'histogram' as unknown as MetricType;
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128];

export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (options.node !== undefined) registry.setDefaultLabels({ node: options.node });
  if (options.processMetrics !== false) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = <L extends string = never>(name: string, help: string, labelNames: L[] = []): Counter<L> =>
    new Counter<L>({ name: `stampede_${name}`, help, labelNames, registers });
  const collected = (name: string, help: string, label: string, read: () => Iterable<[string, number]>): unknown =>
    new Counter({
      name: `stampede_${name}`,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, count] of read()) this.inc({ [label]: value }, count);
      },
    });
  const tally = (name: string, help: string, label: string): Tally => {
    const counts = new Map<string, number>();
    collected(name, help, label, () => counts);
    return { add: (value) => void counts.set(value, (counts.get(value) ?? 0) + 1) };
  };
  const distribution = (name: string, help: string, bounds: readonly number[]): Distribution => {
    const metric = new PlainHistogram(`stampede_${name}`, help, bounds);
    registry.registerMetric(metric as unknown as Histogram);
    return metric;
  };
  const gauge = (name: string, help: string): Gauge => new Gauge({ name: `stampede_${name}`, help, registers });
  const seconds = <L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> =>
    new Histogram<L>({ name: `stampede_${name}`, help, buckets: SECONDS_BUCKETS, labelNames, registers });

  const encodes = Object.fromEntries(VARIANTS.map((variant) => [variant, 0])) as Record<Variant, number>;
  collected('encodes_total', 'Broadcasts and welcomes encoded, by wire variant', 'variant', () =>
    Object.entries(encodes),
  );

  return Object.freeze({
    registry,
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
    decisions: tally('decisions_total', 'Redis results of reserve and release, by outcome', 'outcome'),
    localRefusals: tally('local_refusals_total', 'Reserve requests refused from memory, by error code', 'code'),
    reserveBatchSize: distribution('reserve_batch_size', 'Reserve requests per script call', BATCH_BUCKETS),
    decisionSeconds: distribution(
      'decision_seconds',
      'Time from a reserve or release request to its reply, for results of Redis',
      SECONDS_BUCKETS,
    ),
    scriptSeconds: seconds('script_seconds', 'Time from sending a script to Redis until its reply', ['script']),
    flushSeconds: seconds('flush_seconds', 'Time from the flush of a lane until it is written', ['lane']),
    redisUp: gauge('redis_up', '1 while Redis replies, else 0'),
    clockErrorSeconds: gauge('clock_error_seconds', 'Maximum error of the Redis clock: half the best round trip'),
    httpRequestSeconds: seconds('http_request_seconds', 'Duration of HTTP requests', ['method', 'route', 'status']),
    jobs: counter('jobs_total', 'Finished background jobs, by queue and outcome', ['queue', 'outcome']),
  });
}

/** The part of a prom-client metric that its registry uses, over an array of counters. */
class PlainHistogram implements Distribution {
  readonly name: string;
  private readonly help: string;
  private readonly bounds: readonly number[];
  /** Not cumulative. The last one counts values above every bound. */
  private readonly counts: Float64Array;
  private sum = 0;

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
  }

  async get(): Promise<Omit<MetricObjectWithValues<MetricValueWithName<string>>, 'collect'>> {
    const values: Array<MetricValueWithName<string>> = [];
    let below = 0;
    for (const [i, count] of this.counts.entries()) {
      below += count;
      values.push({ metricName: `${this.name}_bucket`, labels: { le: this.bounds[i] ?? '+Inf' }, value: below });
    }
    values.push(
      { metricName: `${this.name}_sum`, labels: {}, value: this.sum },
      { metricName: `${this.name}_count`, labels: {}, value: below },
    );
    return { name: this.name, help: this.help, type: HISTOGRAM, aggregator: 'sum', values };
  }

  reset(): void {
    this.counts.fill(0);
    this.sum = 0;
  }
}
