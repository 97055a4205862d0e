// heavy: starts engines of two releases and replaces their processes
/** I10: the previous release and this one work on one Redis while nodes are replaced. */
import { releasesMixed } from './release-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([releasesMixed, 1]);
