// heavy: starts whole engines and measures how soon service is back
/** kill -9 of a gateway, of control and of jobs: the books balance and sales stay punctual. */
import { controlKilled, gatewayKilled } from './process-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([gatewayKilled, 1], [controlKilled, 102]);
