/**
 * What a run measured, as it is written to JSON and read again by the report and by `bench diff`.
 * Times are milliseconds, `atMs` counts from the start of the run. Percentiles are never averaged:
 * where results meet, histograms are added (HdrHistogram, http://hdrhistogram.org).
 */

export const RESULT_SCHEMA = 'stampede.bench/1';
/**
 * Repetitions of one figure; the exact rank test that compares two results is counted out for each
 * of them.
 */
export const FIGURE_RUNS_MAX = 100;

export interface Machine {
  readonly cpus: number;
  readonly model: string;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
}

export interface Phase {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** A line in a plot. Points are ordered by time, one a second or so. */
export interface Series {
  readonly name: string;
  readonly unit: string;
  readonly group: 'throughput' | 'latency' | 'refusals' | 'audience' | 'server' | 'generator';
  readonly points: ReadonlyArray<readonly [atMs: number, value: number]>;
}

/** Latency from the moment the work was due (open model) or asked for (closed). */
export interface Latency {
  readonly name: string;
  readonly count: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly p9999Ms: number;
  readonly maxMs: number;
  /** HdrHistogram V2, compressed, base64; values are microseconds. */
  readonly histogram: string;
}

/** One number of a run that two results can be compared by. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower' | 'neither';
  /**
   * One value a repetition, in order (`FIGURE_RUNS_MAX`); their median is the result, their spread
   * the noise.
   */
  readonly runs: readonly number[];
  /** What it means, for the report. */
  readonly about?: string;
}

export interface Check {
  readonly name: string;
  /** `I1` to `I8` of the promises, where it is about one. */
  readonly promise?: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** A service level asked for by a flag. */
export interface Level {
  readonly flag: string;
  readonly wanted: string;
  readonly measured: string;
  readonly ok: boolean;
}

export interface Verdict {
  /** Every check and every level held, and the generator could be trusted. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
  readonly levels: readonly Level[];
}

/** Evidence of who the bottleneck was. */
export interface GeneratorHealth {
  readonly processes: number;
  readonly hosts: number;
  readonly cpuSeconds: number;
  /** Busiest process: CPU seconds a second of wall time. */
  readonly busiestShare: number;
  readonly loopDelayP99Ms: number;
  /** Sends that left later than the schedule by more than the stated bound, and all sends. */
  readonly lateSends: number;
  readonly sends: number;
  /** Reasons why the numbers cannot be trusted; empty = they can. */
  readonly bottlenecks: readonly string[];
}

/** What the engine's processes used; null where they run elsewhere. */
export interface ServerUse {
  readonly processes: ReadonlyArray<{ readonly name: string; readonly cpuSeconds: number; readonly memoryMiB: number }>;
}

export interface BenchResult {
  readonly schema: typeof RESULT_SCHEMA;
  readonly scenario: string;
  /** What was put on the engine, one plain sentence for somebody who did not run it. */
  readonly about?: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly seed: number;
  /** Every parameter of the run, defaults included: the command can be repeated from it. */
  readonly parameters: Readonly<Record<string, string | number | boolean | null>>;
  readonly command: string;
  readonly commit: string;
  readonly version: string;
  readonly machine: Machine;
  readonly target: { readonly url: string; readonly own: boolean; readonly redis?: string };
  readonly phases: readonly Phase[];
  readonly series: readonly Series[];
  readonly latencies: readonly Latency[];
  /** The ones that matter most first: the report shows the first six on its first screen. */
  readonly figures: readonly Figure[];
  readonly refusals: ReadonlyArray<{ readonly code: string; readonly count: number }>;
  readonly generator: GeneratorHealth | null;
  readonly server: ServerUse | null;
  readonly verdict: Verdict;
  /** Remarks for the reader: what was switched off, not installed, cut short. */
  readonly notes: readonly string[];
}
