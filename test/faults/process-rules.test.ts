/**
 * Nodes whose wall clocks are two minutes apart follow Redis time; of two ends of one hold, one
 * wins and both are told which.
 */
import t from 'tap';
import { clockOff, endsRace } from './rule-scenarios.ts';
import { proves } from './scenario-test.ts';

t.jobs = 2;
proves(clockOff, [1]);
proves(endsRace, [1]);
