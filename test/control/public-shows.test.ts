/** GET /v1/public/shows on a real Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { cachedList, isKnown } from '../../src/control/public-shows/cached-list.ts';
import { LIMITS } from '../../src/limits.ts';
import { ok } from '../../src/protocol/codes.ts';
import { unwrap } from '../support/store-fixture.ts';
import { planShow, startControl } from './harness.ts';

const URL = '/v1/public/shows';
const HOUR_MS = 60 * 60 * 1000;

t.test('only public shows that have not ended are listed, live ones first, then the next to start', async (t) => {
  const control = await startControl(t);
  const { post, request, store } = control;
  const startsAt = (hours: number) => Math.floor(Date.now() + hours * HOUR_MS);
  const ids = async () => unwrap(await store.publicShows()).map(({ id }) => id);
  t.same(await ids(), []);
  for (const [id, hours] of [
    ['later', 2],
    ['soon', 1],
    ['live', 3],
    ['over', 4],
  ] as const)
    await post('/v1/shows', { id, title: id, startsAt: startsAt(hours), visibility: 'public' });
  t.match(await post('/v1/shows', { id: 'hidden', title: 'Hidden', startsAt: startsAt(1) }), {
    body: { visibility: 'unlisted' },
  });
  await post('/v1/shows', { id: 'someday', title: 'Someday', visibility: 'public' });
  for (const id of ['live', 'over', 'hidden']) await post(`/v1/shows/${id}/start`);
  await post('/v1/shows/over/end');
  t.same(await ids(), ['live', 'soon', 'later', 'someday']);

  const patch = (id: string, body: object) => request(`/v1/shows/${id}`, { method: 'PATCH', body });
  await patch('later', { startsAt: startsAt(0.5) });
  await patch('soon', { visibility: 'unlisted' });
  await patch('hidden', { visibility: 'public' });
  await patch('hidden', { visibility: 'unlisted' });
  await patch('over', { visibility: 'public' });
  t.same(await ids(), ['live', 'later', 'someday']);
  t.equal((await patch('live', { visibility: 'private' })).status, 400);
});

t.test('a listed show has what a page shows, and nothing else', async (t) => {
  const control = await startControl(t);
  const { post, request, store } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 }, 'gala');
  const posterUrl = 'https://cdn.example/gala.jpg';
  const more = { visibility: 'public', posterUrl, videoUrl: 'https://cdn.example/a.mp4' };
  await request('/v1/shows/gala', { method: 'PATCH', body: more });
  await store.reportCounts('gala', 'node', 7, 0);
  const plan = { title: 'Later', currency: 'EUR', skus: [{ sku: 'TEE-M', product: 'tee', price: 100, quantity: 3 }] };
  await post('/v1/shows/gala/sales', { ...plan, id: 'second', opensInMs: 120_000, durationMs: 60_000 });
  await post('/v1/shows/gala/sales', { ...plan, id: 'first', opensInMs: 60_000, durationMs: 60_000 });
  await post('/v1/shows/gala/sales', { ...plan, id: 'draft' });
  const [show, ...others] = unwrap(await store.publicShows());
  t.equal(others.length, 0);
  const fields = ['id', 'posterUrl', 'sales', 'startsAt', 'state', 'title', 'viewers'];
  t.same(Object.keys(show ?? {}).sort(), fields);
  t.match(show, { id: 'gala', posterUrl, viewers: 7, state: 'live' });
  const sales = [
    { id: 'drop', state: 'open', opensAt: Number, closesAt: Number },
    { id: 'first', state: 'scheduled' },
    { id: 'second', state: 'scheduled' },
  ];
  t.match(show?.sales, { ...sales, length: 3 });
  t.same(Object.keys(show?.sales[0] ?? {}).sort(), ['closesAt', 'id', 'opensAt', 'state', 'title']);
  await post('/v1/shows/gala/sales/first/cancel');
  await post('/v1/shows/gala/sales/drop/end');
  t.match(unwrap(await store.publicShows())[0]?.sales, { 0: { id: 'second' }, length: 1 }, 'an event renews the sales');
});

t.test('the list is public, cached and for any origin; 304 while it is the same', async (t) => {
  const { post, request } = await startControl(t, { options: { corsOrigins: ['https://studio.example'] } });
  await post('/v1/shows', { id: 'gala', title: 'Gala', visibility: 'public' });
  const get = (headers: Record<string, string> = {}) =>
    request(URL, { key: null, headers: { origin: 'https://shop.example', ...headers } });
  const first = await get();
  const etag = String(first.headers['etag']);
  const headers = {
    'content-type': 'application/json',
    'cache-control': `public, max-age=${LIMITS.publicShowsMaxAgeSeconds}`,
    'access-control-allow-origin': '*',
    etag: /^"[\w-]+"$/,
  };
  t.match(first, { status: 200, headers, body: { shows: [{ id: 'gala', state: 'planned', viewers: 0, sales: [] }] } });
  t.notOk(first.headers['access-control-allow-credentials']);
  for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const same = await get({ 'if-none-match': tag });
    t.match(same, { status: 304, text: '', headers: { etag, 'access-control-allow-origin': '*' } }, tag);
    t.equal(same.headers['content-length'], undefined, 'a body of another length would be announced');
    t.match(same.headers['cache-control'], /^public/);
  }
  t.equal((await get({ 'if-none-match': '"other"' })).status, 200);
  await request('/v1/shows/gala', { method: 'PATCH', body: { title: 'Renamed' } });
  await sleep(LIMITS.publicShowsEveryMs);
  t.match(await get({ 'if-none-match': etag }), { status: 200, body: { shows: [{ title: 'Renamed' }] } });
});

t.test('however many ask, a list is read once in its time, also if reading fails', async (t) => {
  const { app, store } = await startControl(t);
  let reads = 0;
  const { publicShows } = store;
  store.publicShows = async () => {
    reads += 1;
    await sleep(20);
    return ok(unwrap(await publicShows()));
  };
  const started = performance.now();
  for (let i = 0; i < 5; i += 1) {
    const all = await Promise.all(Array.from({ length: 40 }, () => app.inject(URL)));
    t.ok(all.every(({ statusCode }) => statusCode === 200));
  }
  t.ok(reads <= 1 + (performance.now() - started) / LIMITS.publicShowsEveryMs, `${reads} reads`);

  let [tries, now] = [0, 0];
  const read = async () => {
    tries += 1;
    throw new Error('no');
  };
  const failing = cachedList(read, 30, () => now);
  for (now = 0; now < 30; now += 10) await t.rejects(failing());
  t.equal(tries, 1);
  await t.rejects(failing());
  t.equal(tries, 2);
  t.notOk(isKnown(undefined, '"a"'));
});

t.test('what 0.1.0, foreign bytes or a crash leave in the index is not listed, and does not stay', async (t) => {
  const { post, store, redis, keyPrefix } = await startControl(t);
  for (const id of ['good', 'bad', 'gone', 'typed']) await post('/v1/shows', { id, title: id, visibility: 'public' });
  const key = `${keyPrefix}public`;
  const client = redis.client();
  t.teardown(() => client.disconnect());
  await client.zadd(key, 0, 'missing', 0, 'not an id!');
  await client.hset(`${keyPrefix}{bad}:show`, 'view', 'foreign');
  await client.hset(`${keyPrefix}{gone}:show`, 'state', 'ended');
  await client.del(`${keyPrefix}{typed}:show`);
  await client.set(`${keyPrefix}{typed}:show`, 'text');
  t.match(unwrap(await store.publicShows()), { 0: { id: 'good' }, length: 1 });
  t.same((await client.zrange(key, 0, '-1')).sort(), ['bad', 'good', 'not an id!', 'typed']);
});

t.test('the list has a bound (I9)', async (t) => {
  const { store, redis, keyPrefix } = await startControl(t);
  const many = LIMITS.publicShowsMax + 5;
  for (let i = 0; i < many; i += 1)
    unwrap(await store.createShow({ id: `s${i}`, title: 'S', visibility: 'public' }, 'test'));
  t.equal(unwrap(await store.publicShows()).length, LIMITS.publicShowsMax);
  unwrap(await store.endShow('s0', 'test'));
  const client = redis.client();
  t.teardown(() => client.disconnect());
  t.equal(await client.zcard(`${keyPrefix}public`), many - 1, 'an ended show leaves the index');
});
