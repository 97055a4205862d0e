// heavy: starts whole engines and measures how soon service is back
/** Wrong wall clocks follow Redis time. Of two ends of one hold one wins; both requests say so. */
import { clockOff, endsRace } from './rule-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([clockOff, 1], [endsRace, 1]);
