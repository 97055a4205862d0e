/** Lists and files of reservations and orders, from Redis and from archives. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import t, { type Test } from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { ok } from '../../src/protocol/codes.ts';
import { until } from '../support/until.ts';
import { API_KEY, type Control, hold, type Json, planShow, startControl } from './harness.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const SHOW = '/v1/shows/gala';
const INVALID = { status: 400, body: { code: 'invalid_request' } };

/** Makes orders of ann, bob and eve, a released and an open hold. Returns the ids by buyer. */
async function sellSome(control: Control): Promise<Record<string, string>> {
  const { post, request } = control;
  const zeta = [
    { id: 'acme', name: 'Acme' },
    { id: 'zeta', name: 'Zeta' },
  ];
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  await request(SHOW, { method: 'PATCH', body: { brands: zeta } });
  await request(`${SHOW}/products/bag`, {
    method: 'PUT',
    body: { brand: 'zeta', title: 'Bag', skus: [{ sku: 'BAG' }] },
  });
  const ids: Record<string, string> = {};
  const items = {
    ann: ['TEE-M', 2],
    bob: ['BAG', 1],
    eve: ['TEE-M', 1],
    '=eva+': ['TEE-M', 1],
    open: ['BAG', 1],
  } as const;
  for (const [user, [sku, qty]] of Object.entries(items)) ids[user] = await hold(control, 'gala', user, sku, qty);
  const confirm = async (user: string, orderRef: string, amount: number): Promise<void> => {
    const { status, text } = await post(`${SHOW}/reservations/${ids[user]}/confirm`, { orderRef, amount });
    if (status !== 200) throw new Error(text);
  };
  await confirm('bob', 'o "2", two', 4900);
  await confirm('ann', 'o-1', 3998);
  await confirm('=eva+', '=1+1', 1999);
  await post(`${SHOW}/reservations/${ids.eve}/release`);
  return ids;
}

/** Reads all pages of a list. Returns the field of each item, a page each. */
async function pages({ request }: Control, path: string, field: string): Promise<string[][]> {
  const seen: string[][] = [];
  for (let after: string | null = ''; after !== null; ) {
    const { status, body, text } = await request(`${path}${after === '' ? '' : `&after=${after}`}`);
    if (status !== 200) throw new Error(text);
    seen.push((body.reservations ?? body.orders).map((item: Json) => item[field]));
    after = body.next;
  }
  return seen;
}

t.test('reservations and orders are listed in pages, filtered, from either end', async (t) => {
  const control = await startControl(t);
  const { request } = control;
  const ids = await sellSome(control);
  const users = (path: string) => pages(control, `${SHOW}/${path}`, 'user');
  t.same(await users('reservations?order=oldest'), [['ann', 'bob', 'eve', '=eva+', 'open']]);
  t.same(await users('reservations?limit=2'), [['open', '=eva+'], ['eve', 'bob'], ['ann']]);
  t.same(await users('orders?limit=2'), [['=eva+', 'ann'], ['bob']], 'in the order of the confirmations');
  t.same(await users('orders?limit=1&order=oldest'), [['bob'], ['ann'], ['=eva+']]);
  for (const [query, found] of [
    ['reservations?state=held', ['open']],
    ['reservations?state=released', ['eve']],
    ['reservations?brand=zeta&order=oldest', ['bob', 'open']],
    ['reservations?orderRef=o-1', ['ann']],
    ['reservations?user=ann&state=held', []],
    ['orders?brand=acme', ['=eva+', 'ann']],
    ['orders?user=bob', ['bob']],
    ['orders?sale=drop&orderRef=o-1', ['ann']],
    ['orders?sale=other', []],
  ] as const)
    t.same(await users(query), [found], String(query));

  const { orders } = (await request(`${SHOW}/orders?user=ann`)).body;
  const lines = [{ sku: 'TEE-M', qty: 2, price: 1999, product: 'tee', brand: 'acme' }];
  t.match(orders, [{ id: ids.ann, orderRef: 'o-1', sale: 'drop', lines, amount: 3998, currency: 'EUR' }]);
  const [{ confirmedAt, createdAt }] = orders;
  t.ok(confirmedAt >= createdAt);
  const at = new Date(confirmedAt).toISOString();
  for (const time of [confirmedAt, at, at.replace('Z', '%2B00:00')]) {
    t.same(await users(`orders?from=${time}&user=ann`), [['ann']]);
    t.same(await users(`orders?to=${time}&user=ann`), [[]]);
  }

  await control.redis.client().hdel(`${control.keyPrefix}{gala}:products`, 'bag');
  const [bag] = (await request(`${SHOW}/orders?user=bob`)).body.orders[0].lines;
  t.strictSame(bag, { sku: 'BAG', qty: 1, price: 4900, product: 'bag' }, 'the product is gone');

  for (const [query, path] of [
    ['stat=held', 'querystring/stat'],
    ['from=yesterday', 'querystring/from'],
    ['to=2026-02-30T00:00:00Z', 'querystring/to'],
    ['limit=0', 'querystring/limit'],
    ['state=sold', 'querystring/state'],
    ['after=x', '/after'],
  ])
    t.match(await request(`${SHOW}/reservations?${query}`), { status: 400, body: { errors: [{ path }] } }, query ?? '');
  t.match(await request('/v1/shows/nothing/orders'), { status: 404, body: { code: 'show_not_found' } });
  t.equal((await request(`${SHOW}/orders`, { key: null })).status, 401);
});

t.test('orders have notes, tracking and a fulfillment state, which archives keep', async (t) => {
  const control = await startControl(t);
  const { request, post } = control;
  const ids = await sellSome(control);
  const change = (id: string | undefined, body: unknown, key?: string) =>
    request(`${SHOW}/orders/${id}`, {
      method: 'PATCH',
      body,
      headers: key === undefined ? {} : { 'idempotency-key': key },
    });
  const fulfilled = { fulfillment: 'fulfilled', tracking: 'DHL 42' };
  t.match((await request(`${SHOW}/orders/${ids.ann}`)).body, {
    id: ids.ann,
    orderRef: 'o-1',
    fulfillment: 'unfulfilled',
  });
  t.match(await change(ids.ann, fulfilled), { status: 200, body: { id: ids.ann, ...fulfilled } });
  t.match((await change(ids.ann, { note: 'a\ngift' })).body, { ...fulfilled, note: 'a\ngift' }, 'the rest stays');
  t.match((await change(ids.bob, { note: '=x' })).body, { note: '=x' });
  t.equal((await change(ids.bob, { note: null })).body.note, undefined);
  const users = (query: string) => pages(control, `${SHOW}/orders?${query}`, 'user');
  t.same(await users('fulfillment=fulfilled'), [['ann']]);
  t.same(await users('fulfillment=unfulfilled'), [['=eva+', 'bob']]);
  const csv = (await request(`${SHOW}/orders/export?user=ann`)).text;
  t.ok(csv.endsWith('false,fulfilled,DHL 42,"a\ngift",confirmed,,,\r\n'), csv);
  t.match(await change(ids.open, fulfilled), {
    status: 409,
    body: { code: 'illegal_move', detail: 'This is a hold: confirm or release it.', details: { state: 'held' } },
  });
  t.match(await request(`${SHOW}/orders/${ids.open}`), { status: 404, body: { code: 'reservation_not_found' } });
  t.match(await change('nothing', fulfilled), {
    status: 404,
    body: { code: 'reservation_not_found', detail: /takes the id of the reservation: GET …\/orders\?orderRef=REF/ },
  });
  for (const body of [{}, { note: '' }, { tracking: 'a\nb' }, { fulfillment: 'sent' }, { notes: 'x' }])
    t.match(await change(ids.ann, body), INVALID, JSON.stringify(body));

  await post(`${SHOW}/reservations/${ids.open}/release`);
  await post(`${SHOW}/end`);
  t.match((await change(ids.ann, { tracking: 'DHL 43' })).body, { tracking: 'DHL 43' }, 'also after the end');
  const before = (await request(`${SHOW}/orders?user=ann`)).body.orders;
  await post(`${SHOW}/archive`);
  t.same((await request(`${SHOW}/orders?user=ann`)).body.orders, before);
  t.match(await change(ids.ann, fulfilled), { status: 410, body: { code: 'show_archived' } });
});

t.test('a page reads a bounded part of the ledger, and names what cannot be read (I9)', async (t) => {
  const control = await startControl(t);
  const { redis, keyPrefix } = control;
  const ids = await sellSome(control);
  const pipeline = redis.client().pipeline();
  const refusal = packr.pack(['gate', 'drop', false, false, 'system', '', 'sold_out', false, { count: 1 }]);
  const key = `${keyPrefix}{gala}:ledger`;
  for (let i = 0; i < LIMITS.listedSlicesMax * LIMITS.archivePageEntries; i++) pipeline.xadd(key, '*', 'e', refusal);
  pipeline.hset(`${keyPrefix}{gala}:reservations`, ids.eve as string, 'damaged');
  await pipeline.exec();
  const found = await pages(control, `${SHOW}/reservations?order=newest`, 'user');
  t.same(found, [[], ['open', '=eva+', 'bob', 'ann']]);
  const { body } = await control.request(`${SHOW}/reservations?order=oldest&limit=4`);
  t.same(body.unreadable, [ids.eve]);

  const reservations = `${keyPrefix}{gala}:reservations`;
  const record = packr.unpack((await redis.client().hgetBuffer(reservations, ids.ann as string)) as Buffer);
  record[14] = { refundedAt: 'never' };
  await redis.client().hset(reservations, ids.ann as string, packr.pack(record));
  const orders = await control.request(`${SHOW}/orders?order=oldest`);
  t.match(orders, { status: 200, body: { unreadable: [ids.ann] } }, 'a time that is none');
});

const CSV = [
  'id,orderRef,sale,user,sku,product,brand,qty,price,itemAmount,amount,currency,createdAt,confirmedAt,' +
    'offer,fulfillment,tracking,note,state,refundedAt,restocked,refundReason',
  'ID,"o ""2"", two",drop,bob,BAG,bag,zeta,1,4900,4900,4900,EUR,TIME,TIME,false,unfulfilled,,,confirmed,,,',
  'ID,o-1,drop,ann,TEE-M,tee,acme,2,1999,3998,3998,EUR,TIME,TIME,false,unfulfilled,,,confirmed,,,',
  "ID,'=1+1,drop,'=eva+,TEE-M,tee,acme,1,1999,1999,1999,EUR,TIME,TIME,false,unfulfilled,,,confirmed,,,",
  '',
];
const plain = (text: string) => text.replace(/^[rw][\w-]{20}/gm, 'ID').replace(/20\d\d-[\dT:.-]+Z/g, 'TIME');

async function linesOf({ request }: Control, path: string): Promise<Json[]> {
  const { status, text, headers } = await request(`${SHOW}/${path}`);
  const type = headers['content-type'];
  if (status !== 200 || type !== 'application/jsonl; charset=utf-8') throw new Error(`${type}: ${text}`);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

t.test('orders are exported as CSV and JSON Lines while a show is live, ended and archived', async (t) => {
  const control = await startControl(t);
  const { request, post } = control;
  const ids = await sellSome(control);
  const checkOrders = async (isArchived = false): Promise<void> => {
    const file = await request(`${SHOW}/orders/export?bom=1`);
    t.equal(file.headers['content-type'], 'text/csv; charset=utf-8; header=present');
    t.equal(file.headers['content-disposition'], 'attachment; filename="gala-orders.csv"');
    t.equal(file.text.codePointAt(0), 0xfeff);
    const rows = plain(file.text.slice(1)).split('\r\n');
    // The rows of an archive are in no order.
    t.same(isArchived ? [rows[0], ...rows.slice(1).sort()] : rows, isArchived ? [CSV[0], ...CSV.slice(1).sort()] : CSV);
    const listed = (await request(`${SHOW}/orders?order=oldest`)).body.orders;
    t.strictSame(await linesOf(control, 'orders/export?format=jsonl'), listed);
    t.same(await pages(control, `${SHOW}/orders?limit=2`, 'user').then((all) => all.flat().sort()), [
      '=eva+',
      'ann',
      'bob',
    ]);
    t.same(
      (await linesOf(control, 'orders/export?format=jsonl&brand=zeta')).map(({ user }) => user),
      ['bob'],
    );
    t.equal((await request(`${SHOW}/orders/export?user=none`)).text, `${CSV[0]}\r\n`);
  };
  await checkOrders();
  const held = (await linesOf(control, 'reservations/export?format=jsonl&state=held')).map(({ user }) => user);
  t.same(held, ['open']);
  await post(`${SHOW}/reservations/${ids.open}/extend`, { byMs: 5_000 });
  await post(`${SHOW}/reservations/${ids.open}/release`);
  await post(`${SHOW}/end`);
  await checkOrders();
  const before = await linesOf(control, 'reservations/export?format=jsonl');
  const orders = (await request(`${SHOW}/orders`)).body.orders;
  t.equal((await post(`${SHOW}/archive`)).status, 200);
  await checkOrders(true);
  const after = await linesOf(control, 'reservations/export?format=jsonl');
  const untimed = (rows: Json[]) =>
    rows.map(({ createdAt: _c, heldUntil: _h, endedAt: _e, ...row }) => row).sort((a, b) => (a.id < b.id ? -1 : 1));
  t.strictSame(untimed(after), untimed(before), 'the ledger of the archive has all of it');
  for (const row of after) {
    const was = before.find(({ id }) => id === row.id);
    for (const field of ['createdAt', 'heldUntil', 'endedAt'])
      t.ok(Math.abs(row[field] - was[field]) < 1_000, `${field}: ${row[field]}, before ${was[field]}`);
  }
  const listed = (await request(`${SHOW}/orders`)).body.orders;
  t.same(new Set(listed), new Set(orders), 'orders stay as they were');
  t.same(await pages(control, `${SHOW}/reservations?limit=2&state=released`, 'user'), [['eve', 'open']]);
  t.match(await request(`${SHOW}/orders?after=1-0.0`), INVALID);

  const other = await startControl(t, { beside: control, archives: { ...control.archives, readBooked: missing } });
  t.match(await other.request(`${SHOW}/orders/export`), { status: 503, body: { code: 'archive_failed' } });
});

const missing = async () => ({ ok: false, error: { code: 'archive_failed', message: 'missing' } }) as const;

/** Sends a request on a raw socket that reads nothing. */
async function silentReader(t: Test, { app }: Control, path: string) {
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\n\r\n`);
  return socket;
}

t.test('an export reads no further than its reader, and ends with it (I9)', async (t) => {
  const beside = await startControl(t);
  await planShow(beside);
  const item = { sku: 'TEE-M', qty: 1, price: 1 };
  const booked = {
    id: `r${'x'.repeat(20)}`,
    sale: 'drop',
    user: 'u'.repeat(200),
    state: 'held',
    lines: [item],
  } as const;
  const page = Array(500).fill({ ...booked, amount: 1, currency: 'EUR', createdAt: 1, heldUntil: 1 });
  let reads = 0;
  const listBooked = async () => {
    reads += 1;
    return ok({ items: page, next: 'more' });
  };
  for (const exportIdleMs of [300, 60_000]) {
    const store = { ...beside.store, listBooked };
    const control = await startControl(t, { beside, store, options: { exportIdleMs } });
    const socket = await silentReader(t, control, `${SHOW}/reservations/export`);
    const start = reads;
    for (let before = -1; reads === start || reads !== before; await sleep(100)) before = reads;
    t.ok(reads - start < 200, `${reads - start} pages were read`);
    const ended = reads;
    const leaves = exportIdleMs > 1_000;
    if (leaves) socket.destroy();
    await until(async () => (await countOpen(control)) === 0, 'the connection is closed');
    t.equal(reads, ended, leaves ? 'nothing is read for a reader that is gone' : 'a reader that takes nothing is gone');
  }
});

const countOpen = ({ app }: Control): Promise<number> =>
  new Promise((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
