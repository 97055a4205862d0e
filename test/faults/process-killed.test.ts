/**
 * kill -9 of a gateway during a rush, and of control and jobs: the books balance, every accepted
 * request is in them, and sales open, close and expire on time.
 */
import { controlKilled, gatewayKilled } from './process-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([gatewayKilled, 1], [controlKilled, 102]);
