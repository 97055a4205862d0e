/** All scenarios of a long run, the longest first, so that a parallel run ends evenly. */
import { clientConnectionsDropped, redisConnectionCut, sentTwice } from './connection-scenarios.ts';
import { controlKilled, gatewayKilled, workerPaused } from './process-scenarios.ts';
import { powerCut, redisFrozen, redisKilledAlways, redisKilledEverysec } from './redis-scenarios.ts';
import { clockOff, confirmRacesDeadline, endsRace } from './rule-scenarios.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  workerPaused,
  gatewayKilled,
  controlKilled,
  redisKilledAlways,
  redisKilledEverysec,
  powerCut,
  redisFrozen,
  redisConnectionCut,
  clientConnectionsDropped,
  sentTwice,
  clockOff,
  endsRace,
  confirmRacesDeadline,
];
