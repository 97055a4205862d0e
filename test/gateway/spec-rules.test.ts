/** Rules of SPEC.md that no other test proves, on a real gateway and a real Redis. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
// Before the gateway: uWebSockets.js reads its limit for request heads when it is loaded.
import '../../src/config/environment.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import type { SaleMove } from '../../src/domain/sale.ts';
import { LIMITS } from '../../src/limits.ts';
import { CLOSE, ERRORS, type ErrorCode } from '../../src/protocol/codes.ts';
import { ROLES } from '../../src/protocol/index.ts';
import { fieldsOf, rows } from '../protocol/spec.ts';
import { type Client, type Message, refusedAfterUpgrade, refusedUpgrade } from './client.ts';
import { SECRET, startWorld, test, until } from './harness.ts';

const CLOSE_CODES: Partial<Record<ErrorCode, number>> = {
  token_expired: CLOSE.token_expired,
  show_not_found: CLOSE.show_gone,
};
const JSON_PROTOCOL = 'stampede.v1.json';
const RESERVE = { t: 'reserve', key: 'k', sale: 's', lines: [{ sku: 'shirt-m', qty: 1 }] };
const repliesOf = ({ received }: Client): Message[] => received.filter(({ t }) => t === 'ok' || t === 'error');
const command = (key: string) => ({ key, actor: 'test' as const });

t.test('the first reason to refuse an upgrade decides (H-1.1, H-1.2, H-2.4, H-3.3, H-4.1, H-4.3, H-4.5)', async (t) => {
  const world = await startWorld(t, { guests: false, gateway: { allowedOrigins: ['https://shop.example'] } });
  await world.join();
  const mint = (secret: string, nowMs: () => number, show: string): string =>
    createTokens({ secret, nowMs }).mint({ show, user: 'ann', name: 'Ann', role: 'buyer' }, 60);
  const stale = mint(SECRET, () => Date.now() - 100_000, 'other');
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: 'eve', name: 'E', show: world.show, role: 'host', exp: 9e9 };
  const longToken = 'x'.repeat(LIMITS.handshakeTokenBytesMax + 1);
  const wrong = { protocol: 'graphql-ws', query: '?epoch=x&offset=-3', origin: 'https://evil.example', show: 'a%20b' };
  const request = { ...wrong, token: longToken };
  const fixes: Array<[Partial<typeof request>, ErrorCode]> = [
    [{}, 'unsupported_protocol'],
    [{ protocol: JSON_PROTOCOL }, 'invalid_request'],
    [{ query: '' }, 'origin_not_allowed'],
    [{ origin: 'https://shop.example' }, 'show_not_found'],
    [{ show: world.show }, 'unauthenticated'],
    [{ token: 'forged' }, 'unauthenticated'],
    [{ token: mint('another secret, just as long as it has to be', Date.now, world.show) }, 'unauthenticated'],
    [{ token: `${part({ alg: 'none' })}.${part(claims)}.` }, 'unauthenticated'],
    [{ token: stale }, 'token_expired'],
    [{ token: world.token('ann', { show: 'other' }) }, 'forbidden'],
    [{ token: '' }, 'unauthenticated'],
  ];
  for (const [fix, code] of fixes) {
    const { protocol, token, query, origin, show } = Object.assign(request, fix);
    const protocols = token === '' ? [protocol] : [protocol, `token.${token}`];
    const url = `${world.node.url}/v1/shows/${show}${query}`;
    const name = JSON.stringify(fix).slice(0, 60);
    const withoutProtocol = protocol === JSON_PROTOCOL ? protocols.slice(1) : protocols;
    const { status, body } = await refusedUpgrade(url, withoutProtocol, { headers: { origin } });
    t.match({ status, body }, { status: ERRORS[code].status, body: { code, message: String } }, name);
    if (token === longToken && code === 'unauthenticated') t.match(body.message, /4096 bytes/);
    if (protocol !== JSON_PROTOCOL || code === 'invalid_request') continue;
    const refused = await refusedAfterUpgrade(url, protocols, { headers: { origin } });
    const closeCode = CLOSE_CODES[code] ?? CLOSE.forbidden;
    t.match(refused, { code: closeCode, bye: { t: 'bye', code: closeCode, message: body.message } }, name);
  }
  t.equal(await world.node.metric('connections'), 1, 'only the viewer of before is connected');
  const { origin, show } = request;
  const protocols = [JSON_PROTOCOL, `token.${world.token('ann')}`];
  const valid = new WebSocket(`${world.node.url}/v1/shows/${show}`, protocols, { origin });
  t.teardown(() => valid.terminate());
  await once(valid, 'open');
  t.equal(valid.protocol, JSON_PROTOCOL, 'without a reason it is accepted');
});

test('draining precedes capacity, capacity the address, the address the rate of joins (H-4.3)', async (t, world) => {
  const one = { perNodeMax: 1, perAddressMax: 1, joinsPerSecond: 1 };
  for (const [limits, code] of [
    [one, 'at_capacity'],
    [{ ...one, perNodeMax: 9 }, 'rate_limited'],
    [{ ...one, perNodeMax: 9, perAddressMax: 9 }, 'overloaded'],
  ] as const) {
    const node = await world.addNode({ limits });
    await world.join({ node });
    const refuse = () => refusedUpgrade(`${node.url}/v1/shows/${world.show}`, ['graphql-ws']);
    t.equal((await refuse()).body.code, code);
    const drained = node.gateway.drain({ timeoutMs: 1_000 });
    t.equal((await refuse()).body.code, 'draining');
    await drained;
  }
});

test('each role may send the requests of its row, and no others (H-5.1, H-5.2, H-5.3)', async (t, world) => {
  const requests: Record<string, unknown>[] = [
    { t: 'sync', at: 1 },
    { t: 'resume', epoch: 'e', offset: 0 },
    { t: 'page', after: 's/' },
    { t: 'refresh', token: 'forged' },
    { t: 'chat', text: 'hi' },
    { t: 'react' },
    { t: 'release', key: 'k', reservation: 'r' },
    RESERVE,
    { t: 'waitlist', key: 'k', op: 'join', sale: 's', sku: 'shirt-m' },
  ];
  let allowed: string[] = [];
  for (const role of ROLES) {
    const row = rows.find(([roles]) => roles?.split(', ').includes(`\`${role}\``)) ?? [];
    const own = [...(row[1] ?? '').matchAll(/`(\w+)`/g)].map(([, type]) => type ?? '');
    if (!allowed.includes(own[0] ?? '')) allowed = [...allowed, ...own];
    const client = await world.connect(role === 'guest' ? { token: null } : { role, user: role });
    const guest = { user: null, name: null, role, expiresAt: null, reservations: [] };
    t.match((await client.type('welcome')).you, role === 'guest' ? guest : { user: role, role });
    for (const request of requests) {
      const { code } = await client.request(request);
      t.equal(code !== 'forbidden', allowed.includes(String(request['t'])), `${role}: ${String(request['t'])}`);
    }
  }
});

test('chat is marked: a buyer with an order, a moderator, a host (C-2.3, H-5.4)', async (t, world) => {
  const bea = await world.join({ user: 'bea' });
  const sale = await world.openSale();
  const { reservation } = (await bea.reserve(sale, 'k')).data;
  const order = { reservation: reservation.id, orderRef: 'o', amount: reservation.amount };
  await world.store.confirm(world.show, order, command('c'));
  await bea.find((m) => m.t === 'you' && m.reservation.state === 'confirmed');
  const roles = ['viewer', 'moderator', 'host'] as const;
  const others = await Promise.all(roles.map((role) => world.connect({ role, user: role })));
  for (const client of [...others, bea]) await client.say('hi');
  await until(() => bea.chat().length === 4, 'all chat arrives');
  const items = bea.received.flatMap(({ chat = [] }) => chat.flatMap(([, , group]) => group));
  const marks = items.map(([, , name, , mark]) => `${name}: ${mark}`);
  t.same(marks, ['Name of viewer: undefined', 'Name of moderator: 2', 'Name of host: 3', 'Name of bea: 1']);
});

/** Asserts that `view` has every required field of the row of SPEC.md, and no other field. */
function checkFields(t: Test, view: unknown, fields: string): void {
  const { required, optional } = fieldsOf(fields);
  const names = Object.keys(view as object);
  const unknown = names.filter((name) => !required.includes(name) && !optional.includes(name));
  const missing = required.filter((name) => !names.includes(name));
  t.same({ unknown, missing }, { unknown: [], missing: [] }, JSON.stringify(view).slice(0, 80));
}

const rowOf = (name: string): string => rows.find(([first]) => first === name)?.[1] ?? '';
const cellOf = (name: string): string => rows.find(([first]) => first === name)?.[2] ?? '';

test('messages have their fields (W-1.1, W-1.2, W-2.1, W-2.3, W-3.1, S-1.1, S-2.1, E-1.1, M-2.1)', async (t, world) => {
  const ann = await world.connect();
  const welcome = await ann.type('welcome');
  t.equal(ann.received[0], welcome);
  const sale = await world.openSale({ opensInMs: 1_200, quantity: 5 });
  await ann.event('sale.opened');
  const { reservation } = (await ann.reserve(sale, 'k')).data;
  await ann.say('hi');
  await world.store.pinProduct(world.show, 'shirt', 'test');
  await world.store.pinProduct(world.show, null, 'test');
  await ann.request({ t: 'resume', epoch: 'other', offset: 0 });
  const { snapshot } = await ann.find((m) => m.t === 'frame' && m.snapshot !== undefined);
  await ann.find((m) => m.state?.sales?.some(({ left }) => left['shirt-m'] === 4));

  checkFields(t, welcome, '`t`, `v`, `at`, `node`, `epoch`, `offset`, `you`, `limits`, `chat`, `snapshot`');
  const listed = rows.map(([names]) => names).join();
  for (const field of Object.keys(welcome)) t.ok(listed.includes(`\`${field}\``), field);
  checkFields(t, welcome.you, cellOf('`you`'));
  checkFields(t, (welcome as unknown as { limits: unknown }).limits, cellOf('`limits`'));
  for (const view of [welcome.snapshot, snapshot]) {
    checkFields(t, view, '`epoch`, `offset`, `show`, `products`, `sales`, `state`');
    checkFields(t, view.show, rowOf('show'));
    for (const product of view.products) checkFields(t, product, rowOf('product'));
    for (const each of view.sales) checkFields(t, each, rowOf('sale'));
  }
  t.equal(snapshot.sales.length, 1);
  checkFields(t, reservation, rowOf('reservation'));
  for (const frame of ann.received.filter((m) => m.t === 'frame')) {
    checkFields(t, frame, '`t`, `at`, `epoch`?, `events`?, `state`?, `chat`?, `snapshot`?, `missed`?');
    for (const event of frame.events ?? []) checkFields(t, event, '`offset`, `at`, `type`, `data`');
    checkFields(t, frame.state ?? {}, '`viewers`?, `peak`?, `hearts`?, `unique`?, `sales`?, `countdowns`?');
    const { sales = [], countdowns = [] } = frame.state ?? {};
    for (const each of sales) checkFields(t, each, '`id`, `rev`, `state`, `opensAt`, `closesAt`, `left`');
    for (const each of countdowns) checkFields(t, each, '`sale`, `to`, `at`, `remainingMs`');
  }
  const nulls = new Set<string>();
  JSON.stringify(ann.received, (name, value: unknown) => {
    if (value === null) nulls.add(name);
    return value;
  });
  const allowed = ['user', 'name', 'expiresAt', 'startsAt', 'pinned', 'opensAt', 'closesAt', 'product'];
  t.strictSame(new Set([...nulls, ...allowed]), new Set(allowed));
});

test('the data of each type of event is as listed, and offsets have no gap (E-3, E-1.2)', async (t, world) => {
  const { store, show } = world;
  const ann = await world.connect();
  const { epoch } = await ann.type('welcome');
  await store.updateShow(show, { title: 'Another title' }, 'test');
  await store.pinProduct(show, 'shirt', 'test');
  await store.pinProduct(show, null, 'test');
  await store.putProduct(show, { id: 'cap', brand: 'acme', title: 'Cap', skus: [{ sku: 'cap' }] }, 'test');
  await store.removeProduct(show, 'cap', 'test');
  await store.announce(show, 'hello', 'test');
  await ann.say('remove me');
  await store.removeChat(show, [1]);
  const [sale, other] = [await world.openSale({ quantity: 1 }), await world.openSale({ opensInMs: 600_000 })];
  t.equal((await ann.reserve(sale, 'k')).t, 'ok');
  const moves: Array<[string, SaleMove]> = [
    [sale, { op: 'units', sku: 'shirt-m', delta: 2 }],
    [sale, { op: 'pause' }],
    [sale, { op: 'resume' }],
    [sale, { op: 'extend', byMs: 1_000 }],
    [sale, { op: 'end' }],
    [other, { op: 'schedule', opensInMs: 500_000, durationMs: 60_000 }],
    [other, { op: 'cancel' }],
  ];
  for (const [id, move] of moves) t.ok((await store.moveSale(show, id, move, command(move.op))).ok, move.op);
  await store.endShow(show, 'test');

  const late = await world.connect({ user: 'bob', query: `?epoch=${epoch}&offset=0`, node: await world.addNode() });
  await late.event('show.ended');
  const events = late.events();
  t.ok(events.every(({ offset }, i) => offset === i + 1));
  const listed = rows.filter(([, data]) => /^`\{\w+\}`/.test(data ?? ''));
  for (const [types = '', data = ''] of listed) {
    for (const [, type] of types.matchAll(/`([\w.]+)`/g)) {
      const event = events.find((each) => each.type === type);
      t.same(Object.keys(event?.data ?? {}), [data.slice(2, data.indexOf('}'))], type ?? '');
    }
  }
  t.ok(listed.flatMap(([types = '']) => types.split(',')).length >= 18);
});

test('a message above 64 KiB closes the connection (Q-1.3)', async (t, world) => {
  const ann = await world.join();
  ann.socket.send('x'.repeat(4 * LIMITS.frameInBytesMax + 1));
  t.not((await ann.closed).code, 1000);
});

test('each request gets one reply; unknown fields are ignored (Q-5.2, M-2.2, M-1.2)', async (t, world) => {
  const ann = await world.join();
  const sale = await world.openSale();
  const requests = [
    { at: 5, more: { unknown: true }, id: 1, t: 'sync' },
    { lines: [{ qty: 1, unknown: 1, sku: 'shirt-m' }], sale, key: 'k', id: 'two', t: 'reserve' },
    { text: 'hi', id: 3, t: 'chat' },
    { t: 'react', id: 4 },
    { t: 'chat', id: 5, text: '' },
    { t: 'nonsense', id: 6 },
    { t: 'release', id: 7, key: 'k', reservation: 'none' },
  ];
  for (const request of requests) ann.send(request);
  const replies = () => repliesOf(ann);
  await until(() => replies().length >= requests.length, 'all replies');
  await sleep(50);
  const received = replies().map(({ id, t: type }) => `${id} ${type}`);
  t.same(received.sort(), ['1 ok', '3 ok', '4 ok', '5 error', '6 error', '7 error', 'two ok'], 'one each');
  const fields = { ok: '`t`, `id`, `at`, `data`?', error: '`t`, `id`, `at`, `code`, `message`, `details`?' };
  for (const reply of replies()) checkFields(t, reply, fields[reply.t as 'ok' | 'error']);
});

test('without an id, hearts get no reply, errors have no id (L-1.3, L-1.4, Q-6.2, Q-5.3)', async (t, world) => {
  const ann = await world.join();
  const replies = () => repliesOf(ann);
  for (let i = 0; i < 3; i += 1) ann.send({ t: 'react', n: 50 });
  t.match(await ann.request({ t: 'react', n: 50 }), { code: 'rate_limited', retryAfterMs: Number });
  t.equal(replies().length, 1, 'two accepted and one refused without a reply');
  ann.send({ t: 'react', n: 0 });
  ann.send({ t: 'chat', id: { not: 'an id' }, text: 'hi' });
  await until(() => replies().length === 3, 'two errors');
  for (const reply of replies().slice(1)) {
    t.match(reply, { t: 'error', code: 'invalid_message' });
    t.notOk('id' in reply);
  }
});

test('32 requests may be without a reply (Q-10)', async (t, world) => {
  const ann = await world.join();
  const sale = await world.openSale({ quantity: 100, perBuyer: 100 });
  await ann.event('sale.opened');
  world.redis.signal('SIGSTOP');
  const replies = Array.from({ length: 40 }, (_, i) => ann.reserve(sale, `k${i}`, 9_000));
  await until(() => ann.received.filter(({ code }) => code === 'too_many_in_flight').length === 8, 'eight refusals');
  world.redis.signal('SIGCONT');
  const done = await Promise.all(replies);
  t.equal(done.filter(({ t: type }) => type === 'ok').length, LIMITS.inFlightPerConnectionMax);
});

test('a draining node refuses new requests and completes the others (D-1.1, D-1.2, D-1.3)', async (t, world) => {
  const ann = await world.join();
  const sale = await world.openSale();
  await ann.event('sale.opened');
  world.redis.signal('SIGSTOP');
  const before = ann.reserve(sale, 'k');
  await sleep(50);
  const drained = world.node.gateway.drain({ timeoutMs: 5_000 });
  for (const request of [{ t: 'chat', text: 'hi' }, { t: 'react' }, { ...RESERVE, key: 'k2', sale }])
    t.match(await ann.request(request), { t: 'error', code: 'draining' });
  world.redis.signal('SIGCONT');
  t.equal((await before).t, 'ok');
  const { code, reconnectAfterMs } = await ann.type('bye');
  t.equal(code, 4000);
  t.ok(reconnectAfterMs >= 0 && reconnectAfterMs <= LIMITS.drainReconnectSpreadMs);
  await drained;
});

t.test('holds of a buyer who joins while Redis is unavailable follow (W-1.3, W-7.2, Q-8.2, R-7.1)', async (t) => {
  const world = await startWorld(t, { redis: { appendfsync: 'always' } });
  const node = await world.addNode();
  const [bob, ann] = await Promise.all([world.connect({ node, user: 'bob' }), world.connect()]);
  const { epoch } = await ann.type('welcome');
  await bob.type('welcome');
  const sale = await world.openSale();
  const held = await ann.reserve(sale, 'k');
  t.match(held.data, { epoch });
  const restarted = world.redis.crashAndRestart({ downMs: 1_500 });
  await until(() => node.store.trouble() !== null, 'the node notices');
  const late = await world.connect({ node });
  t.same((await late.type('welcome')).you.reservations, []);
  await restarted;
  const holdings: unknown = await late.type('holdings', 15_000);
  t.match(holdings, { reservations: [{ id: held.data.reservation.id, state: 'held' }] });
  let reply = held;
  await until(
    async () => {
      reply = await bob.reserve(sale, 'later');
      return reply.t === 'ok';
    },
    'the sale is open again',
    15_000,
  );
  t.notMatch(reply.data, { epoch }, 'the storage was replaced since');
  for (const client of [ann, bob, late] satisfies Client[]) t.equal(client.socket.readyState, client.socket.OPEN);
});
