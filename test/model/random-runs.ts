/** Random commands on the model and the real scripts, over two stores. */
import fc from 'fast-check';
import type { Test } from 'tap';
import { FIRST_SEED as seed } from '../support/seed.ts';
import type { StoreFixture } from '../support/store-fixture.ts';
import { commands, type Run, replay, startRun } from './commands.ts';

export const isLong = process.env.STAMPEDE_LONG === '1';

export interface RandomRuns {
  readonly runs: number;
  readonly msMax: number;
  /**
   * One store is of release 0.1.0: no order is refunded, and no two reservations have one order
   * reference, as it accepts that.
   */
  readonly isMixed?: boolean;
  /** Returns what else is wrong with a show at the end. */
  readonly problemsOf?: (show: string) => Promise<string[]>;
}

/** Fails if a result, the books, the ledger or a commit is wrong. */
export async function checkRandomRuns(t: Test, fixture: StoreFixture, stores: Run['stores'], more: RandomRuns) {
  let steps = 0;
  const outcomes = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(commands(isLong ? 120 : 60), async (plays) => {
      const { model, run } = await startRun(fixture, stores, outcomes);
      run.isMixed = more.isMixed === true;
      await fc.asyncModelRun(() => ({ model, real: run }), plays);
      // Moments that have come since the last step.
      for (const last of replay({ do: 'tick' })) await last.run(model, run);
      steps += run.history.length;
      const { show, ids } = run.real;
      const problems = [...(await fixture.violationsOf(show)), ...((await more.problemsOf?.(show)) ?? [])];
      for (const [of, id] of ids) {
        const [state, expected] = [await fixture.stateOf(show, id), model.reservations[of]?.state];
        if (state !== expected) problems.push(`${of} is ${state}, expected ${expected}`);
      }
      if (problems.length > 0) throw new Error(problems.join('\n'));
    }),
    { seed, numRuns: more.runs, interruptAfterTimeLimit: more.msMax, endOnFailure: false },
  );
  t.pass(`${steps} steps, seed ${seed}`);
  const counts = [...outcomes].map(([what, times]) => `${what}: ${times}`);
  t.comment(counts.sort().join(', '));
}
