/** The shape of a scenario: what to start, what to do, what to check and what to print. */
import type { Fleet, FleetOptions } from '../generator/contract.ts';
import type { Display } from '../report/display.ts';
import type { BenchResult } from '../report/result.ts';
import type { CommonFlags } from './common-flags.ts';
import type { FlagTable, FlagValues } from './flags.ts';
import { type Findings, Run } from './scenario-run.ts';
import type { Target } from './target.ts';

/** The part of a result that is known before anything is measured. */
export type ResultHead = Pick<
  BenchResult,
  'schema' | 'scenario' | 'startedAt' | 'seed' | 'parameters' | 'command' | 'commit' | 'version' | 'machine'
>;

export interface ScenarioContext<F extends FlagTable> {
  readonly flags: FlagValues<F>;
  readonly common: CommonFlags;
  readonly head: ResultHead;
  /** Ctrl-C. The scenario then ends soon and returns a partial result. */
  readonly signal: AbortSignal;
  readonly display: Display;
  /** Starts the generator processes. The caller of the scenario closes them, also after errors. */
  openFleet(overrides?: Partial<FleetOptions>): Promise<Fleet>;
  /** Returns the engine at `--url`, or starts one. The caller of the scenario stops it. */
  openTarget(needs?: TargetNeeds): Promise<Target>;
}

export interface TargetNeeds {
  /** Whether the control API is used. Default true. */
  readonly control?: boolean;
  /** Settings of an engine started for the run (environment variables of `stampede serve`). */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether jobs run. Default false. */
  readonly jobs?: boolean;
  /** A second gateway, to which viewers can move. */
  readonly spare?: boolean;
}

export interface Scenario<F extends FlagTable = FlagTable> {
  readonly name: string;
  readonly about: string;
  /** Flags in addition to the common ones. */
  readonly flags: F;
  /** Different defaults of common flags. */
  readonly defaults?: Partial<CommonFlags>;
  /** Whether it is part of `all`. */
  readonly inAll?: true;
  /** Throws `FlagError` for contradictory flags, before anything is started. */
  check?(flags: FlagValues<F>, common: CommonFlags): void;
  run(context: ScenarioContext<F>): Promise<BenchResult>;
}

/** A scenario that loads a target with generator processes. */
interface LoadScenario<F extends FlagTable, S> extends Omit<Scenario<F>, 'run'> {
  /** What to start, if it differs from the defaults. */
  start?(flags: FlagValues<F>, common: CommonFlags): TargetNeeds & { readonly fleet?: Partial<FleetOptions> };
  /** Creates the object that the load fills. An interrupted run reports it as well. */
  collect(run: Run<F>): S;
  load(run: Run<F>, collected: S): Promise<void>;
  report(run: Run<F>, collected: S): Findings;
}

/** Infers the types of the flags. A scenario only receives the values of its flag table. */
export const defineScenario = <F extends FlagTable>(scenario: Scenario<F>): Scenario => scenario as unknown as Scenario;

export const defineLoad = <F extends FlagTable, S>(scenario: LoadScenario<F, S>): Scenario => {
  const { start, collect, load, report, ...shape } = scenario;
  return defineScenario<F>({
    ...shape,
    async run(context) {
      const { fleet: overrides, ...needs } = start?.(context.flags, context.common) ?? {};
      const target = await context.openTarget(needs);
      const run = new Run(context, target, await context.openFleet(overrides));
      const collected = collect(run);
      await run.unlessStopped(() => load(run, collected));
      return run.finish(report(run, collected));
    },
  });
};
