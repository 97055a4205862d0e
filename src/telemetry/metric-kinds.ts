/** Kinds of metrics that prom-client lacks: for hot paths, and values that are read at a scrape. */
import type { Gauge, Histogram, MetricObjectWithValues, MetricType, MetricValueWithName, Registry } from 'prom-client';

/** A counter with one label for hot paths: `inc` of prom-client takes 2 us. */
export interface Tally {
  add(label: string, count?: number): void;
}

/** A histogram without labels for hot paths: `observe` of prom-client allocates. */
export interface Distribution {
  observe(value: number): void;
}

/** A value and its labels. */
export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** What the registry of prom-client needs of a metric. */
type Samples = Omit<MetricObjectWithValues<MetricValueWithName<string>>, 'collect'>;
type Kind = 'counter' | 'gauge' | 'histogram';
/** The enum of prom-client exists in its types only. */
const typeOf = (kind: Kind): MetricType => kind as unknown as MetricType;

/** Adds a metric whose samples are read at each scrape. */
export function addCollected(
  registry: Registry,
  kind: 'counter' | 'gauge',
  named: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
  read: () => Iterable<Sample>,
): void {
  const { name, help } = named;
  const type = typeOf(kind);
  const get = async (): Promise<Samples> => {
    const values = Array.from(read(), ([labels, value]) => ({ labels: { ...labels }, value }));
    return { name, help, type, aggregator: 'sum', values };
  };
  registry.registerMetric({ ...named, type, get, reset() {} } as unknown as Gauge);
}

/** The part of a prom-client metric that its registry uses, over an array of counters. */
export class PlainHistogram implements Distribution {
  readonly name: string;
  readonly help: string;
  readonly type = typeOf('histogram');
  readonly labelNames: readonly string[] = [];
  private readonly bounds: readonly number[];
  /** Not cumulative. The last one counts values above every bound. */
  private readonly counts: Float64Array;
  private sum = 0;

  constructor(registry: Registry, name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
    registry.registerMetric(this as unknown as Histogram);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
  }

  async get(): Promise<Samples> {
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
    return { name: this.name, help: this.help, type: this.type, aggregator: 'sum', values };
  }

  reset(): void {
    this.counts.fill(0);
    this.sum = 0;
  }
}
