/** The SDK over a long evening: expired tokens, slow lines, pauses, repeated presses. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { ConnectionState } from '../../src/client/index.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { holdView } from '../support/show-view.ts';
import { until } from '../support/until.ts';
import { frame, join, joined, serve, type Visit, WELCOME } from './scripted-server.ts';

const ITEM = { sale: 'flash', lines: [{ sku: 'A', qty: 1 }] };
const bye = (code: number, more: object = {}): ServerMessage => ({ t: 'bye', at: 1, code, reason: 'x', ...more });
const tokensOf = (visits: readonly Visit[]) => visits.map(({ protocols }) => protocols[1]);
const welcomeUntil = (expiresAt: number) => ({ ...WELCOME, at: Date.now(), you: { ...WELCOME.you, expiresAt } });

t.test('a token function is called once, again after 4201, and at most four times in a row (H-6.1)', async (t) => {
  let fetched = 0;
  const token = async () => `a.b.t${++fetched}`;
  const server = await serve(t, {
    greet: (visit, index) => {
      if (index === 0) return visit.say(WELCOME);
      visit.say(bye(4201));
      visit.socket.close(4201);
    },
  });
  const client = join(t, server.url, { token });
  await until(() => client.status.at === 'open', 'the welcome');
  server.visits[0]?.socket.terminate();
  await until(() => client.status.at === 'closed', 'the end');
  t.same(tokensOf(server.visits), ['token.a.b.t1', 'token.a.b.t1', 'token.a.b.t2', 'token.a.b.t3', 'token.a.b.t4']);
  t.match(client.status, { code: 4201 });
});

t.test('a caller that adds its listeners at once sees the first attempt, and why it failed', async (t) => {
  const seen: string[] = [];
  class Broken {
    constructor() {
      throw new SyntaxError('no such address');
    }
  }
  const client = join(t, 'ws://127.0.0.1:1', { WebSocket: Broken as never });
  client.on('status', (state) => seen.push('reason' in state ? `${state.at}: ${state.reason}` : state.at));
  await until(() => client.status.at === 'closed', 'the end');
  t.same(seen, ['connecting', 'closed: SyntaxError: no such address']);
  const closed = join(t, 'ws://127.0.0.1:1', { WebSocket: Broken as never });
  closed.close();
  await sleep(10);
  t.match(closed.status, { at: 'closed', code: 1000 }, 'closed before it began');
});

t.test('a fixed token that has expired ends the client', async (t) => {
  const greet = (visit: Visit): void => {
    visit.say(bye(4201, { message: 'The token has expired.' }));
    visit.socket.close(4201);
  };
  const server = await serve(t, { greet });
  const client = join(t, server.url);
  await until(() => client.status.at === 'closed', 'the end');
  t.equal(server.visits.length, 1);
  t.match(client.status, { code: 4201, reason: 'The token has expired.' });
  t.match(await client.reserve(ITEM), { ok: false, error: { code: 'closed', message: 'The token has expired.' } });
});

t.test('a token function that fails is called again after a pause', async (t) => {
  let calls = 0;
  const server = await serve(t);
  const states: ConnectionState[] = [];
  const token = (): string => {
    calls += 1;
    if (calls === 1) throw new Error('the shop is down');
    return ['', '<html>502</html>', 'Unauthorized', 'null', 'no.token'][calls - 2] ?? ' a.b.good\n';
  };
  const client = join(t, server.url, { token });
  client.on('status', (state) => states.push(state));
  await until(() => client.status.at === 'open', 'the welcome');
  t.same(tokensOf(server.visits), ['token.a.b.good']);
  const reasons = states.flatMap((state) => (state.at === 'waiting' ? [state.reason] : []));
  t.match(reasons, [/the shop is down/, ...Array(5).fill(/not a token/)]);
  t.notMatch(reasons.join(), /html/, 'the text may be secret');
  const fixed = join(t, server.url, { token: '<html>' });
  await until(() => fixed.status.at === 'closed', 'the end');
  t.match(fixed.status, { reason: 'TypeError: The text is not a token.' });
});

t.test('a page that takes long is waited for; one that never arrives is asked for again', async (t) => {
  const snapshot = { ...WELCOME.snapshot, more: 'p/1' } as typeof WELCOME.snapshot;
  const asked: string[] = [];
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    if (message.t !== 'page') return;
    asked.push(message.after);
    const page = (more?: string) =>
      visit.say({ t: 'ok', id: message.id, at: 1, data: { products: [], sales: [], more } } as ServerMessage);
    if (asked.length === 1) setTimeout(() => page('p/2'), 150);
    if (asked.length === 3) page();
  };
  const greet = (visit: Visit): void => visit.say({ ...WELCOME, snapshot } as typeof WELCOME);
  const { server, client } = await joined(t, { greet, onMessage }, { requestTimeoutMs: 50 });
  await until(() => client.model.isComplete, 'the catalog');
  t.same(asked, ['p/1', 'p/2', 'p/2']);
  t.equal(server.visits.length, 1, 'on one connection');
});

t.test('a live connection renews its token before it expires (H-6.2)', async (t) => {
  let fetched = 0;
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    if (message.t !== 'refresh') return;
    const data = { name: 'Ana B', role: 'host', expiresAt: Date.now() + 3_600_000 };
    visit.say({ t: 'ok', id: message.id, at: 1, data } as ServerMessage);
  };
  const greet = (visit: Visit): void => visit.say(welcomeUntil(Date.now() + 1_000));
  const { server, client } = await joined(t, { greet, onMessage }, { token: () => `a.b.t${++fetched}` });
  await until(() => client.you?.name === 'Ana B', 'the renewal');
  t.match(server.visits[0]?.received, [{ t: 'refresh', token: 'a.b.t2' }]);
  t.match(client.you, { user: 'u1', role: 'host' });
  t.equal(server.visits.length, 1, 'the connection stays');
  server.visits[0]?.socket.terminate();
  t.match(tokensOf([await server.visit(1)]), ['token.a.b.t2'], 'the next connection has the new token');
});

t.test('a slow line on which messages arrive is not cut; a silent one is', async (t) => {
  const welcome = { ...WELCOME, limits: { ...WELCOME.limits, heartbeatMs: 50 } };
  const slow = await serve(t, { greet: (visit) => visit.say(welcome), ignoresSync: true });
  const silent = await serve(t, { greet: (visit) => visit.say(welcome), ignoresSync: true });
  const clients = [slow, silent].map(({ url }) => join(t, url, { requestTimeoutMs: 200 }));
  await until(() => clients.every(({ status }) => status.at === 'open'), 'the welcomes');
  const timer = setInterval(() => slow.visits.at(-1)?.say(frame({ state: { viewers: 1 } })), 50);
  t.teardown(() => clearInterval(timer));
  await until(() => silent.visits.length > 1, 'the silent line is replaced');
  await sleep(600);
  t.equal(slow.visits.length, 1);
});

t.test('reconnect() ends the wait for the next attempt, but not the one that the server asked for', async (t) => {
  const server = await serve(t, {
    greet: (visit, index) => {
      if (index === 0) visit.socket.close(4100);
      else if (index === 1) {
        visit.say(bye(4000, { reconnectAfterMs: 700 }));
        visit.socket.close(4000);
      } else visit.say(WELCOME);
    },
  });
  const client = join(t, server.url, { random: () => 0.99 });
  const waits = (code: number) => () => client.status.at === 'waiting' && client.status.code === code;
  await until(waits(4100), 'overload');
  t.match(client.status, { retryInMs: 1_495 }, 'one second of the policy, then half a second of jitter');
  client.reconnect();
  t.match(client.status, { at: 'waiting' }, 'the policy counts as asked for');
  await until(waits(4000), 'the second refusal');
  const since = performance.now();
  client.reconnect();
  await until(() => client.status.at === 'open', 'the welcome');
  const waitedMs = performance.now() - since;
  t.ok(waitedMs > 600, `waited ${waitedMs} ms`);
});

t.test('wake() asks at once whether an open connection is alive', async (t) => {
  const welcome = { ...WELCOME, limits: { ...WELCOME.limits, idleMs: 100 } };
  const { server, client } = await joined(t, { greet: (visit) => visit.say(welcome) });
  client.wake();
  t.equal(client.status.at, 'open', 'a message has just arrived');
  // The four exchanges after the welcome.
  await sleep(1_000);
  client.wake();
  await server.visit(1);
  t.equal(server.visits.length, 2, 'after a silence above the limit it is replaced');
});

t.test('a press keeps its key over every failure: offline, refused by a limit, too many requests (I4)', async (t) => {
  let refusal: string | null = null;
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    if (message.t === 'reserve' && refusal === 'none')
      visit.say({ t: 'ok', id: message.id, at: 1, data: { reservation: holdView('r1', ITEM) } } as ServerMessage);
    else if (message.t === 'reserve' && refusal !== null)
      visit.say({ t: 'error', id: message.id, at: 1, code: refusal, message: 'x' } as ServerMessage);
  };
  const { server, client } = await joined(t, { onMessage });
  const press = (deadlineMs = 5_000) => client.reserve({ ...ITEM, deadlineMs });
  const codeOf = async (outcome: ReturnType<typeof press>) => {
    const found = await outcome;
    return found.ok ? found.value.reservation.id : found.error.code;
  };
  const first = press(300);
  for (let n = 0; n < 31; n += 1) void client.release(`r${n}`, { deadlineMs: 200 });
  const second = press();
  t.same([await codeOf(first), await codeOf(second)], ['unknown_outcome', 'unknown_outcome'], 'the second joins');
  refusal = 'rate_limited';
  t.equal(await codeOf(press()), 'rate_limited');
  refusal = 'none';
  const cut = new Promise((resolve) => client.once('status', resolve));
  server.visits[0]?.socket.terminate();
  await cut;
  // A busy machine may be connected again by then.
  t.match(await codeOf(press(0)), /^(disconnected|unknown_outcome)$/);
  await until(() => client.status.at === 'open', 'the next connection');
  t.equal(await codeOf(press()), 'r1');
  t.equal(await codeOf(press()), 'r1');
  const keys = server.visits.flatMap(({ received }) =>
    received.flatMap((sent) => (sent.t === 'reserve' ? [sent.key] : [])),
  );
  t.equal(new Set(keys.slice(0, -1)).size, 1, 'one key until it has succeeded');
  t.not(keys.at(-1), keys[0], 'then it is a new press');
});

t.test('a press that is repeated has the key of before until its result is known (I4)', async (t) => {
  let replies = false;
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    if (replies)
      visit.say({ t: 'ok', id: message.id, at: 1, data: { reservation: holdView('r1', ITEM) } } as ServerMessage);
  };
  const { server, client } = await joined(t, { onMessage }, { requestTimeoutMs: 5_000 });
  const keys = () =>
    server.visits.flatMap(({ received }) => received).flatMap((sent) => ('key' in sent ? [sent.key] : []));
  const press = (deadlineMs: number, qty = 1) =>
    client.reserve({ sale: 'flash', lines: [{ sku: 'A', qty }], deadlineMs });
  const [first, second] = await Promise.all([press(100), press(100)]);
  t.match([first, second], [{ error: { code: 'unknown_outcome' } }, { error: { code: 'unknown_outcome' } }]);
  t.match(await press(100, 2), { error: { code: 'unknown_outcome' } });
  replies = true;
  const both = await Promise.all([press(5_000), press(5_000)]);
  t.match(both, [{ ok: true, value: { replayed: false } }, { value: { replayed: true } }], 'one hold, of the first');
  t.match(await press(5_000), { ok: true });
  const [a, other, again, next] = keys();
  t.not(other, a, 'another number of units is another intent');
  t.equal(again, a, 'after an unknown outcome');
  t.not(next, a, 'after a result it is a new press');
});
