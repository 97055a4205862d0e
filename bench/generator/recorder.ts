/** What one worker records in a second. */
import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import { LATE_SEND_MS, type Sample } from './contract.ts';

/** Three significant digits from 1 us; the array grows for more than a minute. */
export const newHistogram = (): Histogram =>
  build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });

class Counter {
  value = 0;
  add(by = 1): void {
    this.value += by;
  }
}

class Gauge extends Counter {
  set(value: number): void {
    this.value = value;
  }
}

class LatencyHistogram {
  readonly histogram = newHistogram();
  /** `times`: so many observations of one value. Negative values count as 0. */
  record(latencyMs: number, times = 1): void {
    this.histogram.recordValueWithCount(latencyMs > 0.001 ? Math.round(latencyMs * 1000) : 1, times);
  }
}

type Recorded = Pick<Sample, 'counters' | 'gauges' | 'refusals' | 'latencies' | 'sends' | 'lateSends' | 'sendDelay'>;

/** Request counters, gauges and latencies once, before the load: names are looked up. */
export class SecondRecorder {
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #latencies = new Map<string, LatencyHistogram>();
  readonly #refusals = new Map<string, number>();
  readonly #nowMs: () => number;
  readonly #sendDelay = new LatencyHistogram();
  #sends = 0;
  #lateSends = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  counter = (name: string): Counter => obtain(this.#counters, name, () => new Counter());
  gauge = (name: string): Gauge => obtain(this.#gauges, name, () => new Gauge());
  latency = (name: string): LatencyHistogram => obtain(this.#latencies, name, () => new LatencyHistogram());

  /** A failure: an error code of the protocol, `closed_4001`, `http_503`, `unanswered`. */
  refused(code: string, times = 1): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + times);
  }

  /**
   * Call it for all scheduled work at the moment it is sent. Counts it, and counts it as late when
   * that is more than `LATE_SEND_MS` after `dueMs`: then the generator delayed it, not the server.
   */
  sent(dueMs: number): void {
    this.#sends++;
    const delayMs = this.#nowMs() - dueMs;
    this.#sendDelay.record(delayMs);
    if (delayMs > LATE_SEND_MS) this.#lateSends++;
  }

  /** What was recorded since the last call. Counters restart, gauges keep their value. */
  take(): Recorded {
    const latencies: Record<string, string> = {};
    for (const [name, { histogram }] of this.#latencies) {
      if (histogram.totalCount === 0) continue;
      latencies[name] = encodeIntoCompressedBase64(histogram);
      histogram.reset();
    }
    const recorded: Recorded = {
      counters: valuesOf(this.#counters),
      gauges: valuesOf(this.#gauges),
      refusals: Object.fromEntries(this.#refusals),
      latencies,
      sends: this.#sends,
      lateSends: this.#lateSends,
      sendDelay: encodeIntoCompressedBase64(this.#sendDelay.histogram),
    };
    this.#sendDelay.histogram.reset();
    for (const counter of this.#counters.values()) counter.value = 0;
    this.#refusals.clear();
    this.#sends = 0;
    this.#lateSends = 0;
    return recorded;
  }
}

function obtain<T>(map: Map<string, T>, name: string, make: () => T): T {
  const found = map.get(name) ?? make();
  map.set(name, found);
  return found;
}

const valuesOf = (map: ReadonlyMap<string, { readonly value: number }>): Record<string, number> =>
  Object.fromEntries([...map].map(([name, { value }]) => [name, value]));
