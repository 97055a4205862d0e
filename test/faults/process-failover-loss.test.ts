// heavy: starts whole engines and measures how soon service is back
// slow: Redis fails over in real time, and service must be back within seconds
/** A replica that lacks the newest writes is promoted: books balance, buyers learn of losses. */
import { primaryFrozen, writesLost } from './failover-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([primaryFrozen, 1], [writesLost, 1]);
