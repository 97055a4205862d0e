import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startRedis } from '../support/redis.ts';
import { startControl } from './harness.ts';

t.test('alive, ready, and what a crash would lose', async (t) => {
  for (const [appendonly, appendfsync, mode] of [
    [false, 'everysec', 'memory'],
    [true, 'everysec', 'everysec'],
    [true, 'always', 'always'],
  ] as const) {
    const redis = await startRedis({ appendonly, appendfsync });
    t.teardown(() => redis.stop());
    const { ask } = await startControl(t, {}, redis);
    const ready = await ask('/readyz', { key: null });
    t.equal(ready.status, 200, ready.text);
    t.match(ready.body, {
      status: 'ready',
      node: 'n1',
      version: '0.0.0-test',
      durability: { mode, meaning: /lose|lost/ },
      redis: { runId: /^[0-9a-f]{40}$/ },
    });
    t.strictSame((await ask('/healthz', { key: null })).body, { status: 'alive', node: 'n1', version: '0.0.0-test' });
  }
});

t.test('Redis away: coded answers at once, alive all the while, and back without a restart', async (t) => {
  const { ask, post, redis } = await startControl(t);
  t.equal((await post('/v1/shows', { id: 'gala', title: 'Gala' })).status, 201);
  const { runId } = (await ask('/readyz')).body.redis;
  const back = redis.crashAndRestart({ downMs: 1_500 });
  await sleep(300);
  for (const url of ['/v1/shows/gala', '/readyz']) {
    const asked = performance.now();
    const away = await ask(url);
    t.equal(away.status, 503, url);
    t.equal(away.body.code, 'redis_unavailable');
    t.ok(Number(away.headers['retry-after']) >= 1);
    t.ok(performance.now() - asked < 6_500, 'within the bound of a Redis retry');
  }
  t.equal((await ask('/readyz')).body.details?.node ?? 'n1', 'n1');
  t.equal((await ask('/healthz')).status, 200);
  t.equal((await post('/v1/shows', { title: 5 })).status, 400, 'a bad request is still a bad request');
  await back;
  for (let i = 0; i < 100 && (await ask('/readyz')).status !== 200; i++) await sleep(50);
  const again = await ask('/readyz');
  t.equal(again.status, 200);
  t.not(again.body.redis.runId, runId, 'another process of Redis is seen');
  t.equal((await ask('/v1/shows/gala')).status, 200);
});

t.test('metrics tell routes by their pattern', async (t) => {
  const { ask } = await startControl(t);
  await ask('/v1/shows/some-show');
  await ask('/nothing/at/all');
  const metrics = await ask('/metrics', { key: null });
  t.equal(metrics.status, 200);
  t.match(metrics.headers['content-type'], 'text/plain');
  t.match(metrics.text, 'stampede_redis_up 1');
  t.match(metrics.text, 'stampede_http_request_seconds_count{method="GET",route="/v1/shows/:show",status="404"} 1');
  t.match(metrics.text, 'route="none",status="404"');
  t.notMatch(metrics.text, 'some-show');
});

t.test('close waits for what is in flight and answers newcomers that it stops', async (t) => {
  const inner = await startControl(t);
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { app } = await startControl(t, {
    store: {
      ...inner.store,
      listShows: async () => {
        await held;
        return inner.store.listShows();
      },
    },
  });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  const inFlight = fetch(`${address}/v1/shows`, { headers: { authorization: 'Bearer studio-secret-0123456789' } });
  await sleep(100);
  let closed = false;
  const closing = app.close().then(() => {
    closed = true;
  });
  await sleep(100);
  t.equal(closed, false);
  letGo();
  t.equal((await inFlight).status, 200);
  await closing;
});
