/**
 * Everything Stampede counts, in a Prometheus registry of its own. Labels take few values by design
 * (codes, lanes, script names): never a show, a user or a SKU, or a busy night would fill the
 * memory of whoever scrapes.
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

/**
 * A counter of one label for paths walked a hundred thousand times a second: a plain map, handed to
 * the registry only when somebody asks. (A labelled `inc` of the library hashes its labels each
 * time, about 2 us.)
 */
export interface Tally {
  add(label: string): void;
}

/**
 * A histogram without labels for the same paths: an `observe` of the library allocates and takes
 * half a microsecond.
 */
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
  readonly reserveBatchSize: Histogram;
  readonly decisionSeconds: Distribution;
  readonly scriptSeconds: Histogram<'script'>;
  readonly flushSeconds: Histogram<'lane'>;
  readonly redisUp: Gauge;
  readonly clockErrorSeconds: Gauge;
  readonly httpRequestSeconds: Histogram<'method' | 'route' | 'status'>;
  readonly jobs: Counter<'queue' | 'outcome'>;
}

export interface MetricsOptions {
  /** Also Node's own: memory, event-loop delay, garbage collection. On unless false. */
  readonly processMetrics?: boolean;
  readonly node?: string;
}

const SECONDS_FAST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** The library declares an enum that does not exist when the program runs. */
const HISTOGRAM = 'histogram' as unknown as MetricType;
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128];

export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (options.node !== undefined) registry.setDefaultLabels({ node: options.node });
  if (options.processMetrics !== false) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = <L extends string = never>(name: string, help: string, labelNames: L[] = []): Counter<L> =>
    new Counter<L>({ name: `stampede_${name}`, help, labelNames, registers });
  const tally = (name: string, help: string, label: string): Tally => {
    const counts = new Map<string, number>();
    new Counter({
      name: `stampede_${name}`,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, count] of counts) this.inc({ [label]: value }, count);
      },
    });
    return { add: (value) => void counts.set(value, (counts.get(value) ?? 0) + 1) };
  };
  const distribution = (name: string, help: string, bounds: readonly number[]): Distribution => {
    const metric = new PlainHistogram(`stampede_${name}`, help, bounds);
    registry.registerMetric(metric as unknown as Histogram);
    return metric;
  };
  const gauge = (name: string, help: string): Gauge => new Gauge({ name: `stampede_${name}`, help, registers });
  const histogram = <L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: L[] = [],
  ): Histogram<L> => new Histogram<L>({ name: `stampede_${name}`, help, buckets, labelNames, registers });

  return Object.freeze({
    registry,
    connections: gauge('connections', 'WebSocket connections open on this node'),
    rooms: gauge('rooms', 'Shows this node has in memory'),
    joins: tally('joins_total', 'WebSocket connections that were welcomed, by role', 'role'),
    joinsRefused: tally('joins_refused_total', 'WebSocket upgrades refused, by error code', 'code'),
    closes: tally('closes_total', 'WebSocket connections closed, by close code', 'code'),
    framesIn: tally('frames_in_total', 'Messages received from clients, by type', 'type'),
    badFrames: counter('bad_frames_total', 'Messages that could not be understood, by error code', ['code']),
    framesOut: counter(
      'frames_out_total',
      'Frames encoded and handed out, once however many viewers get them, by lane and wire variant',
      ['lane', 'variant'],
    ),
    deliveries: counter('deliveries_total', 'Frames put on the sockets of viewers, by lane', ['lane']),
    bytesOut: counter('bytes_out_total', 'Payload bytes put on the sockets of viewers, by lane', ['lane']),
    demotions: counter('demotions_total', 'Times a slow viewer left the chat lane until its line drained'),
    resumes: tally('resumes_total', 'Resumes answered, by where the gap came from: memory, log, snapshot', 'from'),
    chatAccepted: counter('chat_accepted_total', 'Chat messages accepted'),
    chatLeftOut: counter('chat_left_out_total', 'Accepted chat messages that the display cap of their show left out'),
    chatRefused: tally('chat_refused_total', 'Chat messages refused, by error code', 'code'),
    hearts: counter('hearts_total', 'Hearts received from viewers of this node'),
    decisions: tally(
      'decisions_total',
      'Answers of Redis to reserve, confirm and release: accepted, replayed or the error code',
      'outcome',
    ),
    localRefusals: tally(
      'local_refusals_total',
      'Reserve requests refused from the local view of a sale without asking Redis, by error code',
      'code',
    ),
    reserveBatchSize: histogram('reserve_batch_size', 'Reserve requests that one script call decided', BATCH_SIZES),
    decisionSeconds: distribution(
      'decision_seconds',
      'Time from a request on the socket to its answer on the socket, for what Redis decided',
      SECONDS_FAST,
    ),
    scriptSeconds: histogram(
      'script_seconds',
      'Time from sending a script to Redis to its reply, by script',
      SECONDS_FAST,
      ['script'],
    ),
    flushSeconds: histogram(
      'flush_seconds',
      'Time from the flush of a lane until its writes were out, by lane',
      SECONDS_FAST,
      ['lane'],
    ),
    redisUp: gauge('redis_up', '1 while Redis answers, 0 while it does not'),
    clockErrorSeconds: gauge('clock_error_seconds', 'Half the round trip of the best Redis clock sample'),
    httpRequestSeconds: histogram(
      'http_request_seconds',
      'Time to answer an HTTP request, by method, route and status',
      SECONDS_FAST,
      ['method', 'route', 'status'],
    ),
    jobs: counter('jobs_total', 'Background jobs that ended, by queue and outcome', ['queue', 'outcome']),
  });
}

/** What the registry asks of a metric, around an array of counters. */
class PlainHistogram implements Distribution {
  readonly name: string;
  private readonly help: string;
  private readonly bounds: readonly number[];
  /** Of each bucket alone; the last is for what exceeds every bound. */
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
