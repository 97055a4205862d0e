/**
 * Random commands on the model and the real scripts: equal results and books after every step, a
 * clean ledger and right commits at the end of every run. STAMPEDE_LONG=1 runs many more,
 * STAMPEDE_SEED=n repeats the runs of a failure.
 */
import fc from 'fast-check';
import t from 'tap';
import { FIRST_SEED as seed } from '../support/seed.ts';
import { StoreFixture } from '../support/store-fixture.ts';
import { commands, replay, startRun } from './commands.ts';

const long = process.env.STAMPEDE_LONG === '1';
const fixture = await StoreFixture.open('model:');
const stores = [fixture.store, await fixture.connectAnother()] as const;
if (long) t.setTimeout(3_600_000);

t.test(`random commands, seed ${seed}`, async (t) => {
  let steps = 0;
  const outcomes = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(commands(long ? 120 : 60), async (plays) => {
      const { model, run } = await startRun(fixture, stores, outcomes);
      await fc.asyncModelRun(() => ({ model, real: run }), plays);
      // Moments that have come since the last step.
      for (const last of replay({ do: 'tick' })) await last.run(model, run);
      steps += run.history.length;
      const problems = await fixture.violationsOf(run.real.show);
      for (const [of, id] of run.real.ids) {
        const [state, expected] = [await fixture.stateOf(run.real.show, id), model.reservations[of]?.state];
        if (state !== expected) problems.push(`${of} is ${state}, expected ${expected}`);
      }
      if (problems.length > 0) throw new Error(problems.join('\n'));
    }),
    { seed, numRuns: long ? 4_000 : 150, interruptAfterTimeLimit: long ? 3_000_000 : 12_000, endOnFailure: false },
  );
  t.pass(`${steps} steps, seed ${seed}`);
  const counts = [...outcomes].map(([what, times]) => `${what}: ${times}`);
  t.comment(counts.sort().join(', '));
});
