/** The SDK against a scripted server: lost connections, repeats, gaps, close codes, bounds. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { ClientEvents, StampedeClient } from '../../src/client/index.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { holdView, showView } from '../support/show-view.ts';
import { announcements, frame, join, joined, serve, type Visit, WELCOME } from './scripted-server.ts';

const ITEM = { sale: 'flash', lines: [{ sku: 'A', qty: 1 }] };
type Status = StampedeClient['status'];

const next = <Type extends keyof ClientEvents>(client: StampedeClient, type: Type): Promise<ClientEvents[Type]> =>
  new Promise((resolve) => client.once(type, resolve));

async function status(client: StampedeClient, at: Status['at']): Promise<Status> {
  while (client.status.at !== at) await next(client, 'status');
  return client.status;
}

const ok = ({ id }: ClientMessage, data: Record<string, unknown>): ServerMessage =>
  ({ t: 'ok', id, at: 1, data }) as ServerMessage;
const error = ({ id }: ClientMessage, code: string, more: object = {}): ServerMessage =>
  ({ t: 'error', id, at: 1, code, message: code, ...more }) as ServerMessage;
const reserves = ({ visits }: { visits: Visit[] }) =>
  visits.flatMap(({ received }) => received).flatMap((message) => (message.t === 'reserve' ? [message] : []));

t.test('a client joins with subprotocol and token and learns its identity', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url.replace('ws:', 'http:'));
  await next(client, 'welcome');
  const [visit] = server.visits;
  t.same(visit?.protocols, ['stampede.v1.json', 'token.abc.def.ghi']);
  t.same([visit?.url.pathname, visit?.url.search], ['/v1/shows/demo', ''], 'the first connection has no position');
  t.equal(client.you?.name, 'Ana');
  t.equal(client.model.show?.title, 'Demo');
  await sleep(50);
  t.ok(client.clock().errorMs < 1_000);
  t.ok(Math.abs(client.serverNow() - Date.now()) < 1_000);
});

t.test('a lost connection is resumed at its position, and the model is kept (I7, R-1)', async (t) => {
  const resumed = { ...WELCOME, snapshot: undefined as never, resumed: true };
  const { server, client } = await joined(t, { greet: (visit, index) => visit.say(index === 0 ? WELCOME : resumed) });
  server.visits[0]?.say(announcements(4));
  server.visits[0]?.say(frame({ chat: [[20, 1, [[0, 0, 'x', 'y']]]] }));
  await next(client, 'chat');
  server.visits[0]?.socket.terminate();
  t.equal((await server.visit(1)).url.search, '?epoch=e1&offset=4&chat=20');
  await status(client, 'open');
  t.equal(client.model.announcement?.text, 'n4');
  t.match(client.stats, { connects: 2, resumes: 1, snapshots: 1, gaps: 0 });
});

t.test('a reserve whose reply was lost is repeated with the same key (I4, Q-5.4)', async (t) => {
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    if (server.visits.length === 1) visit.socket.terminate();
    else visit.say(ok(message, { reservation: holdView('r1', ITEM), replayed: true }));
  };
  const { server, client } = await joined(t, { onMessage });
  t.match(await client.reserve(ITEM), { ok: true, value: { replayed: true, reservation: { id: 'r1' } } });
  const sent = reserves(server);
  const [keys, ids] = [new Set(sent.map(({ key }) => key)), new Set(sent.map(({ id }) => id))];
  t.same([sent.length, keys.size, ids.size], [2, 1, 2], 'two requests with one key and two ids');
  t.equal(client.model.reservations.get('r1')?.state, 'held');
});

t.test('timeouts and transient failures are repeated with the same key, refusals are not (Q-9)', async (t) => {
  let attempts = 0;
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    attempts += 1;
    if (attempts === 2) visit.say(error(message, 'redis_unavailable', { retryAfterMs: 20 }));
    if (attempts === 3) visit.say(error(message, 'sold_out', { details: { left: 0 } }));
  };
  const { server, client } = await joined(t, { onMessage }, { requestTimeoutMs: 80 });
  const refused = await client.reserve({ ...ITEM, key: 'k1' });
  t.match(refused, { ok: false, error: { code: 'sold_out', details: { left: 0 } } });
  t.equal(attempts, 3);
  t.ok(reserves(server).every(({ key }) => key === 'k1'));
});

t.test('a request without a reply has an unknown outcome; one that was not sent is disconnected', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url, { requestTimeoutMs: 60 });
  const failsWith = async (outcome: Promise<unknown>, code: string): Promise<unknown> =>
    t.match(await outcome, { ok: false, error: { code } });
  await failsWith(client.chat('too soon'), 'disconnected');
  await next(client, 'welcome');
  t.match(await client.chat('hello?'), {
    error: { code: 'unknown_outcome', message: 'No reply arrived in time. The request may have succeeded.' },
  });
  await failsWith(client.reserve({ ...ITEM, deadlineMs: 200 }), 'unknown_outcome');
  const pending = Array.from({ length: 40 }, (_, n) => client.release(`r${n}`));
  await failsWith(Promise.resolve(pending.at(-1)), 'queue_full');
  client.close();
  t.ok((await Promise.all(pending)).every((outcome) => !outcome.ok));
  await failsWith(client.release('r1'), 'closed');
});

t.test('a gap is closed by one resume, or by a snapshot if the resume fails (I7, E-2.3)', async (t) => {
  let resumes = 0;
  const { server, client } = await joined(t, {
    onMessage: (visit, message) => {
      resumes += 1;
      if (resumes > 1) return visit.say(error(message, 'internal'));
      visit.say(announcements(4, 5, 6));
      visit.say(ok(message, { resumed: true }));
    },
  });
  const seen: number[] = [];
  client.on('event', ({ offset }) => seen.push(offset));
  const [visit] = server.visits;
  visit?.say(announcements(5));
  visit?.say(announcements(6));
  while (client.model.offset < 6) await next(client, 'event');
  t.same(seen, [4, 5, 6], 'in order, once');
  t.match(visit?.received, [{ t: 'resume', epoch: 'e1', offset: 3, chat: 0 }]);
  t.equal(resumes, 1);
  await sleep(10);
  visit?.say(announcements(9));
  t.equal((await server.visit(1)).url.search, '', 'without a position the server sends a snapshot');
  t.equal(client.stats.gaps, 2);
});

t.test('a snapshot in the place of missed events is a gap; each change has a version', async (t) => {
  const second = { epoch: 'e2', offset: 9, products: [], sales: [], state: {}, show: showView({ title: 'Later' }) };
  const greet = (visit: Visit, index: number): void =>
    visit.say(index === 0 ? WELCOME : { ...WELCOME, epoch: 'e2', offset: 9, snapshot: second });
  const { server, client } = await joined(t, { greet });
  const gaps: unknown[] = [];
  client.on('gap', (gap) => gaps.push(gap));
  const versions: number[] = [];
  client.on('change', (version) => versions.push(version));
  const [visit] = server.visits;
  visit?.say(announcements(4));
  await next(client, 'change');
  t.equal(client.model.offset, 4);
  t.same(versions, [client.version], 'once for one frame, after its events');
  visit?.socket.close();
  await next(client, 'gap');
  await sleep(0);
  t.same(gaps, [{ from: 4, to: 9 }]);
  t.equal(versions.at(-1), client.version);
  t.equal(new Set(versions).size, versions.length);
});

t.test('waking up does not lengthen the wait for the next attempt', async (t) => {
  const { server, client } = await joined(t, {}, { random: () => 0.99 });
  const waits: number[] = [];
  client.on('status', (state) => state.at === 'waiting' && waits.push(state.retryInMs));
  server.visits[0]?.socket.close();
  await next(client, 'status');
  await sleep(300);
  client.wake();
  const [first = 0, second = Infinity] = waits;
  t.ok(first <= 500 && second <= first - 290, `${first} ms, after 300 ms ${second} ms`);
});

t.test('a reservation that the server lost is reported as lost (W-7.2)', async (t) => {
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    visit.say(ok(message, { reservation: holdView('r1', ITEM) }));
    // At once, so that both may be read together.
    visit.say({ t: 'holdings', at: 1, reservations: [holdView('r2', { state: 'confirmed' })], waits: [] });
  };
  const { client } = await joined(t, { onMessage });
  const [lost, you] = [next(client, 'lost'), next(client, 'you')];
  t.match(await client.reserve(ITEM), { ok: true });
  t.match(await lost, [{ id: 'r1' }]);
  t.match(await you, { id: 'r2', state: 'confirmed' });
  t.same([...client.model.reservations.keys()], ['r2']);
});

t.test('a waitlist position that has changed is in the model (W-9.1)', async (t) => {
  const wait = { sale: 'flash', sku: 'a', qty: 1, joinedAt: 1 };
  const you = { ...WELCOME.you, waits: [{ ...wait, place: 4 }] };
  const { server, client } = await joined(t, { greet: (visit) => visit.say({ ...WELCOME, you }) });
  const change = next(client, 'change');
  (await server.visit(0)).say({ t: 'waits', at: 2, waits: [{ ...wait, place: 3 }] });
  await change;
  t.same([...client.model.waits], [['flash/a', { ...wait, place: 3 }]]);
});

t.test('the close code decides: reconnect, wait for the announced time, or stop (W-5.2, W-5.3)', async (t) => {
  const server = await serve(t, {
    greet: (visit, index) => {
      visit.say(WELCOME);
      if (index === 0) return visit.socket.close(4000, 'moving');
      if (index > 1) return visit.socket.close(4201, 'token expired');
      visit.say({ t: 'bye', at: 1, code: 4000, reason: 'draining', reconnectAfterMs: 120 });
      visit.socket.close(4000);
    },
  });
  const client = join(t, server.url);
  const waits: number[] = [];
  client.on('status', (state) => state.at === 'waiting' && waits.push(state.retryInMs));
  t.match(await status(client, 'closed'), { at: 'closed', code: 4201, reason: 'token expired' });
  t.same(waits, [0, 120]);
  await sleep(50);
  t.equal(server.visits.length, 3);
});

t.test('a bye may name another node and a pass for one attempt (W-5.2, W-5.4, W-5.5)', async (t) => {
  const other = await serve(t);
  const server = await serve(t, {
    greet: (visit, index) => {
      visit.say(WELCOME);
      const move = { reconnectAfterMs: 10, url: other.url, pass: 'pass1.a.b' };
      visit.say({ t: 'bye', at: 1, code: 4000, reason: 'draining', ...(index === 0 ? move : { url: 'ftp://wrong' }) });
      visit.socket.close(4000);
    },
  });
  const client = join(t, server.url);
  const moved = await other.visit(0);
  t.equal(moved.url.searchParams.get('offset'), '3', 'with its position');
  t.ok(moved.protocols.includes('token.pass1.a.b'), 'with its pass');
  await status(client, 'open');
  moved.socket.terminate();
  t.notOk((await server.visit(1)).protocols.includes('token.pass1.a.b'), 'the pass is used once');
  t.ok(await server.visit(2), 'an invalid URL is ignored');
});

t.test('an invalid frame reconnects, overload waits', async (t) => {
  const server = await serve(t, {
    greet: (visit, index) => {
      if (index === 0) return visit.socket.send('not json');
      visit.say(WELCOME);
      visit.socket.close(4100, 'busy');
    },
  });
  const client = join(t, server.url);
  await server.visit(1);
  const busy = await new Promise<Status>((resolve) =>
    client.on('status', (state) => state.at === 'waiting' && state.code === 4100 && resolve(state)),
  );
  t.match(busy, { at: 'waiting', retryInMs: 1_000 });
});

t.test('an upgrade that a proxy refuses is repeated in Node.js as in browsers, any status (H-4.5)', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const statuses = [200, 302, 401, 403, 404, 408];
  let upgrades = 0;
  server.on('upgrade', (_request, socket) => {
    const refusal = statuses[upgrades] ?? 503;
    upgrades += 1;
    socket.end(`HTTP/1.1 ${refusal} No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  });
  const client = join(t, `ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const reasons: string[] = [];
  await new Promise<void>((resolve) =>
    client.on('status', (state) => {
      if (state.at === 'waiting') reasons.push(`${state.code} ${state.reason.slice(-3)}`);
      if (reasons.length > statuses.length) resolve();
    }),
  );
  t.same(reasons, [...statuses.map((refusal) => `1006 ${refusal}`), '4100 503']);
});

t.test('only close() and 42xx end a client: after 1000 and 1001 of a proxy it reconnects (X-2.1)', async (t) => {
  const greet = (visit: Visit, index: number): void => {
    visit.say(WELCOME);
    if (index < 2) visit.socket.close(1000 + index, 'a proxy');
  };
  const { server, client } = await joined(t, { greet });
  await server.visit(2);
  await status(client, 'open');
  client.close();
  t.match(client.status, { at: 'closed', code: 1000 });
});

const EVENTS = ['status', 'change', 'snapshot', 'welcome', 'chat', 'event'] as const;
for (const type of EVENTS)
  t.test(`close() in a listener of ${type} ends the connection, and no event follows`, async (t) => {
    const server = await serve(t, {
      greet: (visit) => {
        visit.say({ ...WELCOME, chat: [[20, 1, [[0, 0, 'x', 'y']]]] });
        visit.say(announcements(4));
      },
    });
    const client = join(t, server.url);
    const later: string[] = [];
    let isClosed = false;
    client.on(type, () => {
      if (client.status.at === 'closed') return;
      client.close();
      isClosed = true;
    });
    for (const each of EVENTS) client.on(each, () => isClosed && later.push(each));
    await status(client, 'closed').catch(() => {});
    await sleep(100);
    t.match(client.status, { at: 'closed', code: 1000 });
    t.same(later, []);
    t.ok(server.visits.every(({ socket }) => socket.readyState === socket.CLOSED));
  });

t.test('valid JSON that is no valid message throws nothing: the client takes a snapshot later', async (t) => {
  const broken = [
    { t: 'welcome' },
    { ...WELCOME, you: null },
    [WELCOME, { t: 'you' }],
    [WELCOME, frame({ events: 5 as never })],
    [WELCOME, frame({ snapshot: {} as never })],
    [WELCOME, { t: 'bye', code: 4000, reconnectAfterMs: 'soon', pass: 'not a token', url: 'ws://[' }],
  ].flatMap((script) => [script].flat() as unknown as ServerMessage[]);
  const scripts = broken.reduce<ServerMessage[][]>((all, message) => {
    if (message.t === 'welcome' || all.length === 0) all.push([message]);
    else all.at(-1)?.push(message);
    return all;
  }, []);
  const server = await serve(t, {
    greet: (visit, index) => {
      for (const message of scripts[index] ?? [WELCOME]) visit.say(message);
      if (index === scripts.length - 1) visit.socket.close(4000);
    },
  });
  const client = join(t, server.url);
  await server.visit(scripts.length);
  await status(client, 'open');
  t.equal(server.visits.at(-1)?.url.search, '?epoch=e1&offset=3&chat=0');
  t.equal(server.visits.at(-2)?.url.search, '', 'after a broken message without a position');
  t.equal(client.model.show?.title, 'Demo');
});

t.test('a wait that a broken server asks for has bounds', async (t) => {
  const greet = (visit: Visit): void => {
    visit.say({ t: 'bye', at: 1, code: 4000, reason: 'x', reconnectAfterMs: 1e15 });
    visit.socket.close(4000);
  };
  const server = await serve(t, { greet });
  const client = join(t, server.url);
  t.match(await status(client, 'waiting'), { retryInMs: 600_000 });
  await sleep(20);
  t.equal(server.visits.length, 1);
});

t.test('options may be undefined; chat above the limit of the server is refused before it is sent', async (t) => {
  const given = { token: undefined, codec: undefined, requestTimeoutMs: undefined, random: undefined };
  const { server, client } = await joined(t, {}, given);
  t.match(await client.chat('x'.repeat(281)), {
    error: { code: 'invalid_message', message: 'It has 281 characters; at most 280 are allowed.' },
  });
  t.same(server.visits[0]?.received, []);
});

t.test('hearts are collected into one message and capped', async (t) => {
  const { server, client } = await joined(t);
  for (let i = 0; i < 80; i += 1) client.heart();
  await sleep(450);
  t.same(server.visits[0]?.received, [{ t: 'react', n: 50 }]);
});

t.test('a listener that throws stops neither other listeners nor the connection', async (t) => {
  const server = await serve(t);
  const client = join(t, server.url);
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  client.on('welcome', () => {
    throw new Error('mine');
  });
  await next(client, 'welcome');
  t.match(await thrown, { message: 'mine' });
  t.equal(client.status.at, 'open');
});
