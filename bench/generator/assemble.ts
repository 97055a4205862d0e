/** Results from the samples of all workers. Counts and histograms are added, never averaged. */
import { decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { GeneratorHealth, Latency, Series } from '../report/result.ts';
import { LATE_SEND_MS, type Sample, type WorkerInfo } from './contract.ts';
import { newHistogram } from './recorder.ts';

type Samples = readonly Sample[];

/** A time range; a sample belongs to it with its middle. */
export type Stretch = { readonly fromMs: number; readonly toMs: number };

export const samplesWithin = (samples: Samples, { fromMs, toMs }: Stretch): Sample[] =>
  samples.filter((sample) => {
    const middleMs = (sample.fromMs + sample.toMs) / 2;
    return middleMs >= fromMs && middleMs < toMs;
  });

function addAll(encoded: Iterable<string | undefined>): Histogram {
  const sum = newHistogram();
  for (const one of encoded) if (one !== undefined) sum.add(decodeFromCompressedBase64(one, 32));
  return sum;
}

/** Adds encoded histograms. Undefined without a value. */
export function latencyFrom(name: string, encoded: Iterable<string | undefined>): Latency | undefined {
  const histogram = addAll(encoded);
  return histogram.totalCount === 0 ? undefined : describe(name, histogram);
}

/** Undefined when no value of that name was recorded. */
export function latencyOf(samples: Samples, name: string): Latency | undefined {
  const encoded = samples.map(({ latencies }) => latencies[name]);
  return latencyFrom(name, encoded);
}

export function describe(name: string, histogram: Histogram): Latency {
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000;
  return {
    name,
    count: histogram.totalCount,
    p50Ms: at(50),
    p90Ms: at(90),
    p99Ms: at(99),
    p999Ms: at(99.9),
    p9999Ms: at(99.99),
    maxMs: at(100),
    histogram: encodeIntoCompressedBase64(histogram),
  };
}

export const latenciesOf = (samples: Samples): Latency[] =>
  namesOf(samples, 'latencies').flatMap((name) => latencyOf(samples, name) ?? []);

const sumOf = (samples: Samples, of: (sample: Sample) => number | undefined): number =>
  samples.reduce((sum, sample) => sum + (of(sample) ?? 0), 0);

export const countOf = (samples: Samples, name: string): number => sumOf(samples, ({ counters }) => counters[name]);

/** Largest first. */
export const refusalsOf = (samples: Samples): Array<{ code: string; count: number }> =>
  namesOf(samples, 'refusals')
    .map((code) => ({ code, count: sumOf(samples, ({ refusals }) => refusals[code]) }))
    .sort((a, b) => b.count - a.count);

/** The sum of the newest values of all workers. */
export function gaugeOf(samples: Samples, name: string): number {
  const newest = new Map(samples.map(({ worker, gauges }) => [worker, gauges[name] ?? 0]));
  return [...newest.values()].reduce((sum, value) => sum + value, 0);
}

type Field = 'counters' | 'gauges' | 'latencies' | 'refusals';
const namesOf = (samples: Samples, field: Field): string[] =>
  Array.from(new Set(samples.flatMap((sample) => Object.keys(sample[field]))));

/** Groups samples by second, with the time that a group covers. */
function bySecond(samples: Samples, originMs: number) {
  const seconds = new Map<number, Sample[]>();
  for (const sample of samples) {
    const second = Math.floor(((sample.fromMs + sample.toMs) / 2 - originMs) / 1000);
    seconds.set(second, [...(seconds.get(second) ?? []), sample]);
  }
  return [...seconds]
    .sort(([a], [b]) => a - b)
    .map(([, group]) => {
      const fromMs = Math.min(...group.map((sample) => sample.fromMs));
      const toMs = Math.max(...group.map((sample) => sample.toMs));
      return { atMs: toMs - originMs, seconds: Math.max(0.001, (toMs - fromMs) / 1000), samples: group };
    });
}

/** Time series of a result: per second, from `originMs` on. */
export function seriesOf(samples: Samples, originMs: number): Series[] {
  const seconds = bySecond(samples, originMs);
  type Value = (second: (typeof seconds)[number]) => number | undefined;
  const plot = (name: string, unit: string, group: Series['group'], value: Value): Series => ({
    name,
    unit,
    group,
    points: seconds.flatMap((second) => {
      const y = value(second);
      return y === undefined || Number.isNaN(y) ? [] : [[second.atMs, y] as const];
    }),
  });
  const latencies = namesOf(samples, 'latencies').flatMap((name) => {
    const perSecond = new Map(seconds.map((second) => [second, latencyOf(second.samples, name)]));
    return (['p50Ms', 'p99Ms', 'maxMs'] as const).map((field) =>
      plot(`${name} ${field.slice(0, -2)}`, 'ms', 'latency', (second) => perSecond.get(second)?.[field]),
    );
  });
  return [
    ...namesOf(samples, 'counters').map((name) =>
      plot(name, name === 'bytes' ? 'bytes/s' : '/s', 'throughput', (of) => countOf(of.samples, name) / of.seconds),
    ),
    ...latencies,
    ...namesOf(samples, 'refusals').map((code) =>
      plot(code, '/s', 'refusals', (of) => sumOf(of.samples, ({ refusals }) => refusals[code]) / of.seconds),
    ),
    ...namesOf(samples, 'gauges').map((name) => plot(name, '', 'audience', (second) => gaugeOf(second.samples, name))),
    plot('busiest generator', 'CPU cores', 'generator', ({ samples: group }) => Math.max(...group.map(cpuShareOf))),
    plot('loop delay p99', 'ms', 'generator', ({ samples: group }) => loopDelayOf(group).p99Ms),
    plot('late sends', '/s', 'generator', (of) => sumOf(of.samples, ({ lateSends }) => lateSends) / of.seconds),
  ].filter(({ points }) => points.length > 0);
}

const cpuShareOf = ({ cpuSeconds, fromMs, toMs }: Sample): number =>
  cpuSeconds / Math.max(0.001, (toMs - fromMs) / 1000);

export const loopDelayOf = (samples: Samples): Latency =>
  describe('loop delay', addAll(samples.map(({ loopDelay }) => loopDelay)));

/** A process that computes for longer has no time left for a burst: it measures its queue. */
export const CPU_SHARE_MAX = 0.9;
/** A process that is late with less CPU than this waited for other programs. */
const IDLE_SHARE = 0.3;
/** The loop may always be this late: some slices of a scheduler with two busy cores. */
export const LOOP_DELAY_P99_MS_MAX = 20;
/** Above these bounds the p99 of the delay may be a third of the latency that includes it. */
export const OWN_DELAY_PART_MAX = 1 / 3;

/** The worker that used most CPU, and its CPU seconds per second. */
export function busiestOf(samples: Samples): { readonly worker: number; readonly share: number } {
  const workers = new Map<number, { cpuSeconds: number; ms: number }>();
  for (const { worker, cpuSeconds, fromMs, toMs } of samples) {
    const sum = workers.get(worker) ?? { cpuSeconds: 0, ms: 0 };
    workers.set(worker, { cpuSeconds: sum.cpuSeconds + cpuSeconds, ms: sum.ms + toMs - fromMs });
  }
  return [...workers]
    .map(([worker, { cpuSeconds, ms }]) => ({ worker, share: ms > 0 ? cpuSeconds / (ms / 1000) : 0 }))
    .reduce((busiest, next) => (next.share > busiest.share ? next : busiest), { worker: 0, share: 0 });
}

/** `headline`: the latency that the delay of the generator is compared with. */
export function healthOf(workers: readonly WorkerInfo[], samples: Samples, headline?: Latency): GeneratorHealth {
  const { worker, share } = busiestOf(samples);
  const loopDelayP99Ms = samples.length === 0 ? 0 : worstLoopDelay(samples);
  const lateSends = sumOf(samples, (sample) => sample.lateSends);
  const sends = sumOf(samples, (sample) => sample.sends);
  const partMs = (headline?.p99Ms ?? 0) * OWN_DELAY_PART_MAX;
  const loopBoundMs = Math.max(LOOP_DELAY_P99_MS_MAX, partMs);
  const sendBoundMs = Math.max(LATE_SEND_MS, partMs);
  const sendDelayP99Ms = addAll(samples.map(({ sendDelay }) => sendDelay)).getValueAtPercentile(99) / 1000;
  const more =
    share < IDLE_SHARE
      ? 'Its processes were mostly idle, so other programs delayed it: stop them, or use other machines (--generators).'
      : 'Use more generator processes (--processes), other machines (--generators with join), or less load.';
  const late = `${lateSends} of ${sends} more than ${LATE_SEND_MS} ms`;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const found = [
    share > CPU_SHARE_MAX &&
      `generator ${worker} used ${Math.round(share * 100)} % of a core (bound ${CPU_SHARE_MAX * 100} %).`,
    loopDelayP99Ms > loopBoundMs &&
      `the event loop of a generator was ${ms(loopDelayP99Ms)} late at the 99th percentile (bound ${ms(loopBoundMs)}).`,
    sendDelayP99Ms > sendBoundMs &&
      `sends left ${ms(sendDelayP99Ms)} after they were due at the 99th percentile ` +
        `(bound ${ms(sendBoundMs)}; ${late}).`,
  ];
  return {
    processes: workers.length,
    hosts: new Set(workers.map(({ host }) => host)).size,
    cpuSeconds: sumOf(samples, (sample) => sample.cpuSeconds),
    busiestShare: share,
    loopDelayP99Ms,
    lateSends,
    sends,
    bottlenecks: found.flatMap((reason) => (reason === false ? [] : [`${reason} ${more}`])),
  };
}

/** The worst worker counts: a good one must not hide it. */
function worstLoopDelay(samples: Samples): number {
  const workers = [...new Set(samples.map(({ worker }) => worker))];
  return Math.max(...workers.map((worker) => loopDelayOf(samples.filter((sample) => sample.worker === worker)).p99Ms));
}
