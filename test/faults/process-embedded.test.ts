// heavy: starts whole engines and measures how soon service is back
/** The embedded Redis killed during a rush: the engine restarts it, and nothing is lost. */
import { embeddedServerKilled } from './redis-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([embeddedServerKilled, 1]);
