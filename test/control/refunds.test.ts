/** Refunds over HTTP: the route, the lists, the files, and what an archive says of them. */
import { join } from 'node:path';
import t from 'tap';
import { verifyArchive } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { bookOf, type Control, hold, type Json, planShow, startControl } from './harness.ts';

const SHOW = '/v1/shows/gala';
const INVALID = { status: 400, body: { code: 'invalid_request' } };
const REASON = '=wrong, size';

/** Makes orders of ann (2), bob (1) and eve (1), and an open hold. Returns the ids by buyer. */
async function sellSome(control: Control): Promise<Record<string, string>> {
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  const ids: Record<string, string> = {};
  for (const [user, qty] of Object.entries({ ann: 2, bob: 1, eve: 1, open: 1 })) {
    ids[user] = await hold(control, 'gala', user, 'TEE-M', qty);
    const order = { orderRef: `o-${user}`, amount: 1999 * qty };
    if (user !== 'open') await control.post(`${SHOW}/reservations/${ids[user]}/confirm`, order);
  }
  return ids;
}

const users = async ({ request }: Control, path: string): Promise<string[]> => {
  const { body } = await request(`${SHOW}/${path}`);
  return (body.orders ?? body.reservations).map(({ user }: Json) => user).sort();
};

t.test('an order is refunded once, with its key (I4)', async (t) => {
  const control = await startControl(t);
  const { post, request, store } = control;
  const ids = await sellSome(control);
  const refund = (id: string | undefined, body: Json = {}, key?: string) =>
    post(`${SHOW}/orders/${id}/refund`, body, key === undefined ? {} : { 'idempotency-key': key });

  const first = await refund(ids.ann, { reason: REASON }, 'one');
  const refunded = { state: 'refunded', refundedAt: Number, restocked: true, refundReason: REASON };
  t.match(first, { status: 200, body: { replayed: false, epoch: String, durability: String } });
  t.match(first.body.order, { id: ids.ann, orderRef: 'o-ann', amount: 3998, ...refunded });
  const repeat = await refund(ids.ann, { reason: REASON }, 'one');
  t.match(repeat, { status: 200, headers: { 'idempotent-replayed': 'true' }, body: { replayed: true } });
  t.same(repeat.body.order, first.body.order);
  t.match(await refund(ids.ann, {}, 'one'), { status: 409, body: { code: 'idempotency_conflict' } });
  const { refundedAt } = first.body.order;
  const details = { state: 'refunded', refundedAt, orderRef: 'o-ann' };
  t.match(await refund(ids.ann, {}, 'two'), { status: 409, body: { code: 'reservation_refunded', details } });
  t.match(await refund(ids.bob, { restock: false }), { status: 200, body: { order: { restocked: false } } });
  t.match(await refund(ids.open), {
    status: 409,
    body: { code: 'illegal_move', detail: 'This is a hold: confirm or release it.', details: { state: 'held' } },
  });
  t.match(await refund('order-4'), {
    status: 404,
    body: { code: 'reservation_not_found', detail: /^There is no reservation order-4\. .*\?orderRef=/ },
  });
  for (const body of [
    { restock: 'yes' },
    { reason: '' },
    { reason: 'a\nb' },
    { reason: 'x'.repeat(LIMITS.refundReasonCharsMax + 1) },
    { lines: [] },
  ])
    t.match(await refund(ids.eve, body), INVALID, JSON.stringify(body));
  t.equal((await request(`${SHOW}/orders/${ids.eve}/refund`, { method: 'POST', key: null })).status, 401);

  const sale = await store.getSale('gala', 'drop');
  const [allocated, available, held, sold, withdrawn] = sale.ok ? bookOf(sale.value, 'TEE-M') : [];
  t.same([held, sold, withdrawn], [1, 1, 1]);
  t.equal(available, (allocated ?? 0) - 3);
  t.match((await request(`${SHOW}/verify`)).body, { violations: [] });
});

t.test('lists, files and archives have refunded orders, and what was earned without them', async (t) => {
  const control = await startControl(t);
  const { post, request } = control;
  const ids = await sellSome(control);
  await post(`${SHOW}/reservations/${ids.open}/release`);
  await post(`${SHOW}/orders/${ids.ann}/refund`, { reason: REASON });
  await post(`${SHOW}/end`);
  await post(`${SHOW}/orders/${ids.bob}/refund`, { restock: false });

  const check = async (): Promise<void> => {
    t.same(await users(control, 'orders'), ['ann', 'bob', 'eve'], 'a refunded order is still one');
    t.same(await users(control, 'orders?state=refunded'), ['ann', 'bob']);
    t.same(await users(control, 'orders?state=confirmed'), ['eve']);
    t.same(await users(control, 'reservations?state=refunded'), ['ann', 'bob']);
    t.same(await users(control, 'reservations?state=confirmed'), ['eve']);
    const [header = '', row = ''] = (await request(`${SHOW}/orders/export?user=ann`)).text.split('\r\n');
    t.ok(header.endsWith(',note,state,refundedAt,restocked,refundReason'));
    t.match(row, /,refunded,20\d\d-[\dT:.-]+Z,true,"'=wrong, size"$/);
    const { text } = await request(`${SHOW}/reservations/export?state=refunded`);
    const rows = text.split('\r\n').slice(1, -1);
    t.equal(rows.length, 2);
    for (const each of rows) t.match(each, /^r[\w-]+,refunded,.*,false,20\d\d-[\dT:.-]+Z$/);
    const listed = (await request(`${SHOW}/reservations?user=ann`)).body.reservations;
    const reservations = (await request(`${SHOW}/reservations/export?format=jsonl&user=ann`)).text;
    t.same(JSON.parse(reservations), listed[0], 'without what the host noted');
    const lines = (await request(`${SHOW}/orders/export?format=jsonl&user=bob`)).text;
    t.match(JSON.parse(lines), { id: ids.bob, state: 'refunded', restocked: false, refundedAt: Number });
  };
  await check();
  const before = (await request(`${SHOW}/orders`)).body.orders;
  t.match(await request(`${SHOW}/orders/${ids.ann}`), { status: 200, body: { state: 'refunded' } });

  const archived = await post(`${SHOW}/archive`);
  const refunds = { orders: 2, units: 3, amount: { EUR: 5997 } };
  const totals = { orders: 3, unitsSold: 4, revenue: { EUR: 7996 }, refunds, netRevenue: { EUR: 1999 } };
  t.match(archived, { status: 200, body: { violations: 0, totals } });
  t.same((await request(`${SHOW}/archive`)).body, archived.body);
  await check();
  t.same(new Set((await request(`${SHOW}/orders`)).body.orders), new Set(before));
  t.same((await verifyArchive(join(control.archiveDir, 'gala'))).violations, []);
  const late = await post(`${SHOW}/orders/${ids.eve}/refund`);
  t.match(late, { status: 410, body: { code: 'show_archived' } });
});

t.test('a show without refunds says so in its totals', async (t) => {
  const control = await startControl(t);
  const { post } = control;
  const ids = await sellSome(control);
  await post(`${SHOW}/reservations/${ids.open}/release`);
  await post(`${SHOW}/end`);
  const none = { orders: 0, units: 0, amount: {} };
  t.match((await post(`${SHOW}/archive`)).body.totals, { refunds: none, netRevenue: { EUR: 7996 } });
});
