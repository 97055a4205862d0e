// heavy: starts whole engines and measures how soon service is back
// slow: Redis fails over in real time, and service must be back within seconds
/** A replica of Redis is promoted during a rush: no unit is sold twice, and no write is lost. */
import { addressMoved, replicaPromoted, workersFailedOver } from './failover-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([replicaPromoted, 1], [addressMoved, 1], [workersFailedOver, 1]);
