/** Archiving and deleting shows over HTTP, and the pages of the list. */
import { existsSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok } from '../../src/protocol/codes.ts';
import { hold, planShow, startControl } from './harness.ts';

t.test('a show is archived at once, stays listed and is gone for every request (I9)', async (t) => {
  const control = await startControl(t);
  const { request, post, archiveDir } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  const id = await hold(control, 'gala', 'ann', 'TEE-M', 2);
  t.match(await post('/v1/shows/gala/archive'), {
    status: 409,
    body: { code: 'illegal_move', details: { state: 'live' } },
  });
  t.match(await request('/v1/shows/gala/archive'), {
    status: 404,
    body: {
      ...{ code: 'not_archived', title: 'The show is not archived', details: { state: 'live', archiveAt: null } },
      detail: 'The show is not archived yet. The show is live. End it first: POST /v1/shows/gala/end.',
    },
  });
  t.equal((await post(`/v1/shows/gala/reservations/${id}/confirm`, { orderRef: 'o', amount: 3998 })).status, 200);
  await post('/v1/shows/gala/end');
  const live = (await request('/v1/shows/gala/size')).body;
  t.match(live, { redisBytes: Number, keys: Number, archiveBytes: null, archiveFiles: 'none', expiring: undefined });

  const archived = await post('/v1/shows/gala/archive');
  const totals = { orders: 1, unitsSold: 2, revenue: { EUR: 3998 } };
  t.match(archived, { status: 200, body: { show: 'gala', title: 'Gala', violations: 0, sha256: /^\w{64}$/, totals } });
  t.strictSame((await post('/v1/shows/gala/archive')).body, archived.body, 'again changes nothing');
  t.strictSame((await request('/v1/shows/gala/archive')).body, archived.body);
  const [listed] = (await request('/v1/shows')).body.shows;
  t.match(listed, { id: 'gala', state: 'archived', brands: [{ id: 'acme' }] });
  t.strictSame(listed.archive, archived.body);

  const gone = {
    status: 410,
    body: { code: 'show_archived', detail: /GET \/v1\/shows\/gala\/archive returns .* --archive ARCHIVE_DIR\/gala`/ },
  };
  for (const path of [
    '',
    '/sales',
    '/sales/drop',
    `/reservations/${id}`,
    '/chat',
    '/mutes',
    '/audience',
    '/watch',
    '/verify',
  ])
    t.match(await request(`/v1/shows/gala${path}`), gone, `GET ${path}`);
  for (const path of ['/start', '/end', '/sales/drop/open', '/reconcile', `/reservations/${id}/release`])
    t.match(await post(`/v1/shows/gala${path}`), gone, `POST ${path}`);
  t.match(await post('/v1/shows/gala/tokens', { user: 'ann', name: 'Ann', role: 'buyer' }), gone);
  t.match(await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] }), gone);

  t.ok(existsSync(join(archiveDir, 'gala')));
  const sizes = (await request('/v1/shows/gala/size')).body;
  const files = readdirSync(join(archiveDir, 'gala')).map((name) => statSync(join(archiveDir, 'gala', name)).size);
  const archiveBytes = files.reduce((sum, bytes) => sum + bytes, 0);
  t.match(sizes, { archiveBytes, archiveFiles: 'found', expiring: { keys: sizes.keys - 1, at: Number } });
  t.ok(sizes.redisBytes - sizes.expiring.redisBytes < 3_000, 'its summary stays in Redis');
  t.equal((await request('/v1/shows/gala/size', { key: null })).status, 401);

  t.equal((await request('/v1/shows/gala', { method: 'DELETE' })).status, 204);
  t.notOk(existsSync(join(archiveDir, 'gala')));
  t.match(await request('/v1/shows/gala', { method: 'DELETE' }), { status: 404, body: { code: 'show_not_found' } });
  t.strictSame((await request('/v1/shows')).body, { shows: [], next: null });
});

t.test('a live show is not deleted; a repeated key gets the first response', async (t) => {
  const control = await startControl(t);
  const { request, post } = control;
  await planShow(control);
  const remove = () => request('/v1/shows/gala', { method: 'DELETE', headers: { 'idempotency-key': 'once' } });
  t.match(await remove(), { status: 409, body: { code: 'illegal_move', details: { state: 'live' } } });
  t.equal((await request('/v1/shows/gala')).status, 200);
  await post('/v1/shows/gala/end');
  t.equal((await remove()).status, 204);
  t.match(await remove(), { status: 204, headers: { 'idempotent-replayed': 'true' } });
});

t.test('an archived show whose files are elsewhere is deleted by ?force=true, which says so', async (t) => {
  const control = await startControl(t);
  const { request, post, archiveDir } = control;
  await planShow(control);
  await post('/v1/shows/gala/end');
  t.equal((await post('/v1/shows/gala/archive')).status, 200);
  renameSync(join(archiveDir, 'gala'), join(archiveDir, 'away'));
  t.match((await request('/v1/shows/gala/size')).body, { archiveBytes: null, archiveFiles: 'missing' });
  const remove = (query: string) =>
    request(`/v1/shows/gala${query}`, { method: 'DELETE', headers: { 'idempotency-key': 'once' } });
  const detail = /gala\. Nothing was deleted\. .* With \?force=true the show is deleted without them\.$/;
  t.match(await remove(''), { status: 503, body: { code: 'archive_failed', detail } });
  t.match(await remove('?force=yes'), {
    ...{
      status: 400,
      body: { code: 'invalid_request', errors: [{ path: 'querystring/force', message: 'Must be true.' }] },
    },
  });
  t.match(await remove('?forced=true'), { status: 400, body: { code: 'invalid_request' } });
  t.equal((await request('/v1/shows/gala/archive')).status, 200, 'it is still listed');
  t.match(await remove('?force=true'), { status: 200, body: { show: 'gala', files: 'missing' } });
  t.match(await remove('?force=true'), {
    status: 200,
    headers: { 'idempotent-replayed': 'true' },
    body: { show: 'gala', files: 'missing' },
  });
  t.ok(existsSync(join(archiveDir, 'away')));
  t.equal((await request('/v1/shows/gala')).status, 404);

  renameSync(join(archiveDir, 'away'), join(archiveDir, 'gala'));
  const folder = join(archiveDir, 'gala');
  const taken = {
    status: 409,
    body: { code: 'archive_conflict', detail: /move it out of ARCHIVE_DIR/, details: { folder } },
  };
  const put = await request('/v1/shows/gala', { method: 'DELETE' });
  t.match(put, taken, 'the files were put back: Redis does not know the show, and the response names the folder');
  t.match(await post('/v1/shows', { id: 'gala', title: 'Gala' }), taken, 'no show is planned that cannot be archived');
  renameSync(folder, join(archiveDir, 'away'));
  await planShow(control);
  renameSync(join(archiveDir, 'away'), folder);
  await post('/v1/shows/gala/end');
  t.match(await post('/v1/shows/gala/archive'), taken);
  t.equal((await post('/v1/shows/gala/archive')).headers['retry-after'], undefined, 'to repeat it is useless');
  renameSync(folder, join(archiveDir, 'gala.before'));
  t.equal((await post('/v1/shows/gala/archive')).status, 200);

  await planShow(control, undefined, 'other');
  await post('/v1/shows/other/end');
  t.equal((await request('/v1/shows/other?force=true', { method: 'DELETE' })).status, 204, 'it has no archive');
});

t.test('an import that died is reported by every route of its show, with the time of its end', async (t) => {
  const { request, post, store } = await startControl(t);
  t.equal((await store.beginImport('left')).ok, true);
  const said = (code: string) => ({
    status: 409,
    body: { code, detail: /^An import of the show left is under way, or died\./, details: { removedAt: Number } },
  });
  for (const path of ['', '/size', '/archive', '/products', '/sales/drop', '/verify'])
    t.match(await request(`/v1/shows/left${path}`), said('illegal_move'), `GET ${path}`);
  t.match(await post('/v1/shows/left/start'), said('illegal_move'));
  t.match(await request('/v1/shows/left', { method: 'PATCH', body: { title: 'X' } }), said('illegal_move'));
  t.match(await request('/v1/shows/left', { method: 'DELETE' }), said('illegal_move'));
  t.match(await post('/v1/shows', { id: 'left', title: 'Left' }), said('already_exists'));
  t.match(await request('/v1/shows/other'), { status: 404, body: { code: 'show_not_found' } });
});

t.test('an archive that takes long, or is made elsewhere, gets 202', async (t) => {
  const archives = {
    archive: async () => ok({ state: 'archiving' } as const),
    remove: async () => ok({ files: 'none' as const }),
    filesOf: async () => ({ archiveFiles: 'none', archiveBytes: null }) as const,
    archiveAt: async () => ok(null),
    checkFree: async () => ok(null),
    readBooked: async () => fail('archive_failed'),
  };
  const { post } = await startControl(t, { archives });
  const expected = { status: 202, body: { show: 'gala', state: 'archiving' } };
  t.match(await post('/v1/shows/gala/archive'), expected);
  const slow = await startControl(t, { archives: { ...archives, archive: () => new Promise(() => {}) } });
  const reply = slow.post('/v1/shows/gala/archive');
  await slow.request('/healthz');
  await slow.app.close();
  t.match(await reply, expected, 'also when the process stops');
});

t.test('the list of shows has pages, each show on one of them', async (t) => {
  const { request, post, redis, keyPrefix } = await startControl(t);
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  for (const id of ids) await post('/v1/shows', { id, title: id });
  // Made in one millisecond.
  for (const id of ['b', 'c', 'd', 'e']) await redis.client().zadd(`${keyPrefix}shows`, 1_000, id);
  const seen: string[][] = [];
  for (let query = '?limit=2'; ; ) {
    const { status, body } = await request(`/v1/shows${query}`);
    t.equal(status, 200);
    seen.push(body.shows.map((show: { id: string }) => show.id));
    if (body.next === null) break;
    query = `?limit=2&after=${body.next}`;
  }
  t.same(seen, [['g', 'f'], ['a', 'e'], ['d', 'c'], ['b']]);
  const wrong = { status: 400, body: { code: 'invalid_request' } };
  for (const query of ['?limit=0', '?limit=1001', '?after=x', '?page=2'])
    t.match(await request(`/v1/shows${query}`), wrong, query);
  const errors = [{ path: 'querystring/limit', message: 'Must be a whole number from 1 to 1000.' }];
  t.match((await request('/v1/shows?limit=0')).body, { errors });
});

t.test('a show has a separate retention, and once it has ended says when it is archived (I9)', async (t) => {
  const { request, post, store } = await startControl(t);
  t.equal((await post('/v1/shows', { id: 'a', title: 'A', retentionMs: 5_000 })).body.retentionMs, 5_000);
  t.equal((await post('/v1/shows', { id: 'b', title: 'B' })).body.retentionMs, undefined);
  const change = { method: 'PATCH', body: { retentionMs: 0 } } as const;
  t.equal((await request('/v1/shows/b', change)).body.retentionMs, 0);
  t.equal((await request('/v1/shows/b')).body.retentionMs, 0);
  const wrong = { status: 400, body: { code: 'invalid_request', errors: [{ path: '/retentionMs' }] } };
  for (const retentionMs of [-1, 999])
    t.match(await request('/v1/shows/b', { method: 'PATCH', body: { retentionMs } }), wrong);

  const archiveAt = async (path = '') => (await request(`/v1/shows${path}`)).body;
  t.match(await archiveAt('/a'), { archiveAt: null }, 'it has not ended');
  await post('/v1/shows/a/end');
  const before = Math.ceil(store.now());
  const ended = (await post('/v1/shows/b/end')).body;
  t.ok(Math.abs(ended.archiveAt - before) < 10_000, 'at once');
  const hour = 3_600_000;
  const later = await request('/v1/shows/b', { method: 'PATCH', body: { retentionMs: hour } });
  t.equal(later.body.archiveAt, ended.archiveAt + hour);
  t.match(await archiveAt('/b'), { archiveAt: later.body.archiveAt });
  t.match(await archiveAt(), {
    shows: [
      { id: 'b', archiveAt: later.body.archiveAt },
      { id: 'a', archiveAt: Number },
    ],
  });
  const at = new Date(later.body.archiveAt).toISOString();
  const detail = `after ${at}, when no hold is open. POST /v1/shows/b/archive archives it at once.`;
  t.match(await request('/v1/shows/b/archive'), {
    status: 404,
    body: { code: 'not_archived', detail, details: { state: 'ended', archiveAt: later.body.archiveAt } },
  });
  await post('/v1/shows/b/archive');
  t.match(await archiveAt(), { shows: [{ id: 'b', state: 'archived', archiveAt: null }] });
});

t.test('the refusal to delete an ended show says when its hold ends', async (t) => {
  const control = await startControl(t);
  const { request, post } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  const { heldUntil } = (await request(`/v1/shows/gala/reservations/${await hold(control, 'gala', 'ann', 'BAG', 1)}`))
    .body;
  await post('/v1/shows/gala/end');
  const refused = await request('/v1/shows/gala', { method: 'DELETE' });
  t.match(refused, { status: 409, body: { code: 'illegal_move', detail: /\?force=true/ } });
  t.equal(refused.body.details.nextDueAt, heldUntil + LIMITS.confirmGraceMs);
});
