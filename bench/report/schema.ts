/**
 * The contract of `result.ts` as a schema, for files that come from elsewhere. The last lines prove
 * to the compiler that the two say the same.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { type BenchResult, FIGURE_RUNS_MAX, RESULT_SCHEMA } from './result.ts';

const count = Type.Number({ minimum: 0 });
const some = <T extends TSchema>(entry: T) => Type.Array(entry);

const machine = Type.Object({
  cpus: count,
  model: Type.String(),
  memoryGiB: count,
  platform: Type.String(),
  node: Type.String(),
});

const phase = Type.Object({ name: Type.String(), fromMs: Type.Number(), toMs: Type.Number() });

const series = Type.Object({
  name: Type.String(),
  unit: Type.String(),
  group: Type.Union([
    Type.Literal('throughput'),
    Type.Literal('latency'),
    Type.Literal('refusals'),
    Type.Literal('audience'),
    Type.Literal('server'),
    Type.Literal('generator'),
  ]),
  points: some(Type.Tuple([Type.Number(), Type.Number()])),
});

const latency = Type.Object({
  name: Type.String(),
  count,
  p50Ms: count,
  p90Ms: count,
  p99Ms: count,
  p999Ms: count,
  p9999Ms: count,
  maxMs: count,
  histogram: Type.String(),
});

const figure = Type.Object({
  name: Type.String(),
  unit: Type.String(),
  better: Type.Union([Type.Literal('higher'), Type.Literal('lower'), Type.Literal('neither')]),
  runs: Type.Array(Type.Number(), { maxItems: FIGURE_RUNS_MAX }),
  about: Type.Optional(Type.String()),
});

const verdict = Type.Object({
  ok: Type.Boolean(),
  checks: some(
    Type.Object({
      name: Type.String(),
      promise: Type.Optional(Type.String()),
      ok: Type.Boolean(),
      detail: Type.String(),
    }),
  ),
  levels: some(
    Type.Object({ flag: Type.String(), wanted: Type.String(), measured: Type.String(), ok: Type.Boolean() }),
  ),
});

const generator = Type.Object({
  processes: count,
  hosts: count,
  cpuSeconds: count,
  busiestShare: count,
  loopDelayP99Ms: count,
  lateSends: count,
  sends: count,
  bottlenecks: some(Type.String()),
});

const server = Type.Object({
  processes: some(Type.Object({ name: Type.String(), cpuSeconds: count, memoryMiB: count })),
});

export const resultSchema = Type.Object({
  schema: Type.Literal(RESULT_SCHEMA),
  scenario: Type.String({ minLength: 1 }),
  about: Type.Optional(Type.String()),
  startedAt: Type.String(),
  seconds: count,
  seed: Type.Number(),
  parameters: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])),
  command: Type.String(),
  commit: Type.String(),
  version: Type.String(),
  machine,
  target: Type.Object({ url: Type.String(), own: Type.Boolean(), redis: Type.Optional(Type.String()) }),
  phases: some(phase),
  series: some(series),
  latencies: some(latency),
  figures: some(figure),
  refusals: some(Type.Object({ code: Type.String(), count })),
  generator: Type.Union([generator, Type.Null()]),
  server: Type.Union([server, Type.Null()]),
  verdict,
  notes: some(Type.String()),
});

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Proof<T extends true> = T;
/**
 * Does not compile when a field of the interface and of the schema differ in name, type or being
 * optional.
 */
export type SchemaIsTheContract = Proof<Same<Frozen<Static<typeof resultSchema>>, Frozen<BenchResult>>>;
