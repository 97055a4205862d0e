// heavy: starts whole engines and measures how soon service is back
/** Connections cut or dropped, every request sent twice: no double, no loss, no silent gap. */
import { clientConnectionsDropped, redisConnectionCut, sentTwice } from './connection-scenarios.ts';
import { testScenarios } from './scenario-test.ts';

testScenarios([redisConnectionCut, 1], [clientConnectionsDropped, 1], [sentTwice, 1]);
