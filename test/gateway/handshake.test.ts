import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createGateway } from '../../src/gateway/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { times } from '../support/store-fixture.ts';
import { type Client, refusedAfterUpgrade, refusedUpgrade, sendUpgrade } from './client.ts';
import { gatewayDeps, optionsOf, startWorld, test, until } from './harness.ts';

t.test('a first viewer is rejected after the upgrade: no such show, or no token (H-8.1, H-8.2)', async (t) => {
  const world = await startWorld(t, { guests: false });
  const lost = await world.connect({ show: 'nosuchshow', token: world.token('ann', { show: 'nosuchshow' }) });
  t.match(await lost.type('bye'), { code: 4203, reason: 'show_gone', message: String });
  t.equal((await lost.closed).code, 4203);
  const unnamed = await refusedAfterUpgrade(`${world.node.url}/v1/shows/`, ['stampede.v1.json']);
  t.match(unnamed, { code: 4203, bye: { reason: 'show_gone' } }, 'an empty id');
  const guest = await world.connect({ token: null });
  t.match(await guest.type('bye'), { code: 4202 }, 'the room is not loaded yet');
  const url = `${world.node.url}/v1/shows/${world.show}`;
  t.match(await refusedAfterUpgrade(url, ['stampede.v1.json']), { code: 4202, bye: { message: /token/ } }, 'it is now');
  t.match(await refusedUpgrade(url, []), { status: 401, body: { code: 'unauthenticated' } }, 'without a subprotocol');
  t.equal(await world.node.metric('connections'), 0);
});

test('100 first viewers join together; requests before the welcome get replies', async (t, world) => {
  const connect = (i: number): Promise<Client> =>
    world.connect({ user: `u${i}`, role: i % 2 ? 'viewer' : 'buyer', encoding: i % 3 ? 'json' : 'msgpack' });
  const viewers = await Promise.all(times(100, connect));
  const replies = await Promise.all(viewers.map((viewer) => viewer.request({ t: 'sync', at: 1 })));
  t.ok(replies.every((reply) => reply.t === 'ok'));
  await Promise.all(viewers.map((viewer) => viewer.type('welcome')));
  await sleep(100);
  t.equal(await world.node.metric('connections'), 100, 'all are connected');
  t.ok(viewers.every(({ socket }) => socket.readyState === socket.OPEN));
});

test('the query may carry the token; JSON is the default encoding (H-2.2, H-2.3, H-3.1, H-3.2)', async (t, world) => {
  const bare = await world.connect({ token: null, protocols: [], query: `?token=${world.token('ann')}` });
  t.equal(bare.socket.protocol, '');
  t.match(await bare.type('welcome'), { you: { user: 'ann', name: 'Name of ann', role: 'buyer', expiresAt: Number } });
  const onlyToken = await world.connect({ protocols: [] });
  t.match(await onlyToken.type('welcome'), { you: { user: 'ann' } });
  const protocols = ['stampede.v9.cbor', 'stampede.v1.msgpack', 'stampede.v1.json'];
  const two = await world.join({ protocols, encoding: 'msgpack' });
  t.equal(two.socket.protocol, 'stampede.v1.msgpack', 'the first known one');
});

test('a connection is closed when its token expires (H-6.1)', async (t, world) => {
  const ann = await world.connect({ token: world.token('ann', { ttlSeconds: 1 }) });
  t.match(await ann.type('bye', 4_000), { code: 4201, reason: 'token_expired' });
  t.equal((await ann.closed).code, 4201);
});

test('refresh renews name, role and expiry of the same user, and nothing else (H-6.2)', async (t, world) => {
  const ann = await world.join({ token: world.token('ann', { ttlSeconds: 2, role: 'viewer' }) });
  const refresh = (token: string) => ann.request({ t: 'refresh', token });
  for (const [token, code] of [
    ['forged', 'unauthenticated'],
    [world.token('bea'), 'forbidden'],
    [world.token('ann', { show: 'other' }), 'forbidden'],
    [world.token('ann', { ttlSeconds: -60 }), 'token_expired'],
    ['', 'invalid_message'],
  ] as const)
    t.match(await refresh(token), { t: 'error', code }, code);
  t.match(await ann.reserve('sale', 'k'), { code: 'forbidden' }, 'still a viewer');
  const renewed = await refresh(world.token('ann', { name: 'Ann B', role: 'buyer', ttlSeconds: 60 }));
  t.match(renewed, { t: 'ok', data: { name: 'Ann B', role: 'buyer', expiresAt: Number } });
  t.match(await ann.reserve('sale', 'k'), { code: 'sale_not_found' });
  await ann.say('hello');
  await until(() => ann.chat().at(-1)?.[1] === 'Ann B', 'the new name in chat');
  await sleep(2_500);
  t.match(await ann.request({ t: 'sync', at: 1 }), { t: 'ok' }, 'the first token has expired');
  const guest = await world.join({ token: null });
  t.match(await guest.request({ t: 'refresh', token: world.token('ann') }), { code: 'forbidden' });
});

test('the gateway port serves health and readiness; other paths are 404, metrics too', async (t, world) => {
  const base = `http://127.0.0.1:${world.node.port}`;
  t.match(await (await fetch(`${base}/healthz`)).json(), { status: 'ok' });
  const ready = {
    ...{ status: 'ready', ready: true, draining: false, node: 'n1', durability: { mode: 'everysec' } },
    redis: { state: 'ok', server: /^Redis /, runId: /^[0-9a-f]{40}$/ },
  };
  t.match(await (await fetch(`${base}/readyz`)).json(), ready);
  t.equal((await fetch(`${base}/v1/shows/${world.show}`)).status, 426);
  for (const path of ['nothing', 'metrics']) {
    const unknown = await fetch(`${base}/${path}`);
    t.match([unknown.status, await unknown.json()], [404, { code: 'not_found' }]);
  }
});

test('without Redis, a viewer of a show that is not loaded is closed with a code (H-8.1)', async (t, world) => {
  world.redis.signal('SIGKILL');
  await until(() => world.store.trouble() !== null, 'the node detects it');
  const ann = await world.connect({ user: 'ann' });
  t.match(await ann.type('bye'), { code: 4101, reason: 'redis_unavailable' });
  t.equal((await ann.closed).code, 4101);
});

test('a client that disconnects during its upgrade leaves nothing behind', async (t, world) => {
  const path = `/v1/shows/${world.show}?token=${world.token('ann')}`;
  for (let i = 0; i < 20; i += 1) (await sendUpgrade(world.node.port, { path })).destroy();
  await sleep(100);
  await until(async () => (await world.node.metric('connections')) === 0, 'all are closed');
  await world.join();
  t.equal(await world.node.metric('connections'), 1);
});

test('options that would end the process, and a port in use, are errors', async (t, world) => {
  const deps = gatewayDeps(world);
  const create = (port: number, host = '127.0.0.1') => createGateway({ ...deps, options: optionsOf({ port, host }) });
  await t.rejects(create(world.node.port).listen(), { message: /already_exists/ });
  t.throws(() => create(70_000), { message: /invalid_request/ });
  t.throws(() => create(world.node.port, ''), { message: /invalid_request/ });
});

test('an unknown show costs Redis nothing for 2 s, then it is asked for again (I9, H-8.3)', async (t, world) => {
  const redis = world.redis.client();
  const calls = async (): Promise<number> => {
    const found = [
      ...(await redis.info('commandstats')).matchAll(/cmdstat_(?:fcall\w*|evalsha\w*|s?subscribe):calls=(\d+)/g),
    ];
    return found.reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const refused = async (): Promise<void> => {
    const lost = await world.connect({ show: 'later', token: null });
    t.match(await lost.type('bye'), { code: 4203 });
  };
  await refused();
  const before = await calls();
  await Promise.all(times(20, refused));
  t.ok((await calls()) - before < 5, 'only the reports of the node');
  await world.store.createShow({ id: 'later', title: 'Later', guests: true }, 'test');
  await sleep(LIMITS.unknownShowMs);
  t.match((await world.join({ show: 'later', token: null })).received[0], { t: 'welcome' });
});
