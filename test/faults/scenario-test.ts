/** A scenario as a test: one subtest a seed, and everything it found wrong in words. */
import t from 'tap';
import type { Scenario } from './scenario.ts';

export function proves(scenario: Scenario, seeds: readonly number[]): void {
  for (const seed of seeds)
    t.test(`${scenario.name}, seed ${seed}`, async (t) => {
      const { accepted, confirmed, offers, said, lost, violations, notes } = await scenario.play(seed);
      t.comment(
        `${accepted} accepted, ${confirmed} orders in the books, ${offers} offers, ${said} chat messages, ${lost} lost as allowed; ${notes.join('; ')}`,
      );
      t.ok(accepted > 0, 'somebody got something');
      t.same(violations, [], 'nothing is wrong');
    });
}
