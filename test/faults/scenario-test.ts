/** Scenarios as tests, one per scenario and seed. They run at once, because they mostly wait. */
import t from 'tap';
import type { Scenario } from './scenario.ts';

export function testScenarios(...runs: ReadonlyArray<readonly [scenario: Scenario, seed: number]>): void {
  t.jobs = runs.length;
  for (const [scenario, seed] of runs)
    t.test(`${scenario.name}, seed ${seed}`, async (t) => {
      const { accepted, confirmed, offers, chat, lost, violations, notes } = await scenario.play(seed);
      t.comment(
        `${accepted} accepted, ${confirmed} orders in the books, ${offers} offers, ${chat} chat messages, ` +
          `${lost} lost as allowed; ${notes.join('; ')}`,
      );
      t.ok(accepted > 0, 'at least one buyer got a unit');
      t.same(violations, [], 'no violation');
    });
}
