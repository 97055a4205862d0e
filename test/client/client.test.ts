/**
 * The SDK against a server that follows a script: lost lines, repeated keys, gaps, close codes,
 * bounds.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { type ClientEvents, type ClientOptions, connect, type StampedeClient } from '../../src/client/index.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { type ScriptedServer, startScriptedServer, WELCOME } from './scripted-server.ts';

const RESERVATION: ReservationView = {
  id: 'r1',
  sale: 'flash',
  user: 'u1',
  state: 'held',
  lines: [{ sku: 'A', qty: 1 }],
  amount: 100,
  currency: 'EUR',
  createdAt: 1,
  heldUntil: 60_001,
};

async function serve(t: Test, script: Parameters<typeof startScriptedServer>[0] = {}): Promise<ScriptedServer> {
  const server = await startScriptedServer(script);
  t.teardown(() => server.close());
  return server;
}

/** No jitter, so that a test does not wait. */
function join(t: Test, url: string, more: Partial<ClientOptions> = {}): StampedeClient {
  const client = connect({ url, show: 'demo', token: 'abc.def', WebSocket, random: () => 0, ...more });
  t.teardown(() => client.close());
  return client;
}

const next = <Type extends keyof ClientEvents>(client: StampedeClient, type: Type): Promise<ClientEvents[Type]> =>
  new Promise((resolve) => client.once(type, resolve));

async function status(client: StampedeClient, at: StampedeClient['status']['at']): Promise<StampedeClient['status']> {
  while (client.status.at !== at) await next(client, 'status');
  return client.status;
}

t.test('joins with protocol and token, and knows who it is', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url.replace('ws:', 'http:'));
  await next(client, 'welcome');
  t.same(server.visits[0]?.protocols, ['stampede.v1.json', 'token.abc.def']);
  t.equal(server.visits[0]?.url.pathname, '/v1/shows/demo');
  t.equal(server.visits[0]?.url.search, '', 'the first time there is no position');
  t.equal(client.you?.name, 'Ana');
  t.equal(client.model.show?.title, 'Demo');
  await sleep(50);
  t.ok(client.clock().errorMs < 1_000);
  t.ok(Math.abs(client.serverNow() - Date.now()) < 1_000);
});

t.test('a lost line comes back with its position; what was kept is kept (R-1)', async (t) => {
  const server = await serve(t, {
    greet: (visit, index) =>
      visit.say(index === 0 ? WELCOME : { ...WELCOME, snapshot: undefined as never, resumed: true }),
  });
  const client = join(t, server.url);
  await next(client, 'welcome');
  server.visits[0]?.say({
    t: 'frame',
    at: 1,
    epoch: 'e1',
    events: [{ offset: 4, at: 1, type: 'announcement', data: { text: 'hi' } }],
    chat: [[20, 1, [[0, 0, 'x', 'y']]]],
  });
  await next(client, 'event');
  server.visits[0]?.socket.terminate();
  const again = await server.visit(1);
  t.equal(again.url.search, '?epoch=e1&offset=4&chat=20');
  await status(client, 'open');
  t.equal(client.model.announcement?.text, 'hi');
  t.match(client.stats, { connects: 2, resumes: 1, snapshots: 1, gaps: 0 });
});

t.test('a reservation whose answer was lost is asked again with the same key (Q-5.4)', async (t) => {
  const server = await serve(t, {
    answer: (visit, message) => {
      if (message.t !== 'reserve') return;
      if (server.visits.length === 1) visit.socket.terminate();
      else visit.say({ t: 'ok', id: message.id, at: 1, data: { reservation: RESERVATION, replayed: true } });
    },
  });
  const client = join(t, server.url);
  await next(client, 'welcome');
  const outcome = await client.reserve({ sale: 'flash', lines: [{ sku: 'A', qty: 1 }] });
  t.match(outcome, { ok: true, value: { replayed: true, reservation: { id: 'r1' } } });
  const asked = server.visits.flatMap((visit) => visit.heard).filter((message) => message.t === 'reserve');
  t.equal(asked.length, 2);
  t.equal(new Set(asked.map((message) => (message as { key: string }).key)).size, 1, 'one key');
  t.equal(new Set(asked.map((message) => message.id)).size, 2, 'two request ids');
  t.equal(client.model.reservations.get('r1')?.state, 'held');
});

t.test('silence and passing failures are repeated with the same key, refusals are not (Q-9)', async (t) => {
  let asked = 0;
  const server = await serve(t, {
    answer: (visit, message) => {
      if (message.t !== 'reserve') return;
      asked += 1;
      if (asked === 1) return;
      if (asked === 2)
        return visit.say({
          t: 'error',
          id: message.id,
          at: 1,
          code: 'redis_unavailable',
          message: 'away',
          retryAfterMs: 20,
        });
      visit.say({ t: 'error', id: message.id, at: 1, code: 'sold_out', message: 'gone', details: { left: 0 } });
    },
  });
  const client = join(t, server.url, { requestTimeoutMs: 80 });
  await next(client, 'welcome');
  t.match(await client.reserve({ sale: 'flash', lines: [{ sku: 'A', qty: 1 }], key: 'k1' }), {
    ok: false,
    error: { code: 'sold_out', details: { left: 0 } },
  });
  t.equal(asked, 3);
  t.ok(server.visits[0]?.heard.every((message) => message.t !== 'reserve' || message.key === 'k1'));
});

t.test('an outcome nobody told is called unknown; what was never sent is called disconnected', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url, { requestTimeoutMs: 60 });
  t.match(await client.chat('too soon'), { ok: false, error: { code: 'disconnected' } });
  await next(client, 'welcome');
  t.match(await client.chat('anybody?'), { ok: false, error: { code: 'unknown_outcome' } });
  t.match(await client.reserve({ sale: 'flash', lines: [{ sku: 'A', qty: 1 }], deadlineMs: 200 }), {
    ok: false,
    error: { code: 'unknown_outcome' },
  });
  const waiting = Array.from({ length: 40 }, () => client.reserve({ sale: 'flash', lines: [{ sku: 'A', qty: 1 }] }));
  t.match(await waiting.at(-1), { ok: false, error: { code: 'queue_full' } }, 'the queue is bounded');
  client.close();
  t.ok(
    (await Promise.all(waiting)).every((outcome) => !outcome.ok),
    'closing answers everybody',
  );
  t.match(await client.release('r1'), { ok: false, error: { code: 'closed' } });
});

t.test('a gap is closed by one resume; when that fails the client starts over with a snapshot (E-2.3)', async (t) => {
  let resumes = 0;
  const server = await serve(t, {
    answer: (visit, message) => {
      if (message.t !== 'resume') return;
      resumes += 1;
      if (resumes > 1) return visit.say({ t: 'error', id: message.id, at: 1, code: 'internal', message: 'no' });
      visit.say({
        t: 'frame',
        at: 1,
        epoch: 'e1',
        events: [4, 5, 6].map((offset) => ({ offset, at: 1, type: 'announcement', data: { text: String(offset) } })),
      });
      visit.say({ t: 'ok', id: message.id, at: 1, data: { resumed: true } });
    },
  });
  const client = join(t, server.url);
  await next(client, 'welcome');
  const seen: number[] = [];
  client.on('event', ({ offset }) => seen.push(offset));
  const say = (offset: number): void =>
    server.visits[0]?.say({
      t: 'frame',
      at: 1,
      epoch: 'e1',
      events: [{ offset, at: 1, type: 'announcement', data: { text: 'x' } }],
    });
  say(5);
  say(6);
  while (client.model.offset < 6) await next(client, 'event');
  t.same(seen, [4, 5, 6], 'in order, once');
  t.match(server.visits[0]?.heard, [{ t: 'resume', epoch: 'e1', offset: 3, chat: 0 }]);
  t.equal(resumes, 1);
  await sleep(10);
  say(9);
  const fresh = await server.visit(1);
  t.equal(fresh.url.search, '', 'no position: a snapshot is wanted');
  t.equal(client.stats.gaps, 2);
});

t.test('close codes say what to do: stop, wait, come back (W-5.2, W-5.3)', async (t) => {
  const server = await serve(t, {
    greet: (visit, index) => {
      visit.say(WELCOME);
      if (index === 0) return visit.socket.close(4000, 'moving');
      if (index === 1) {
        visit.say({ t: 'bye', at: 1, code: 4000, reason: 'draining', reconnectAfterMs: 120 });
        return visit.socket.close(4000);
      }
      visit.socket.close(4201, 'token expired');
    },
  });
  const client = join(t, server.url);
  const seen: Array<StampedeClient['status']> = [];
  client.on('status', (state) => seen.push(state));
  const end = await status(client, 'closed');
  t.match(end, { at: 'closed', code: 4201, reason: 'token expired' });
  const waits = seen
    .filter((state) => state.at === 'waiting')
    .map((state) => (state as { retryInMs: number }).retryInMs);
  t.same(waits, [0, 120], 'the server that says when is believed');
  await sleep(50);
  t.equal(server.visits.length, 3);
});

t.test('a stopping node may name another node; without a delay the code decides (W-5.2, W-5.4, W-5.5)', async (t) => {
  const other = await serve(t);
  const server = await serve(t, {
    greet: (visit, index) => {
      visit.say(WELCOME);
      visit.say({
        t: 'bye',
        at: 1,
        code: 4000,
        reason: 'draining',
        ...(index === 0 ? { reconnectAfterMs: 10, url: other.url, pass: 'pass1.a.b' } : { url: 'ftp://nonsense' }),
      });
      visit.socket.close(4000);
    },
  });
  const client = join(t, server.url);
  const moved = await other.visit(0);
  t.equal(moved.url.searchParams.get('offset'), '3', 'with its position');
  t.ok(moved.protocols.includes('token.pass1.a.b'), 'and its pass');
  await status(client, 'open');
  moved.socket.terminate();
  t.notOk((await server.visit(1)).protocols.includes('token.pass1.a.b'), 'a pass is for one try');
  t.ok(await server.visit(2), 'back to the address it was given, and on');
});

t.test('overload is met with patience, an unreadable frame with a new connection', async (t) => {
  const server = await serve(t, {
    greet: (visit, index) => {
      if (index === 0) return visit.socket.send('not json');
      visit.say(WELCOME);
      visit.socket.close(4100, 'busy');
    },
  });
  const client = join(t, server.url);
  await server.visit(1);
  const busy = await new Promise<StampedeClient['status']>((resolve) =>
    client.on('status', (state) => state.at === 'waiting' && state.code === 4100 && resolve(state)),
  );
  t.match(busy, { at: 'waiting', retryInMs: 1_000 });
});

t.test('a refused upgrade with a reason to stop is not tried again', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  let asked = 0;
  server.on('upgrade', (_request, socket) => {
    asked += 1;
    socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  });
  const client = join(t, `ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.match(await status(client, 'closed'), { at: 'closed', reason: /401/ });
  t.equal(asked, 1);
});

t.test('hearts are gathered, capped, and never waited for', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url);
  await next(client, 'welcome');
  for (let i = 0; i < 80; i += 1) client.heart();
  await sleep(450);
  t.same(server.visits[0]?.heard, [{ t: 'react', n: 50 }]);
});

t.test('a listener that throws takes nobody down', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url);
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  client.on('welcome', () => {
    throw new Error('mine');
  });
  const other = next(client, 'welcome');
  await other;
  t.match(await thrown, { message: 'mine' });
  t.equal(client.status.at, 'open');
});
