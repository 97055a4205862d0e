/**
 * Every scenario, in the order in which a long run plays them: the longest first, so that a
 * parallel run does not end waiting for it.
 */
import { clientLinesDropped, redisLineCut, sentTwice } from './connection-scenarios.ts';
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
  redisLineCut,
  clientLinesDropped,
  sentTwice,
  clockOff,
  endsRace,
  confirmRacesDeadline,
];
