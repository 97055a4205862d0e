import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { startControl } from './harness.ts';

t.test('a show is planned, changed, started and ended', async (t) => {
  const { request, post } = await startControl(t);
  const gala = { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] };
  const created = await post('/v1/shows', gala);
  t.match(created, { status: 201, headers: { location: 'shows/gala' } });
  const defaults = { startsAt: null, guests: true, slowModeMs: 0, chatShownPerSecond: 0, pinned: null };
  t.match(created.body, { ...gala, state: 'planned', ...defaults, createdAt: Number });
  t.strictSame((await post('/v1/shows', gala)).body, created.body, 'the same request returns the existing show');
  t.match(await post('/v1/shows', { ...gala, title: 'Other' }), { status: 409, body: { code: 'already_exists' } });

  const unnamed = await post('/v1/shows', { title: 'Second' });
  t.match(unnamed, { status: 201, body: { id: /^[A-Za-z0-9_-]+$/ } });
  const ids = (await request('/v1/shows')).body.shows.map((show: { id: string }) => show.id);
  t.strictSame(new Set(ids), new Set(['gala', unnamed.body.id]));

  const change = { title: 'Grand gala', slowModeMs: 2000, guests: false };
  t.match((await request('/v1/shows/gala', { method: 'PATCH', body: change })).body, change);
  t.equal((await post('/v1/shows/gala/start')).body.state, 'live');
  t.equal((await post('/v1/shows/gala/start')).body.state, 'live', 'starting it again changes nothing');
  t.match((await post('/v1/shows/gala/announcements', { text: 'Two minutes!' })).body, { offset: Number });
  t.equal((await post('/v1/shows/gala/end', {})).body.state, 'ended');
  t.equal((await post('/v1/shows/gala/end')).status, 200);
  t.match(await post('/v1/shows/gala/start'), { status: 409, body: { code: 'illegal_move' } });
  t.match((await request('/v1/shows/gala')).body, { title: 'Grand gala', state: 'ended' });
  t.equal((await request('/v1/shows/unknown')).body.code, 'show_not_found');
});

t.test('a show is planned with products and sales, and cloned, by one request each', async (t) => {
  const changed: string[] = [];
  const onSaleChanged = (show: string, { id }: { id: string }) => void changed.push(`${show}/${id}`);
  const { request, post, store } = await startControl(t, { onSaleChanged });
  const sku = { sku: 'TEE-M', product: 'tee', price: 100, quantity: 3 };
  const drop = { id: 'drop', title: 'Drop', currency: 'EUR', opensAt: '2099-11-30T20:00:00+01:00', skus: [sku] };
  const sale = { ...drop, id: 'now', opensAt: new Date(Date.now() + 60_000).toISOString(), durationMs: 60_000 };
  const gala = {
    ...{ id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] },
    products: [{ id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE-M' }] }],
    sales: [sale],
  };
  const wrong = { ...gala, sales: [sale, drop, { ...sale, id: 'x', skus: [{ ...sku, sku: 'XL' }] }] };
  const errors = [{ path: '/sales/1/opensAt' }, { path: '/sales/2/skus/0/sku' }];
  t.match(await post('/v1/shows', wrong), { status: 400, body: { code: 'invalid_request', errors } });
  t.equal((await request('/v1/shows/gala')).status, 404);
  const key = { 'idempotency-key': 'plan' };
  const created = await post('/v1/shows', gala, key);
  t.match(created, { status: 201, headers: { location: 'shows/gala' }, body: { id: 'gala', state: 'planned' } });
  t.notOk('products' in created.body);
  t.strictSame((await post('/v1/shows', gala)).body, created.body, 'the same request returns the existing show');
  t.match((await request('/v1/shows/gala/products')).body.products, [{ id: 'tee' }]);
  t.match((await request('/v1/shows/gala/sales')).body.sales, [{ id: 'now', state: 'scheduled' }]);

  const unnamed = await post('/v1/shows', { ...gala, id: undefined }, { 'idempotency-key': 'unnamed' });
  t.match(unnamed, { status: 201, body: { id: /^show-/ } });
  const taken = { ...gala, id: undefined, products: [], sales: [] };
  t.match(await post('/v1/shows', taken, { 'idempotency-key': 'unnamed' }), { status: 409 });

  const cloned = await post('/v1/shows/gala/clone', { id: 'copy', startsAt: '2026-12-30T20:00:00+01:00' });
  const copy = { show: { id: 'copy', title: 'Gala', startsAt: Number }, products: 1, sales: 1, leftOut: [] };
  t.match(cloned, { status: 201, headers: { location: 'shows/copy' }, body: copy });
  t.match((await request('/v1/shows/copy/sales')).body.sales, [{ id: 'now', state: 'draft' }]);
  t.match(await post('/v1/shows/none/clone', {}), { status: 404, body: { code: 'show_not_found' } });
  t.strictSame(changed.slice(0, 1), ['gala/now']);
  t.ok(changed.includes('copy/now'));

  await post('/v1/shows/gala/sales/now/cancel');
  await post('/v1/shows/gala/end');
  t.equal((await post('/v1/shows/gala/archive')).status < 300, true);
  t.match(await store.getShow('gala'), { error: { code: 'show_archived' } });
  const detail = /Clone a show before it is archived/;
  t.match(await post('/v1/shows/gala/clone', {}), { body: { code: 'show_archived', detail } });
});

t.test('a show has a display cap for chat', async (t) => {
  const { request, post } = await startControl(t);
  t.equal((await post('/v1/shows', { id: 'gala', title: 'Gala', chatShownPerSecond: 30 })).body.chatShownPerSecond, 30);
  const patch = async (chatShownPerSecond: number) =>
    (await request('/v1/shows/gala', { method: 'PATCH', body: { chatShownPerSecond } })).body;
  t.equal((await patch(12)).chatShownPerSecond, 12);
  t.equal((await request('/v1/shows/gala')).body.chatShownPerSecond, 12);
  for (const wrong of [-1, 0.5, LIMITS.chatShownPerSecondMax + 1])
    t.match(await patch(wrong), { code: 'invalid_request', errors: [{ path: '/chatShownPerSecond' }] });
});

t.test('a show has a video, a poster and a checkout link, which may be removed', async (t) => {
  const { request, post } = await startControl(t);
  const video = { videoUrl: 'https://cdn.example/live.m3u8', posterUrl: 'http://localhost:9000/p.jpg' };
  const checkoutUrl = 'https://shop.example/pay/{reservation}?sum={amount}&in={currency}&of={show}.{sale}';
  const created = await post('/v1/shows', { id: 'gala', title: 'Gala', ...video, checkoutUrl });
  t.match(created, { status: 201, body: { ...video, checkoutUrl } });
  const patch = (body: object) => request('/v1/shows/gala', { method: 'PATCH', body });
  t.match((await patch({ title: 'Gala II' })).body, { title: 'Gala II', ...video, checkoutUrl });
  const removed = (await patch({ videoUrl: null, checkoutUrl: null })).body;
  t.match(removed, { posterUrl: video.posterUrl });
  for (const name of ['videoUrl', 'checkoutUrl']) t.notOk(name in removed, name);
  t.strictSame((await request('/v1/shows/gala')).body, removed);
  t.strictSame((await request('/v1/shows')).body.shows, [removed]);
});

t.test('an address of a show is refused with a reason', async (t) => {
  const { request, post } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  const long = `https://cdn.example/${'x'.repeat(LIMITS.urlCharsMax)}`;
  const addresses = [
    'http://cdn.example/a.mp4',
    'http://localhost.evil.example',
    'ftp://a',
    '/a.mp4',
    'https://a b',
    long,
  ];
  const cases: Array<[name: string, value: unknown, reason: RegExp]> = [
    ...['javascript:alert(1)', 'https://user:pw@cdn.example', 'https://', ...addresses].flatMap((value) =>
      ['videoUrl', 'posterUrl'].map((name): [string, string, RegExp] => [name, value, /./]),
    ),
    ['videoUrl', 'http://cdn.example', /https, or http on localhost or 127\.0\.0\.1/],
    ['checkoutUrl', 'https://shop.example/pay', /Must contain \{reservation\}/],
    [
      'checkoutUrl',
      'https://shop.example/{reservation}/{user}',
      /Unknown placeholder \{user\}\. Known are \{reservation\}/,
    ],
    ['checkoutUrl', 'https://{reservation}.example', /host must not contain/],
    ['checkoutUrl', 'https://shop.example/{{reservation}}', /brace is left over/],
    ['checkoutUrl', 'http://shop.example/{reservation}', /https/],
    ['checkoutUrl', 'javascript:{reservation}', /https/],
    ['checkoutUrl', `${long}{reservation}`, /./],
  ];
  for (const [name, value, reason] of cases) {
    const refused = await request('/v1/shows/gala', { method: 'PATCH', body: { [name]: value } });
    const error = { path: `/${name}`, message: reason };
    t.match(refused, { status: 400, body: { code: 'invalid_request', errors: [error] } }, `${name}: ${value}`);
  }
  t.equal((await post('/v1/shows', { title: 'New', videoUrl: 'ftp://a' })).status, 400);
  t.equal((await post('/v1/shows', { title: 'New', videoUrl: null })).status, 201);
});

t.test('an announcement has a duration, and may be ended', async (t) => {
  const { request, post, store } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  const current = async () => {
    const loaded = await store.load('gala');
    return loaded.ok ? loaded.value.snapshot.announcement : loaded;
  };
  const announce = (more: object) => post('/v1/shows/gala/announcements', { text: 'Soon', ...more });
  t.equal(await current(), undefined);
  for (const [more, durationMs] of [
    [{}, LIMITS.announcementDefaultMs] as const,
    [{ durationMs: 60_000 }, 60_000] as const,
  ]) {
    t.equal((await announce(more)).status, 201);
    const { text, at = 0, until = 0 } = (await current()) as { text?: string; at?: number; until?: number };
    t.equal(text, 'Soon');
    t.ok(Math.abs(until - at - durationMs) < 1_000, `${until - at} ms`);
  }
  for (const durationMs of [0, LIMITS.announcementMinMs - 1, LIMITS.announcementMaxMs + 1, 1_000.5])
    t.match(await announce({ durationMs }), { status: 400, body: { errors: [{ path: '/durationMs' }] } });
  t.equal((await request('/v1/shows/gala/announcements', { method: 'DELETE' })).status, 204);
  t.equal(await current(), undefined);

  const at = Date.now() + 2_000;
  const key = { 'idempotency-key': 'timed' };
  const timed = { text: 'Until', until: new Date(at).toISOString() };
  const first = await post('/v1/shows/gala/announcements', timed, key);
  t.match(await current(), { text: 'Until', until: at });
  for (const until of [Date.now() - 1, 1, Date.now() + LIMITS.announcementMaxMs + 60_000])
    t.match(await announce({ until }), { status: 400, body: { errors: [{ path: '/until' }] } }, String(until));
  t.match(await announce({ until: at, durationMs: 60_000 }), { status: 400 }, 'one end only');
  const second = await announce({});
  const withdraw = (offset: number) => request(`/v1/shows/gala/announcements/${offset}`, { method: 'DELETE' });
  t.match(await withdraw(first.body.offset), { status: 404, body: { code: 'not_found' } });
  t.match(await current(), { text: 'Soon' }, 'another announcement stays');
  t.equal((await withdraw(second.body.offset)).status, 204);
  t.equal(await current(), undefined);
  t.equal((await withdraw(second.body.offset)).status, 404);
  t.equal((await withdraw('x' as never)).status, 400);
  await sleep(at - Date.now() + 10);
  t.equal(store.now() > at, true);
  const late = await post('/v1/shows/gala/announcements', timed, key);
  t.strictSame([late.status, late.body], [201, first.body], 'a late repeat gets its result');
  t.equal(await current(), undefined);
});
