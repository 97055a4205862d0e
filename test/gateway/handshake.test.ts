import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect as tcpConnect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { WebSocket } from 'ws';
import { createTokens } from '../../src/auth/tokens.ts';
import { createGateway } from '../../src/gateway/index.ts';
import { logger, refusedUpgrade, startWorld, until } from './harness.ts';

t.test('H-1 H-2 H-4: who may come in', async (t) => {
  const world = await startWorld(t, { guests: false, gateway: { allowedOrigins: ['https://shop.example'] } });
  const url = `${world.node.url}/v1/shows/${world.show}`;
  const first = await world.connect({ user: 'first' });
  await first.type('welcome');
  const json = 'stampede.v1.json';
  const other = createTokens({ secret: 'another secret, just as long as it has to be', nowMs: () => Date.now() });
  const forged = other.mint({ show: world.show, user: 'eve', name: 'Eve', role: 'host' }, 60);
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ sub: 'eve', name: 'E', show: world.show, role: 'host', exp: 9e9 })).toString('base64url')}.`;
  const expired = createTokens({
    secret: 'a secret of the tests, long enough for HS256',
    nowMs: () => Date.now() - 100_000,
  }).mint({ show: world.show, user: 'ann', name: 'Ann', role: 'buyer' }, 60);
  const refusals: Array<[string, string[], Record<string, string>, number, string]> = [
    ['no token', [json], {}, 401, 'unauthenticated'],
    ['forged token', [json, `token.${forged}`], {}, 401, 'unauthenticated'],
    ['unsigned token', [json, `token.${unsigned}`], {}, 401, 'unauthenticated'],
    ['nonsense', [json, 'token.abc'], {}, 401, 'unauthenticated'],
    ['expired token', [json, `token.${expired}`], {}, 401, 'token_expired'],
    ['token of another show', [json, `token.${world.token('ann', { show: 'other' })}`], {}, 403, 'forbidden'],
    ['unknown protocol', ['graphql-ws'], {}, 400, 'unsupported_protocol'],
    [
      'wrong origin',
      [json, `token.${world.token('ann')}`],
      { origin: 'https://evil.example' },
      403,
      'origin_not_allowed',
    ],
  ];
  for (const [what, protocols, headers, status, code] of refusals) {
    const refused = await refusedUpgrade(url, protocols, headers);
    t.equal(refused.status, status, what);
    t.equal(refused.body['code'], code, what);
    t.type(refused.body['message'], 'string');
  }
  const noShow = await refusedUpgrade(`${world.node.url}/v1/shows/a%20b`, [json]);
  t.match([noShow.status, noShow.body], [404, { code: 'show_not_found' }], 'not even the name of a show');
  const badPosition = await refusedUpgrade(`${url}?epoch=x&offset=-3`, [json, `token.${world.token('ann')}`]);
  t.match([badPosition.status, badPosition.body], [400, { code: 'invalid_request' }]);
  const fromShop = new WebSocket(url, [json, `token.${world.token('ann')}`], { origin: 'https://shop.example' });
  await once(fromShop, 'open');
  t.equal(fromShop.protocol, json);
  fromShop.terminate();
});

t.test('H-8: what only the show knows is said behind the upgrade', async (t) => {
  const world = await startWorld(t, { guests: false });
  const lost = await world.connect({ show: 'nosuchshow', token: world.token('ann', { show: 'nosuchshow' }) });
  t.match(await lost.type('bye'), { code: 4203, reason: 'show_gone', message: String });
  t.equal((await lost.closed).code, 4203);
  const guest = await world.connect({ token: null });
  t.match(await guest.type('bye'), { code: 4202 }, 'the first to ask for the show');
  const refused = await refusedUpgrade(`${world.node.url}/v1/shows/${world.show}`, ['stampede.v1.json']);
  t.match([refused.status, refused.body], [401, { code: 'unauthenticated' }], 'from then on the node knows');
  t.equal(await world.node.metric('connections'), 0);
});

t.test('a hundred first viewers at once, and a client that does not wait for its welcome', async (t) => {
  const world = await startWorld(t);
  const viewers = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      world.connect({ user: `u${i}`, role: i % 2 ? 'viewer' : 'buyer', encoding: i % 3 ? 'json' : 'msgpack' }),
    ),
  );
  const answers = await Promise.all(viewers.map((v) => v.ask({ t: 'sync', at: 1 })));
  t.ok(answers.every((a) => a['t'] === 'ok'));
  await Promise.all(viewers.map((v) => v.type('welcome')));
  await sleep(100);
  t.equal(await world.node.metric('connections'), 100, 'nobody was lost');
  t.ok(viewers.every((v) => v.socket.readyState === v.socket.OPEN));
});

t.test('H-3: the token may travel in the query, and JSON is spoken when nothing is offered', async (t) => {
  const world = await startWorld(t);
  const bare = await world.connect({ token: null, protocols: [], query: `?token=${world.token('ann')}` });
  t.equal(bare.socket.protocol, '');
  t.match(await bare.type('welcome'), { you: { user: 'ann', name: 'Name of ann', role: 'buyer', expiresAt: Number } });
  const onlyToken = await world.connect({ protocols: [] });
  t.match(await onlyToken.type('welcome'), { you: { user: 'ann' } });
  const two = await world.connect({
    protocols: ['stampede.v9.cbor', 'stampede.v1.msgpack', 'stampede.v1.json'],
    encoding: 'msgpack',
  });
  t.equal(two.socket.protocol, 'stampede.v1.msgpack', 'the first known one');
  await two.type('welcome');
});

t.test('H-5: guests watch and sync, nothing more', async (t) => {
  const world = await startWorld(t, { guests: true });
  const guest = await world.connect({ token: null });
  t.match(await guest.type('welcome'), {
    you: { user: null, name: null, role: 'guest', expiresAt: null, reservations: [] },
  });
  for (const message of [
    { t: 'chat', text: 'hi' },
    { t: 'react' },
    { t: 'reserve', key: 'k', sale: 's', lines: [{ sku: 'a', qty: 1 }] },
    { t: 'release', key: 'k', reservation: 'r' },
    { t: 'waitlist', key: 'k', op: 'join', sale: 's', sku: 'a' },
  ]) {
    t.match(await guest.ask(message), { t: 'error', code: 'forbidden' }, message.t);
  }
  t.match(await guest.ask({ t: 'sync', at: 5 }), { t: 'ok' });
  const viewer = await world.connect({ user: 'vic', role: 'viewer' });
  t.match(await viewer.ask({ t: 'reserve', key: 'k', sale: 's', lines: [{ sku: 'a', qty: 1 }] }), {
    t: 'error',
    code: 'forbidden',
  });
  t.match(await viewer.ask({ t: 'chat', text: 'hi' }), { t: 'ok' });
});

t.test(
  'H-6: a token that expires while connected ends the connection with "stop until you have a new one"',
  async (t) => {
    const world = await startWorld(t);
    const ann = await world.connect({ token: world.token('ann', { ttlSeconds: 1 }) });
    t.match(await ann.type('bye', 4_000), { code: 4201, reason: 'token_expired' });
    t.equal((await ann.closed).code, 4201);
  },
);

t.test('health, readiness and other addresses on the gateway port', async (t) => {
  const world = await startWorld(t);
  const base = `http://127.0.0.1:${world.node.port}`;
  t.match(await (await fetch(`${base}/healthz`)).json(), { status: 'ok' });
  t.match(await (await fetch(`${base}/readyz`)).json(), {
    ready: true,
    redis: 'ok',
    durability: 'everysec',
    runId: /^[0-9a-f]{40}$/,
  });
  t.equal((await fetch(`${base}/v1/shows/${world.show}`)).status, 426);
  const unknown = await fetch(`${base}/nothing`);
  t.match([unknown.status, await unknown.json()], [404, { code: 'not_found' }]);
  world.redis.signal('SIGKILL');
  await until(async () => (await fetch(`${base}/readyz`)).status === 503, 'not ready while Redis is away');
  t.equal((await fetch(`${base}/healthz`)).status, 200, 'but alive');
});

t.test('H-8: Redis away: a show this node does not have cannot be entered', async (t) => {
  const world = await startWorld(t);
  world.redis.signal('SIGKILL');
  await until(() => world.store.trouble() !== null, 'the node notices');
  const ann = await world.connect({ user: 'ann' });
  t.match(await ann.type('bye'), { code: 4101, reason: 'redis_unavailable' });
  t.equal((await ann.closed).code, 4101);
});

t.test('a client that goes away during its upgrade leaves nothing behind', async (t) => {
  const world = await startWorld(t);
  for (let i = 0; i < 20; i += 1) {
    const socket = tcpConnect(world.node.port, '127.0.0.1');
    await once(socket, 'connect');
    const key = Buffer.from(randomUUID().slice(0, 16)).toString('base64');
    socket.write(
      `GET /v1/shows/${world.show}?token=${world.token('ann')} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    socket.destroy();
  }
  await sleep(100);
  await until(async () => (await world.node.metric('connections')) === 0, 'all gone');
  const ann = await world.connect();
  await ann.type('welcome');
  t.equal(await world.node.metric('connections'), 1);
});

t.test('options that would end the process, and a taken port, are errors', async (t) => {
  const world = await startWorld(t);
  const options = { host: '127.0.0.1', port: world.node.port, exclusive: true, node: 'x', allowedOrigins: null };
  const deps = {
    store: world.store,
    log: world.store,
    tokens: { verify: () => ({ ok: false as const, error: { code: 'unauthenticated' as const, message: '' } }) },
    logger,
    metrics: world.node.metrics,
  };
  await t.rejects(createGateway({ ...deps, options }).listen(), { message: /already_exists/ });
  t.throws(() => createGateway({ ...deps, options: { ...options, port: 70_000 } }), { message: /invalid_request/ });
  t.throws(() => createGateway({ ...deps, options: { ...options, host: '' } }), { message: /invalid_request/ });
});
