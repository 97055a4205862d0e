// heavy: starts whole engines and measures how soon service is back
// slow: permissions are missing for seconds, and service must be back within seconds
/** Redis takes permissions from the engine, closes its connections, or pauses, during a rush. */
import { commandsForbidden, loginRefused } from './permission-scenarios.ts';
import { redisPauses } from './redis-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([commandsForbidden, 1], [loginRefused, 1], [redisPauses, 1]);
