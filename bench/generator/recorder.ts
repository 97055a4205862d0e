/** What one worker records in a second. */
import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import {
  type CounterHandle,
  type GaugeHandle,
  LATE_SEND_MS,
  type LatencyHandle,
  type Recorder,
  type Sample,
} from './contract.ts';

/** Three significant digits from 1 us; the array grows for more than a minute. */
export const newHistogram = (): Histogram =>
  build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });

class Counter implements CounterHandle {
  value = 0;
  add(by = 1): void {
    this.value += by;
  }
}

class Gauge implements GaugeHandle {
  value = 0;
  set(value: number): void {
    this.value = value;
  }
  add(by: number): void {
    this.value += by;
  }
}

class LatencyHistogram implements LatencyHandle {
  readonly histogram = newHistogram();
  record(latencyMs: number, times = 1): void {
    this.histogram.recordValueWithCount(latencyMs > 0.001 ? Math.round(latencyMs * 1000) : 1, times);
  }
}

export type Recorded = Pick<
  Sample,
  'counters' | 'gauges' | 'refusals' | 'latencies' | 'sends' | 'lateSends' | 'sendDelay'
>;

export class SecondRecorder implements Recorder {
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

  counter(name: string): CounterHandle {
    return obtain(this.#counters, name, () => new Counter());
  }

  gauge(name: string): GaugeHandle {
    return obtain(this.#gauges, name, () => new Gauge());
  }

  latency(name: string): LatencyHandle {
    return obtain(this.#latencies, name, () => new LatencyHistogram());
  }

  refused(code: string, times = 1): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + times);
  }

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
