/** I10: random commands, alternately by the previous release and this one, on the same shows. */
import t from 'tap';
import { connectPreviousStore, PREVIOUS_MODES, unpackPreviousRelease } from '../support/previous-release.ts';
import { FIRST_SEED as seed } from '../support/seed.ts';
import { StoreFixture } from '../support/store-fixture.ts';
import { checkRandomRuns, isLong } from './random-runs.ts';

const { version } = unpackPreviousRelease();
const fixture = await StoreFixture.open('releases:', {}, PREVIOUS_MODES);
const before = await connectPreviousStore(fixture.redis.url, 'releases:');
t.teardown(() => before.close());
if (isLong) t.setTimeout(3_600_000);

const verifiedBefore = async (show: string): Promise<string[]> => {
  const verified = await before.verify(show);
  const violations = verified.ok ? verified.value.violations : [verified.error.code];
  return violations.map((violation) => `verify of ${version}: ${violation}`);
};

t.test(`random commands by ${version} and this release, seed ${seed}`, async (t) => {
  const [runs, msMax] = isLong ? [4_000, 3_000_000] : [100, 12_000];
  const more = { runs, msMax, problemsOf: verifiedBefore, isMixed: true };
  await checkRandomRuns(t, fixture, [fixture.store, before], more);
});
