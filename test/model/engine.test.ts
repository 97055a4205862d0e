/**
 * Random commands on the model and the real scripts: equal results and books after every step, a
 * clean ledger and right commits at the end of every run. STAMPEDE_LONG=1 runs many more,
 * STAMPEDE_SEED=n repeats the runs of a failure.
 */
import fc from 'fast-check';
import t from 'tap';
import { FIRST_SEED } from '../support/seed.ts';
import { StoreFixture } from '../support/store-fixture.ts';
import { commands, open, type Run, replay, USERS } from './commands.ts';
import { EngineModel } from './engine-model.ts';
import { RealEngine } from './real-engine.ts';

const long = process.env.STAMPEDE_LONG === '1';
const seed = FIRST_SEED;
const fixture = await StoreFixture.open('model:');
const stores = [fixture.store, await fixture.connectAnother()] as const;
if (long) t.setTimeout(3_600_000);

t.test(`random commands, seed ${seed}`, async (t) => {
  let steps = 0;
  const outcomes = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(commands(long ? 120 : 60), async (plays) => {
      const show = await fixture.newShow();
      const run: Run = { real: new RealEngine(show, fixture.time, USERS), stores, history: [], outcomes };
      const model = new EngineModel();
      await open(model, run);
      await fc.asyncModelRun(() => ({ model, real: run }), plays);
      // Moments that have come since the last step.
      for (const last of replay({ do: 'tick' })) await last.run(model, run);
      steps += run.history.length;
      const problems = await fixture.violationsOf(show);
      for (const [of, id] of run.real.ids) {
        const state = await fixture.stateOf(show, id);
        if (state !== model.reservations[of]?.state)
          problems.push(`${of} is ${state}, expected ${model.reservations[of]?.state}`);
      }
      if (problems.length > 0) throw new Error(problems.join('\n'));
    }),
    { seed, numRuns: long ? 4_000 : 150, interruptAfterTimeLimit: long ? 3_000_000 : 12_000, endOnFailure: false },
  );
  t.pass(`${steps} steps, seed ${seed}`);
  t.comment(
    [...outcomes]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, times]) => `${what}: ${times}`)
      .join(', '),
  );
});
