/**
 * kill -9 of a gateway in mid-rush, and of control and jobs: the books balance, every answer
 * stands, time goes on by itself.
 */
import t from 'tap';
import { controlKilled, gatewayKilled } from './process-scenarios.ts';
import { proves } from './scenario-test.ts';

t.jobs = 2;
proves(gatewayKilled, [1]);
proves(controlKilled, [102]);
