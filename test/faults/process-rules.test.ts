/**
 * Nodes whose wall clocks are two minutes apart follow Redis time. Of two ends of one hold one
 * wins, and both requests get that result.
 */
import { clockOff, endsRace } from './rule-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([clockOff, 1], [endsRace, 1]);
