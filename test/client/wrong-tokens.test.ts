/** Token functions that return a wrong token once: of another show, or a forged one. */
import t from 'tap';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { until } from '../support/until.ts';
import { join, joined } from './scripted-server.ts';

t.test('a renewed token that the gateway refuses does not replace the valid one (H-6.2)', async (t) => {
  const engine = await startLiveEngine(t);
  await engine.office.createShow({ id: 'other', title: 'Other', guests: false, brands: [] });
  const mint = (show: string, ttlSeconds: number): string =>
    engine.tokens.mint({ show, user: 'ana', name: 'Ana', role: 'buyer' }, ttlSeconds);
  let calls = 0;
  const token = (): string => {
    calls += 1;
    return calls === 2 ? mint('other', 600) : mint(SHOW, 6);
  };
  const client = connect({ url: engine.gatewayUrl, show: SHOW, token, WebSocket });
  t.teardown(() => client.close());
  await until(() => client.stats.connects === 1, 'the welcome');
  await until(() => calls === 2, 'the renewal', 10_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  client.reconnect();
  await until(() => client.stats.connects === 2, 'the next connection');
  t.equal(client.status.at, 'open');
});

t.test('a first token of another show is fetched again, at most three times', async (t) => {
  const engine = await startLiveEngine(t);
  const mint = (show: string): string => engine.tokens.mint({ show, user: 'ana', name: 'Ana', role: 'buyer' }, 600);
  let calls = 0;
  const token = (): string => {
    calls += 1;
    return mint(calls === 1 ? 'other' : SHOW);
  };
  const client = connect({ url: engine.gatewayUrl, show: SHOW, token, WebSocket });
  t.teardown(() => client.close());
  await until(() => client.stats.connects === 1, 'the welcome');
  t.equal(calls, 2);
  let wrong = 0;
  const refused = connect({ url: engine.gatewayUrl, show: SHOW, token: () => mint(`other${++wrong}`), WebSocket });
  await until(() => refused.status.at === 'closed', 'the end', 20_000);
  t.match(refused.status, { code: 4202 });
  t.equal(wrong, 4);
});

t.test('4202 ends a client whose token was accepted before', async (t) => {
  let calls = 0;
  const token = (): string => `a.b.t${++calls}`;
  const { server, client } = await joined(t, {}, { token });
  server.visits[0]?.say({ t: 'bye', at: 1, code: 4202, reason: 'forbidden' });
  server.visits[0]?.socket.close(4202);
  await until(() => client.status.at === 'closed', 'the end');
  t.equal(calls, 1);
});

t.test('an address without a gateway gets a reason', async (t) => {
  const client = join(t, 'ws://127.0.0.1:1', { random: () => 0.99 });
  await until(() => client.status.at === 'waiting', 'the first failure');
  t.match(client.status, { code: 1006, reason: 'No connection. Is `url` the gateway?' });
});
