/** Scenarios that measure one part of the engine with load from this process. */
import type { BenchResult, Check, Figure, Level } from '../report/result.ts';
import { checkThat } from '../verdict/check.ts';
import type { FlagTable } from './flags.ts';
import { defineScenario, type Scenario, type ScenarioContext } from './scenario.ts';

type Measured = {
  figures: readonly Figure[];
  levels: readonly Level[];
  checks?: readonly Check[];
  notes?: readonly string[];
};

interface LocalScenario<F extends FlagTable> extends Omit<Scenario<F>, 'run'> {
  /** Throws if the ledger does not match the books. */
  measure(context: ScenarioContext<F>): Promise<Measured>;
}

export const defineLocal = <F extends FlagTable>({ measure, ...scenario }: LocalScenario<F>): Scenario =>
  defineScenario<F>({
    ...scenario,
    async run(context): Promise<BenchResult> {
      const startedMs = performance.now();
      context.display.phase(scenario.name);
      const { figures, levels, checks: more = [], notes = [] } = await measure(context);
      const replayed = checkThat('the ledger replays to the books', true, 'otherwise the run ends with an error');
      const checks = [replayed, ...more];
      return {
        ...context.head,
        seconds: (performance.now() - startedMs) / 1000,
        target: { url: 'an engine of this run', own: true },
        phases: [],
        series: [],
        latencies: [],
        figures,
        refusals: [],
        generator: null,
        server: null,
        verdict: { ok: [...checks, ...levels].every(({ ok }) => ok), checks, levels },
        notes,
      };
    },
  });

export const perSecond = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`;
export const times = (value: number): string => `${value.toFixed(2)} x`;
export const inMs = (value: number): string => `${value.toFixed(1)} ms`;
