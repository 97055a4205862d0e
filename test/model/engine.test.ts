/**
 * Random commands on the model and the real scripts: equal results and books after every step, a
 * clean ledger and right commits at the end of every run. STAMPEDE_LONG=1 runs many more,
 * STAMPEDE_SEED=n repeats the runs of a failure.
 */
import t from 'tap';
import { FIRST_SEED as seed } from '../support/seed.ts';
import { StoreFixture } from '../support/store-fixture.ts';
import { checkRandomRuns, isLong } from './random-runs.ts';

const fixture = await StoreFixture.open('model:');
const stores = [fixture.store, await fixture.connectAnother()] as const;
if (isLong) t.setTimeout(3_600_000);

t.test(`random commands, seed ${seed}`, async (t) => {
  await checkRandomRuns(t, fixture, stores, { runs: isLong ? 4_000 : 150, msMax: isLong ? 3_000_000 : 12_000 });
});
