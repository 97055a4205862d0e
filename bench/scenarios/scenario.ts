/**
 * What a scenario is. `bench/main.ts` reads its flags, opens what it needs, draws its progress and
 * writes its result.
 */
import type { Fleet, FleetOptions } from '../generator/contract.ts';
import type { Display } from '../report/display.ts';
import type { BenchResult } from '../report/result.ts';
import type { CommonFlags } from './common-flags.ts';
import type { FlagTable, FlagValues } from './flags.ts';
import type { Target } from './target.ts';

/** What a result says about the run before anything is measured. */
export type ResultHead = Pick<
  BenchResult,
  'schema' | 'scenario' | 'startedAt' | 'seed' | 'parameters' | 'command' | 'commit' | 'version' | 'machine'
>;

export interface ScenarioContext<F extends FlagTable> {
  readonly flags: FlagValues<F>;
  readonly common: CommonFlags;
  readonly head: ResultHead;
  /** Ctrl-C. A scenario ends soon after and returns what there is (`Chronicle.unlessStopped`). */
  readonly signal: AbortSignal;
  /** Where a person looks meanwhile. */
  readonly display: Display;
  /** Starts the workers the flags ask for; closed by whoever runs the scenario, also on errors. */
  openFleet(overrides?: Partial<FleetOptions>): Promise<Fleet>;
  /**
   * The address given by `--url`, or an engine of its own; stopped by whoever runs the scenario.
   */
  openTarget(needs?: TargetNeeds): Promise<Target>;
}

export interface TargetNeeds {
  /** The control API is used. True unless false. */
  readonly control?: boolean;
  /** Settings of an engine of its own (environment variables of `stampede serve`). */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Scenario<F extends FlagTable = FlagTable> {
  readonly name: string;
  readonly about: string;
  /** Flags of its own, beside the common ones. */
  readonly flags: F;
  /** Other defaults of common flags. */
  readonly defaults?: Partial<CommonFlags>;
  /** Part of `all`. */
  readonly inAll?: true;
  /** Throws `FlagError` for flags that do not fit together, before anything is started. */
  check?(flags: FlagValues<F>, common: CommonFlags): void;
  run(context: ScenarioContext<F>): Promise<BenchResult>;
}

/**
 * Infers the flags' types; whoever runs a scenario hands it the values of its own table and no
 * others, which is all that is lost here.
 */
export const defineScenario = <F extends FlagTable>(scenario: Scenario<F>): Scenario => scenario as unknown as Scenario;
