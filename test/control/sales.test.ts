import t from 'tap';
import type { ControlDeps } from '../../src/control/index.ts';
import { bookOf, type Json, planShow, startControl } from './harness.ts';

t.test('a sale makes all its moves, and a listener receives them', async (t) => {
  const notified: string[] = [];
  const onSaleChanged: ControlDeps['onSaleChanged'] = (show, { id, state }) => notified.push(`${show}/${id} ${state}`);
  const control = await startControl(t, { onSaleChanged });
  const { request, post } = control;
  await planShow(control);
  const path = '/v1/shows/gala/sales/drop';
  const draft = { id: 'drop', state: 'draft', opensAt: null, closesAt: null, currency: 'EUR', perBuyer: 2 };
  t.match((await request(path)).body, { ...draft, holdMs: 60_000 });
  t.equal((await request('/v1/shows/gala/sales')).body.sales.length, 1);

  const scheduled = await post(`${path}/schedule`, { opensInMs: 600_000, durationMs: 120_000 });
  t.match(scheduled, { status: 200, body: { state: 'scheduled' } });
  t.equal(scheduled.body.closesAt - scheduled.body.opensAt, 120_000);
  const moves: ReadonlyArray<[move: string, state: string, body?: Json]> = [
    ['open', 'open', { durationMs: 300_000 }],
    ['pause', 'paused'],
    ['resume', 'open'],
  ];
  for (const [move, state, body] of moves) t.equal((await post(`${path}/${move}`, body)).body.state, state, move);
  const { closesAt } = (await request(path)).body;
  t.equal((await post(`${path}/extend`, { byMs: 60_000 })).body.closesAt, closesAt + 60_000);
  const units = async (delta: number, sku = 'TEE-M') => (await post(`${path}/units`, { sku, delta })).body;
  t.strictSame(bookOf(await units(5), 'TEE-M'), [15, 15, 0, 0, 0]);
  t.strictSame(bookOf(await units(-3), 'TEE-M'), [15, 12, 0, 0, 3]);
  t.equal((await units(-100)).code, 'insufficient_units');
  t.equal((await units(1, 'HAT')).code, 'sku_not_found');
  t.equal((await post(`${path}/end`)).body.state, 'ended');
  const late = await post(`${path}/open`);
  t.match(late, { status: 409, body: { code: 'illegal_move', details: { state: 'ended' } } });

  const skus = [{ sku: 'BAG', product: 'bag', price: 1, quantity: 1 }];
  const second = { id: 'second', title: 'Second', currency: 'USD', opensInMs: 0, durationMs: 60_000, skus };
  await post('/v1/shows/gala/sales', second);
  t.equal((await request('/v1/shows/gala/sales/second')).body.state, 'open');
  t.equal((await post('/v1/shows/gala/sales/second/cancel')).body.state, 'cancelled');
  t.strictSame(notified.slice(0, 3), ['gala/drop draft', 'gala/drop scheduled', 'gala/drop open']);
  t.equal(notified.at(-1), 'gala/second cancelled');
  const verification = await request('/v1/shows/gala/verify');
  t.equal(verification.status, 200, verification.text);
  t.strictSame(verification.body.violations, [], 'I1 after all moves');
});

t.test('an invalid sale is refused with the field', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const bag = { sku: 'BAG', product: 'bag', price: 100, quantity: 1 };
  const valid = { title: 'Drop', currency: 'EUR', opensInMs: 0, durationMs: 60_000, skus: [bag] };
  const cases: ReadonlyArray<[change: Json, path: string]> = [
    [{ currency: 'ZZZ' }, '/currency'],
    [{ currency: 'euro' }, '/currency'],
    [{ opensAt: Date.now() + 60_000 }, '/opensInMs'],
    [{ closesAt: Date.now() + 60_000 }, '/durationMs'],
    [{ holdMs: 1 }, '/holdMs'],
    [{ perBuyer: 0 }, '/perBuyer'],
    [{ skus: [] }, '/skus'],
    [{ skus: [bag, bag] }, '/skus/1'],
    [{ skus: [{ ...bag, price: 1.5 }] }, '/skus/0/price'],
    [{ skus: [{ ...bag, quantity: -1 }] }, '/skus/0/quantity'],
    [{ skus: [{ ...bag, quantity: '5' }] }, '/skus/0/quantity'],
    [{ skus: [{ ...bag, colour: 'red' }] }, '/skus/0/colour'],
    [{ opensIn: 5 }, '/opensIn'],
    [{ title: undefined }, '/title'],
  ];
  for (const [change, path] of cases) {
    const refused = await control.post('/v1/shows/gala/sales', { ...valid, ...change });
    t.match(refused, { status: 400, body: { code: 'invalid_request', errors: [{ path }] } }, JSON.stringify(change));
  }
  for (const [path, body, code] of [
    ['gala/sales', { ...valid, skus: [{ ...bag, product: 'hat' }] }, 'product_not_found'],
    ['unknown/sales', valid, 'show_not_found'],
    ['gala/sales/unknown/open', {}, 'sale_not_found'],
  ] as const)
    t.equal((await control.post(`/v1/shows/${path}`, body)).body.code, code);
  t.equal((await control.request('/v1/shows/gala/sales')).body.sales.length, 1, 'no sale was created');
});

t.test('the listener receives sales that end with their show, or are deleted with it: no moment stays', async (t) => {
  const notified: string[] = [];
  const onSaleChanged: ControlDeps['onSaleChanged'] = (show, { id, state }) => notified.push(`${show}/${id} ${state}`);
  const control = await startControl(t, { onSaleChanged });
  const { request, post } = control;
  await planShow(control, { opensInMs: 600_000, durationMs: 600_000 });
  const remove = async (show: string): Promise<number> =>
    (await request(`/v1/shows/${show}`, { method: 'DELETE' })).status;
  notified.length = 0;
  t.equal(await remove('gala'), 409);
  t.strictSame(notified, [], 'a refused deletion changes nothing');
  t.equal((await post('/v1/shows/gala/end')).status, 200);
  t.strictSame(notified.splice(0), ['gala/drop ended']);
  t.equal(await remove('gala'), 204);
  t.strictSame(notified.splice(0), ['gala/drop ended']);

  await post('/v1/shows', { id: 'plan', title: 'Plan', brands: [{ id: 'b', name: 'B' }] });
  const product = { brand: 'b', title: 'Cap', skus: [{ sku: 'C' }] };
  await request('/v1/shows/plan/products/cap', { method: 'PUT', body: product });
  const skus = [{ sku: 'C', product: 'cap', price: 1, quantity: 1 }];
  await post('/v1/shows/plan/sales', {
    id: 's',
    title: 'S',
    currency: 'EUR',
    opensInMs: 9e6,
    durationMs: 60_000,
    skus,
  });
  t.strictSame(notified.splice(0), ['plan/s scheduled']);
  t.equal(await remove('plan'), 204, 'a show that was never started');
  t.strictSame(notified, ['plan/s ended']);
});

t.test('times are RFC 3339 or milliseconds, and unknown query parameters are refused by name', async (t) => {
  const control = await startControl(t);
  const { request, post } = control;
  await planShow(control);
  const at = Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000;
  const utc = new Date(at).toISOString();
  const berlin = new Date(at + 3_600_000).toISOString().replace('.000Z', '+01:00');
  const schedule = (body: unknown, key: string) =>
    post('/v1/shows/gala/sales/drop/schedule', body, { 'idempotency-key': key });
  for (const [i, opensAt] of [at, utc, berlin].entries()) {
    const scheduled = await schedule({ opensAt, closesAt: berlin.replace('+01:00', '-00:30') }, `k${i}`);
    t.match(scheduled, { status: 200, body: { opensAt: at, closesAt: at + 5_400_000 } }, String(opensAt));
  }
  t.equal((await schedule({ opensAt: utc, closesAt: at + 5_400_000 }, 'k0')).headers['idempotent-replayed'], 'true');
  const change = (startsAt: unknown) => request('/v1/shows/gala', { method: 'PATCH', body: { startsAt } });
  t.equal((await change(berlin)).body.startsAt, at);
  t.equal((await change(null)).body.startsAt, null);
  const message = /RFC 3339/;
  for (const wrong of ['tomorrow', '2026-11-30', '2026-02-30T00:00:00Z', '2026-11-30T20:00:00', String(at), -1, 1.5])
    t.match(await change(wrong), { status: 400, body: { errors: [{ path: '/startsAt', message }] } }, String(wrong));

  for (const path of ['', '/sales', '/sales/drop', '/products', '/watch', '/verify', '/archive', '/chat', '/size'])
    t.match(await request(`/v1/shows/gala${path}?colour=red`), {
      status: 400,
      body: { code: 'invalid_request', errors: [{ path: 'querystring/colour', message: /^This .* is not known/ }] },
    });
  t.match(await post('/v1/shows/gala/end?forced=1'), { status: 400, body: { code: 'invalid_request' } });
  t.match(await request('/v1/public/shows?limit=1', { key: null }), { status: 400, body: { code: 'invalid_request' } });
});
