import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import { LIMITS } from '../../src/limits.ts';
import { until } from '../support/until.ts';
import { API_KEY, startControl } from './harness.ts';

for (const [appendonly, appendfsync, mode] of [
  [false, 'everysec', 'memory'],
  [true, 'everysec', 'everysec'],
  [true, 'always', 'always'],
] as const) {
  t.test(`readiness states the durability ${mode} (I11)`, async (t) => {
    const redis = await startRedis({ appendonly, appendfsync });
    t.teardown(() => redis.stop());
    const { request } = await startControl(t, {}, redis);
    const ready = await request('/readyz', { key: null });
    t.equal(ready.status, 200, ready.text);
    const runId = /^[0-9a-f]{40}$/;
    const durability = { mode, meaning: /lose|lost/ };
    const ofRedis = { state: 'ok', roundTripMs: Number, server: /^Redis /, runId };
    const body = { status: 'ready', ready: true, draining: false, node: 'n1', version: '0.0.0-test', durability };
    t.match(ready.body, { ...body, redis: ofRedis });
    await until(async () => 'memory' in (await request('/readyz')).body.redis, 'the memory was read');
    const again = (await request('/readyz')).body.redis;
    t.match(again.memory, { usedBytes: Number, forecast: 'Redis has no limit (maxmemory is 0).' });
    t.match(String(again.roundTripMs), /^\d+(\.\d)?$/);
    t.match(String(again.clockErrorMs), /^\d+(\.\d)?$/);
    t.notOk(Object.values(again).includes(null), 'what is unknown is left out');
    const alive = { status: 'alive', node: 'n1', version: '0.0.0-test' };
    t.strictSame((await request('/healthz', { key: null })).body, alive);
  });
}

t.test('while Redis is unavailable requests are refused at once; afterwards the API recovers', async (t) => {
  const { request, post, redis } = await startControl(t);
  t.equal((await post('/v1/shows', { id: 'gala', title: 'Gala' })).status, 201);
  const { runId } = (await request('/readyz')).body.redis;
  const restarted = redis.crashAndRestart({ downMs: 1_500 });
  await sleep(300);
  for (const url of ['/v1/shows/gala', '/readyz']) {
    const startedAt = performance.now();
    const refused = await request(url);
    t.match(refused, { status: 503, body: { code: 'redis_unavailable' } }, url);
    t.ok(Number(refused.headers['retry-after']) >= 1);
    t.ok(performance.now() - startedAt < 6_500, 'within the bound of a Redis retry');
  }
  const absent = { status: 'unavailable', ready: false, node: 'n1', redis: { state: String, remedy: String } };
  t.match((await request('/readyz')).body, absent);
  t.equal((await request('/healthz')).status, 200);
  t.equal((await post('/v1/shows', { title: 5 })).status, 400, 'a wrong request is still a wrong request');
  await restarted;
  await until(async () => (await request('/readyz')).status === 200, 'Redis is available again');
  const again = await request('/readyz');
  t.not(again.body.redis.runId, runId, 'the new Redis process is noticed');
  t.equal((await request('/v1/shows/gala')).status, 200);
});

t.test('metrics need an API key or METRICS_TOKEN, and label requests with the pattern of their route', async (t) => {
  const token = 'a-token-of-the-scraper';
  const { request } = await startControl(t, { scrapeKeys: createApiKeys({ metrics: token }) });
  for (const key of [null, 'not-the-token-of-the-scraper'])
    t.match(await request('/metrics', { key }), { status: 401, body: { code: 'unauthenticated' } });
  t.equal((await request('/v1/shows', { key: token })).status, 401, 'the token is for metrics only');
  await request('/v1/shows/some-show');
  await request('/nothing/at/all');
  t.equal((await request('/metrics')).status, 200, 'an API key');
  const metrics = await request('/metrics', { key: token });
  t.match(metrics, { status: 200, headers: { 'content-type': 'text/plain' }, text: 'stampede_redis_up 1' });
  t.match(metrics.text, 'stampede_http_request_seconds_count{method="GET",route="/v1/shows/:show",status="404"} 1');
  t.match(metrics.text, 'route="none",status="404"');
  t.notMatch(metrics.text, 'some-show');
});

t.test('close waits for running requests', async (t) => {
  const inner = await startControl(t);
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let arrive = (): void => {};
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const listShows = () => {
    arrive();
    return held.then(() => inner.store.listShows());
  };
  const { app } = await startControl(t, { store: { ...inner.store, listShows } });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  const running = fetch(`${address}/v1/shows`, { headers: { authorization: `Bearer ${API_KEY}` } });
  await arrived;
  let isClosed = false;
  const closing = app.close().then(() => (isClosed = true));
  await sleep(100);
  t.equal(isClosed, false);
  release();
  t.equal((await running).status, 200);
  await closing;
});

t.test('clients that send nothing, half a request or do not read do not delay the end of a drain', async (t) => {
  const { app, store } = await startControl(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const unread = 'GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(60);
  for (const text of ['', 'GET /healthz HTTP/1.1\r\n', unread]) {
    const socket = connect(port, '127.0.0.1').pause();
    t.teardown(() => socket.destroy());
    socket.on('error', () => {}).write(text);
  }
  await until(() => new Promise((resolve) => app.server.getConnections((_, open) => resolve(open === 3))), 'connected');
  const closed = app.close().then(() => 'closed');
  t.equal(await Promise.race([closed, sleep(LIMITS.httpDrainMs + 5_000, 'late', { ref: false })]), 'closed');
  t.equal(store.refusal(), null, 'the store is closed by its owner');
});
