// heavy: starts whole engines and measures how soon service is back
/** Redis killed, cut from power or frozen: service resumes; a loss is detected and reported. */
import { powerCut, redisFrozen, redisKilledAlways, redisKilledEverysec } from './redis-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([redisFrozen, 1], [redisKilledAlways, 1], [redisKilledEverysec, 1], [powerCut, 1]);
