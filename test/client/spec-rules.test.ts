/** Rules of SPEC.md for clients that no other test proves: the SDK keeps them. */
import t, { type Test } from 'tap';
import { monotonicNowMs } from '../../src/client/clock.ts';
import type { StampedeClient } from '../../src/client/index.ts';
import { Model } from '../../src/client/model.ts';
import type { ServerMessage, Welcome } from '../../src/protocol/index.ts';
import { frame, joined, type Visit, WELCOME } from './scripted-server.ts';

function newModel(): Model {
  const model = new Model();
  model.applyWelcome(WELCOME);
  return model;
}

t.test('absent fields and values change nothing (W-3.2, S-1.2)', async (t) => {
  const model = newModel();
  model.applyFrame(frame({ state: { viewers: 5, hearts: 7 }, chat: [[1, 1, [[0, 0, 'ann', 'hi']]]] }));
  model.applyFrame(frame({ state: { hearts: 8 } }));
  model.applyFrame(frame({}));
  t.same([model.viewers, model.hearts, model.chat.length, model.show?.title], [5, 8, 1, 'Demo']);
});

t.test('entries of unknown sales are ignored; chat with an unknown mark is shown (S-2.4, C-2.4)', async (t) => {
  const model = newModel();
  const sale = { id: 'unknown', rev: 9, state: 'open', opensAt: 1, closesAt: 2, left: { a: 1 } } as const;
  model.applyFrame(frame({ state: { sales: [sale] }, chat: [[1, 1, [[0, 0, 'ann', 'hi', 9]]]] }));
  t.equal(model.sales.size, 0);
  t.match(model.chat, [{ name: 'ann', text: 'hi' }]);
});

type Reply = (visit: Visit, message: { t: string; id: string }) => void;

/** A client of a server that sends `welcome` and then calls `onMessage` for each message. */
async function join(t: Test, welcome: Welcome, onMessage: Reply): Promise<StampedeClient> {
  const greet = (visit: Visit): void => {
    visit.socket.removeAllListeners('message');
    visit.socket.on('message', (data) => onMessage(visit, JSON.parse(String(data))));
    visit.say(welcome);
  };
  return (await joined(t, { greet }, { requestTimeoutMs: 200 })).client;
}

t.test('unknown messages, events and fields are ignored (M-1.3)', async (t) => {
  const client = await join(t, WELCOME, (visit, { id }) => {
    visit.say({ t: 'from-the-future', at: 1 } as unknown as ServerMessage);
    const event = { offset: 4, at: 1, type: 'sale.from_the_future', data: { x: 1 } };
    visit.say({ ...frame({}), events: [event], unknown: true } as unknown as ServerMessage);
    visit.say({ t: 'ok', id, at: 1, data: { chat: 1 } });
  });
  t.match(await client.chat('hi'), { ok: true });
  t.same([client.model.offset, client.stats.connects, client.stats.gaps], [4, 1, 0]);
});

t.test('four clock exchanges, then one per heartbeat; silence reconnects (T-3.1, K-1.2, K-1.3)', async (t) => {
  const welcome = { ...WELCOME, limits: { ...WELCOME.limits, heartbeatMs: 100 } };
  let exchanges = 0;
  const client = await join(t, welcome, (visit, { id }) => {
    exchanges += 1;
    if (exchanges <= 8) visit.say({ t: 'ok', id, at: 1, data: { received: Date.now(), sent: Date.now() } });
  });
  const startedMs = performance.now();
  while (client.stats.connects < 2) await new Promise((resolve) => client.once('welcome', resolve));
  t.ok(exchanges >= 9, 'the ninth gets no reply');
  t.ok(performance.now() - startedMs < 4_000);
});

t.test('the local clock does not follow the wall clock (T-2.3)', async (t) => {
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  const before = monotonicNowMs();
  Date.now = () => now() + 3_600_000;
  t.ok(monotonicNowMs() - before < 60_000);
});
