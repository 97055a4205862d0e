/**
 * The result of one run as it is stored in JSON and read by the report and by `bench diff`. Times
 * are milliseconds; `atMs` counts from the start of the run. Percentiles are never averaged: where
 * results are combined, histograms are added (HdrHistogram, http://hdrhistogram.org).
 */
import { type Static, type TSchema, Type } from 'typebox';

export const RESULT_SCHEMA = 'stampede.bench/1';
/** Bounds the cost of the exact rank test that compares two results. */
export const FIGURE_RUNS_MAX = 100;

const text = Type.String();
const amount = Type.Number({ minimum: 0 });
const flag = Type.Boolean();
const listOf = <T extends TSchema>(entry: T) => Type.Array(entry);
const oneOf = <const T extends readonly string[]>(...words: T) =>
  Type.Union(words.map((word) => Type.Literal(word))) as ReturnType<typeof Type.Union<LiteralsOf<T>>>;
type LiteralsOf<T extends readonly string[]> = { -readonly [K in keyof T]: ReturnType<typeof Type.Literal<T[K]>> };

const phase = Type.Object({ name: text, fromMs: Type.Number(), toMs: Type.Number() });

/** A line in a plot. Points are ordered by time, about one per second. */
const series = Type.Object({
  name: text,
  unit: text,
  group: oneOf('throughput', 'latency', 'refusals', 'audience', 'server', 'generator'),
  points: listOf(Type.Tuple([Type.Number(), Type.Number()])),
});

/** Counts from the moment the work was due (open loop) or requested (closed loop). */
const latency = Type.Object({
  name: text,
  count: amount,
  p50Ms: amount,
  p90Ms: amount,
  p99Ms: amount,
  p999Ms: amount,
  p9999Ms: amount,
  maxMs: amount,
  /** HdrHistogram V2, compressed, base64; values are microseconds. */
  histogram: text,
});

/** A number by which two results can be compared. */
const figure = Type.Object({
  name: text,
  unit: text,
  better: oneOf('higher', 'lower', 'neither'),
  /** One value per repetition, in order. The median is the result, the spread is the noise. */
  runs: Type.Array(Type.Number(), { maxItems: FIGURE_RUNS_MAX }),
  /** Explains the figure in the report. */
  about: Type.Optional(text),
});

/** `promise` names the promise or rule that the check is about (`I1`, `Q-5`). */
const check = Type.Object({ name: text, promise: Type.Optional(text), ok: flag, detail: text });

/** A service level that a flag asked for. */
const level = Type.Object({ flag: text, wanted: text, measured: text, ok: flag });

/** Shows whether the load generator was the bottleneck. */
const generator = Type.Object({
  processes: amount,
  hosts: amount,
  cpuSeconds: amount,
  /** CPU seconds per second of the busiest process. */
  busiestShare: amount,
  loopDelayP99Ms: amount,
  /** Sends that left later than scheduled by more than the stated bound. */
  lateSends: amount,
  sends: amount,
  /** Reasons not to trust the numbers; empty if they can be trusted. */
  bottlenecks: listOf(text),
});

export const resultSchema = Type.Object({
  schema: Type.Literal(RESULT_SCHEMA),
  scenario: Type.String({ minLength: 1 }),
  /** One plain sentence about the load, for a reader who did not run it. */
  about: Type.Optional(text),
  /** ISO 8601. */
  startedAt: text,
  seconds: amount,
  seed: Type.Number(),
  /** Every parameter including defaults, so that the command can be repeated. */
  parameters: Type.Record(text, Type.Union([text, Type.Number(), flag, Type.Null()])),
  command: text,
  commit: text,
  version: text,
  machine: Type.Object({ cpus: amount, model: text, memoryGiB: amount, platform: text, node: text }),
  target: Type.Object({ url: text, own: flag, redis: Type.Optional(text) }),
  phases: listOf(phase),
  series: listOf(series),
  latencies: listOf(latency),
  /** Most important first: the report shows the first six as cards. */
  figures: listOf(figure),
  refusals: listOf(Type.Object({ code: text, count: amount })),
  generator: Type.Union([generator, Type.Null()]),
  /** Null if the engine runs on another machine. */
  server: Type.Union([
    Type.Object({ processes: listOf(Type.Object({ name: text, cpuSeconds: amount, memoryMiB: amount })) }),
    Type.Null(),
  ]),
  /** `ok`: all checks and levels passed and the generator can be trusted. */
  verdict: Type.Object({ ok: flag, checks: listOf(check), levels: listOf(level) }),
  /** Remarks for the reader: what was switched off, not installed or cut short. */
  notes: listOf(text),
});

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

export type BenchResult = Frozen<Static<typeof resultSchema>>;
export type Phase = BenchResult['phases'][number];
export type Series = BenchResult['series'][number];
export type Latency = BenchResult['latencies'][number];
export type Figure = BenchResult['figures'][number];
export type Check = BenchResult['verdict']['checks'][number];
export type Level = BenchResult['verdict']['levels'][number];
export type GeneratorHealth = NonNullable<BenchResult['generator']>;
export type ServerUse = NonNullable<BenchResult['server']>;
