/**
 * redis-server killed, cut from power, or standing still in mid-rush: service goes on without a
 * restart, and what the mode may lose is detected and said.
 */
import t from 'tap';
import { powerCut, redisFrozen, redisKilledAlways, redisKilledEverysec } from './redis-scenarios.ts';
import { proves } from './scenario-test.ts';

t.jobs = 2;
proves(redisFrozen, [1]);
proves(redisKilledAlways, [1]);
proves(redisKilledEverysec, [1]);
proves(powerCut, [1]);
