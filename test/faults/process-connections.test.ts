/**
 * Lines cut between script and answer, viewers dropped for seconds, every request sent twice: no
 * double, no loss, no silent gap.
 */
import t from 'tap';
import { clientLinesDropped, redisLineCut, sentTwice } from './connection-scenarios.ts';
import { proves } from './scenario-test.ts';

t.jobs = 2;
proves(redisLineCut, [1]);
proves(clientLinesDropped, [1]);
proves(sentTwice, [1]);
