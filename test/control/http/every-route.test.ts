/** Every route that changes something takes an `Idempotency-Key`. A new route fails this file. */
import t from 'tap';
import type { CommandMeta } from '../../../src/domain/command.ts';
import { LIMITS } from '../../../src/limits.ts';
import { ok } from '../../../src/protocol/codes.ts';
import {
  type Control,
  hold,
  type Json,
  OTHER_API_KEY,
  planShow,
  type RequestOptions,
  type Response,
  sendChat,
  startControl,
} from '../harness.ts';
import { twoProcesses } from '../two-processes.ts';

type Holds = Record<'ann' | 'bob' | 'eve' | 'announced', string>;
type Method = NonNullable<RequestOptions['method']>;
type Call = [path: string, body?: Json];

interface Case {
  /** The path is relative to the show. */
  call: (holds: Holds) => Call;
  /** Another request with the same method, to which the key of `call` must not apply. */
  other: (holds: Holds) => Call;
  before?: Array<[Method, ...Call]>;
}

const tee = { brand: 'acme', title: 'Tee II', skus: [{ sku: 'TEE-M' }] };
const units = { sku: 'TEE-M', delta: 1 };
const plan = { title: 'Plan', currency: 'EUR', skus: [{ sku: 'TEE-M', product: 'tee', price: 100, quantity: 3 }] };
const to = (call: Call, other: Call): Case => ({ call: () => call, other: () => other });
const move = (path: string, body?: Json): Case => to([`/sales/${path}`, body], ['/sales/drop/units', units]);
const reservation = (path: string, body: Json, otherBody: Json): Case => ({
  call: ({ ann }) => [`/reservations/${ann}/${path}`, body],
  other: ({ ann }) => [`/reservations/${ann}/${path}`, otherBody],
});
const order = (orderRef: string): Json => ({ orderRef, amount: 4900 });
const token = { user: 'u-1', name: 'Ada', role: 'buyer' };

const OVER: Case['before'] = [
  ['POST', '/sales/drop/cancel'],
  ['POST', '/end'],
];

const CASES: Record<string, Case> = {
  'PATCH /v1/shows/:show': to(['', { title: 'Gala II' }], ['', { title: 'Gala III' }]),
  'POST /v1/shows/:show/clone': to(['/clone', { title: 'Copy' }], ['/clone', { title: 'Other' }]),
  'POST /v1/shows/:show/start': to(['/start'], ['/end']),
  'POST /v1/shows/:show/end': to(['/end'], ['/start']),
  'POST /v1/shows/:show/archive': { ...to(['/archive'], ['/end']), before: OVER },
  'DELETE /v1/shows/:show': { ...to([''], ['/products/tee']), before: OVER },
  'POST /v1/shows/:show/pin': to(['/pin', { product: 'tee' }], ['/pin', { product: null }]),
  'POST /v1/shows/:show/announcements': to(['/announcements', { text: 'Soon!' }], ['/announcements', { text: 'Now!' }]),
  'DELETE /v1/shows/:show/announcements': to(['/announcements'], ['/products/tee']),
  'DELETE /v1/shows/:show/announcements/:announcement': {
    call: ({ announced }) => [`/announcements/${announced}`],
    other: () => ['/announcements'],
  },
  'PUT /v1/shows/:show/products/:product': to(['/products/tee', tee], ['/products/bag', tee]),
  'POST /v1/shows/:show/products/import': to(
    ['/products/import', { products: [{ ...tee, id: 'cap' }] }],
    ['/products/import', { products: [{ ...tee, id: 'hat' }] }],
  ),
  'DELETE /v1/shows/:show/products/:product': {
    ...to(['/products/tee'], ['/products/bag']),
    before: [
      ['POST', '/sales/drop/cancel'],
      ['POST', '/sales/later/cancel'],
    ],
  },
  'DELETE /v1/shows/:show/chat/:message': to(['/chat/1'], ['/chat/2']),
  'PUT /v1/shows/:show/mutes/:user': to(['/mutes/ann', { forMs: 60_000 }], ['/mutes/ann', { forMs: 90_000 }]),
  'DELETE /v1/shows/:show/mutes/:user': to(['/mutes/ann'], ['/mutes/bob']),
  'POST /v1/shows/:show/sales': to(['/sales', plan], ['/sales', { ...plan, title: 'Another' }]),
  'PATCH /v1/shows/:show/sales/:sale': to(['/sales/later', { title: 'A' }], ['/sales/later', { title: 'B' }]),
  'DELETE /v1/shows/:show/sales/:sale': to(['/sales/later'], ['/sales/drop']),
  'POST /v1/shows/:show/sales/:sale/schedule': move('later/schedule', { opensInMs: 600_000 }),
  'POST /v1/shows/:show/sales/:sale/open': move('later/open'),
  'POST /v1/shows/:show/sales/:sale/pause': move('drop/pause'),
  'POST /v1/shows/:show/sales/:sale/resume': { ...move('drop/resume'), before: [['POST', '/sales/drop/pause']] },
  'POST /v1/shows/:show/sales/:sale/extend': move('drop/extend', { byMs: 60_000 }),
  'POST /v1/shows/:show/sales/:sale/end': move('drop/end'),
  'POST /v1/shows/:show/sales/:sale/cancel': move('drop/cancel'),
  'POST /v1/shows/:show/sales/:sale/units': move('drop/units', { sku: 'BAG', delta: 7 }),
  'POST /v1/shows/:show/reservations/:reservation/confirm': reservation('confirm', order('o-1'), order('o-2')),
  'POST /v1/shows/:show/reservations/:reservation/release': {
    call: ({ ann }) => [`/reservations/${ann}/release`],
    other: ({ bob }) => [`/reservations/${bob}/release`],
  },
  'PATCH /v1/shows/:show/orders/:order': {
    call: ({ eve }) => [`/orders/${eve}`, { note: 'one' }],
    other: ({ eve }) => [`/orders/${eve}`, { note: 'two' }],
  },
  'POST /v1/shows/:show/orders/:order/refund': {
    call: ({ eve }) => [`/orders/${eve}/refund`, { reason: 'one' }],
    other: ({ eve }) => [`/orders/${eve}/refund`, { reason: 'two' }],
  },
  'POST /v1/shows/:show/reservations/:reservation/extend': reservation('extend', { byMs: 1_000 }, { byMs: 2_000 }),
  'POST /v1/shows/:show/reconcile': to(['/reconcile'], ['/start']),
  'POST /v1/shows/:show/tokens': to(['/tokens', token], ['/tokens', { ...token, role: 'host' }]),
  'POST /v1/shows/:show/demo-tokens': to(['/demo-tokens', { name: 'Ada' }], ['/demo-tokens', { name: 'Eve' }]),
};

/** Returns all mutating routes of the router. */
function mutatingRoutes({ app }: Control): string[] {
  const path: string[] = [];
  const routes: string[] = [];
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (\S+) \((.+)\)$/.exec(line) ?? [];
    if (part === '') continue;
    path.splice(indent.length / 4, Number.POSITIVE_INFINITY, part);
    for (const method of methods.split(', '))
      if (!['GET', 'HEAD', 'OPTIONS'].includes(method)) routes.push(`${method} ${path.join('')}`);
  }
  return routes;
}

async function prepare(control: Control, show: string): Promise<Holds> {
  await planShow(control, { opensInMs: 0, durationMs: 600_000 }, show);
  await control.post(`/v1/shows/${show}/sales`, { ...plan, id: 'later' });
  await sendChat(control, show, 'ann', 'one', 'two');
  const eve = await hold(control, show, 'eve', 'BAG', 1);
  await control.post(`/v1/shows/${show}/reservations/${eve}/confirm`, order('o-0'));
  const [ann, bob] = [await hold(control, show, 'ann', 'BAG', 1), await hold(control, show, 'bob', 'BAG', 1)];
  const announced = (await control.post(`/v1/shows/${show}/announcements`, { text: 'Now' })).body.offset;
  return { ann, bob, eve, announced };
}

/** Returns what must be equal in a repeat. `replayed` differs by definition. */
function comparable({ status, headers, body }: Response): unknown {
  const { replayed: _replayed, ...rest } = body ?? {};
  return { status, location: headers.location, body: rest };
}

const REPLAYED = 'idempotent-replayed';
const CONFLICT = { status: 409, body: { code: 'idempotency_conflict' } };

t.test('every mutating route records its key (I4)', async (t) => {
  const { slow, quick, closeGate, markers } = await twoProcesses(t);
  const routes = new Set([...Object.keys(CASES), 'POST /v1/shows', 'DELETE /v1/users/:user']);
  t.strictSame(new Set(mutatingRoutes(quick)), routes, 'every mutating route has a case');

  for (const [n, [route, { call, other, before }]] of Object.entries(CASES).entries()) {
    await t.test(route, async (t) => {
      const show = `show-${n}`;
      const holds = await prepare(quick, show);
      const send = (control: Control, method: string, [path, body]: Call, key?: string): Promise<Response> => {
        const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
        return control.request(`/v1/shows/${show}${path}`, { method: method as Method, body, headers });
      };
      const method = route.split(' ')[0] ?? '';
      const repeat = (control: Control, key: string) => send(control, method, call(holds), key);
      for (const [first, ...step] of before ?? []) await send(quick, first, step);

      const errors = [{ path: 'headers/idempotency-key' }];
      t.match(await repeat(quick, 'a b'), { status: 400, body: { code: 'invalid_request', errors } });

      const openGate = closeGate();
      const running = repeat(slow, 'k');
      await markers(show);
      const inProgress = { status: 409, body: { code: 'idempotency_in_progress', retryAfterMs: 500 } };
      for (const control of [slow, quick]) t.match(await repeat(control, 'k'), inProgress);
      openGate();
      const first = await running;
      t.match(first.status, /^20[014]$/, first.text);
      t.equal(first.headers[REPLAYED], undefined);

      // Later changes do not change the recorded response.
      await send(quick, 'PATCH', ['', { title: 'Much later' }]);
      await send(quick, 'POST', ['/sales/drop/units', units]);
      for (const control of [quick, slow]) {
        const again = await repeat(control, '"k"');
        t.strictSame(comparable(again), comparable(first));
        t.equal(again.headers[REPLAYED], 'true');
        t.match(await send(control, method, other(holds), 'k'), CONFLICT);
      }
      t.strictSame(comparable(await repeat(quick, 'k')), comparable(first), 'a conflict changes nothing');
    });
  }
});

t.test('a show is created once per key, with and without an id', async (t) => {
  const { slow, quick } = await twoProcesses(t);
  for (const body of [{ title: 'Named by the engine' }, { id: 'mine', title: 'Named by me' }]) {
    const key = { 'idempotency-key': body.title.replaceAll(' ', '-') };
    const first = await slow.post('/v1/shows', body, key);
    t.equal(first.status, 201, first.text);
    t.equal((await quick.post(`/v1/${first.headers.location}/start`)).body.state, 'live');
    const again = await quick.post('/v1/shows', body, key);
    t.strictSame(comparable(again), comparable(first), 'as it was planned');
    t.equal(again.headers[REPLAYED], 'true');
    t.match(await quick.post('/v1/shows', { ...body, title: 'Another' }, key), CONFLICT);
    t.match(await quick.post('/v1/shows', { ...body, id: 'another' }, key), CONFLICT);
  }
  const empty = await quick.post('/v1/shows', { title: 'x' }, { 'idempotency-key': '' });
  t.match(empty, { status: 400, body: { code: 'invalid_request' } });
  t.equal((await quick.request('/v1/shows')).body.shows.length, 2);
  const unnamed = [await quick.post('/v1/shows', { title: 'Gala' }), await quick.post('/v1/shows', { title: 'Gala' })];
  t.not(unnamed[0]?.body.id, unnamed[1]?.body.id, 'without a key each request creates a show');
});

const key = { 'idempotency-key': 'once' };

t.test('a recorded response is kept for a day in the slot of its show', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  await control.post('/v1/shows/gala/pin', { product: 'tee' }, key);
  const client = control.redis.client();
  const [name = '', ...more] = await client.keys(`${control.keyPrefix}*:answer:*`);
  t.same(more, []);
  t.ok(name.startsWith(`${control.keyPrefix}{gala}:`));
  const leftMs = await client.pttl(name);
  t.ok(leftMs > LIMITS.idempotencyTtlMs - 60_000 && leftMs <= LIMITS.idempotencyTtlMs, `${leftMs} ms to live`);
});

t.test('after a marker expired early two commands run, and the response recorded first is the one', async (t) => {
  const { store, redis, keyPrefix } = await startControl(t);
  const client = redis.client();
  const replayed: string[] = [];
  const command = (name: string): CommandMeta => ({
    key: 'k',
    actor: 'host:studio',
    onReplayed: () => void replayed.push(name),
  });
  const result = await store.once('gala', command('first'), { x: 1 }, async () => {
    await client.del(await client.keys(`${keyPrefix}*:running:*`));
    t.same(await store.once('gala', command('second'), { x: 1 }, async () => ok('the second')), ok('the second'));
    return ok('the first');
  });
  t.same(result, ok('the second'));
  t.same(replayed, ['first']);
});

t.test('a response that cannot be recorded is not sent, and the repeat runs again', async (t) => {
  const { store, redis, keyPrefix } = await startControl(t);
  const client = redis.client();
  const command = { key: 'k', actor: 'host:studio' };
  let record = '';
  const refused = await store.once('gala', command, {}, async () => {
    const [marker = ''] = await client.keys(`${keyPrefix}*:running:*`);
    record = marker.replace(':running:', ':answer:');
    await client.lpush(record, 'of another type');
    return ok('lost');
  });
  t.match(refused, { ok: false, error: { code: 'internal', message: /repeat it with the same key/i } });
  await client.del(record);
  t.same(await store.once('gala', command, {}, async () => ok('again')), ok('again'));
});

t.test('if a process died between a change and its record, the repeat runs again (I8)', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const client = control.redis.client();
  /** Repeats a request after its record was deleted, as after such a death. */
  const twice = async (request: () => Promise<Response>): Promise<[Response, Response]> => {
    const first = await request();
    await client.del(await client.keys(`${control.keyPrefix}*:answer:*`));
    return [first, await request()];
  };
  const created = await twice(() => control.post('/v1/shows', { title: 'Once' }, key));
  t.strictSame(created[1].body, created[0].body, 'the id is derived from the key');
  t.equal((await control.request('/v1/shows')).body.shows.length, 2);
  t.match(await control.post('/v1/shows', { title: 'Twice' }, key), CONFLICT);
  const pinned = await twice(() =>
    control.post('/v1/shows/gala/pin', { product: 'tee' }, { 'idempotency-key': 'pin' }),
  );
  t.strictSame(pinned[1].body, pinned[0].body);
  const headers = { 'idempotency-key': 'gone' };
  const cap = { brand: 'acme', title: 'Cap', skus: [{ sku: 'CAP' }] };
  await control.request('/v1/shows/gala/products/cap', { method: 'PUT', body: cap });
  const removed = await twice(() => control.request('/v1/shows/gala/products/cap', { method: 'DELETE', headers }));
  t.same([removed[0].status, removed[1].body.code], [204, 'product_not_found']);
});

t.test('a failure is not recorded, and two keys or two actors are two commands', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const pin = (product: string, apiKey?: string): Promise<Response> =>
    control.request('/v1/shows/gala/pin', {
      method: 'POST',
      body: { product },
      headers: key,
      ...(apiKey ? { key: apiKey } : {}),
    });
  t.equal((await pin('hat')).body.code, 'product_not_found');
  const hat = { brand: 'acme', title: 'Hat', skus: [{ sku: 'HAT' }] };
  await control.request('/v1/shows/gala/products/hat', { method: 'PUT', body: hat });
  t.equal((await pin('hat')).body.pinned, 'hat');
  t.equal((await pin('tee', OTHER_API_KEY)).body.pinned, 'tee');
  t.equal((await pin('hat')).body.pinned, 'hat', 'the recorded response');
  t.equal((await control.request('/v1/shows/gala')).body.pinned, 'tee', 'the repeat pinned nothing');
});

t.test('on a route without an API key, an idempotency key belongs to an address', async (t) => {
  const control = await startControl(t, { options: { demoTokens: true } });
  await planShow(control);
  const mint = async (remoteAddress: string): Promise<string> => {
    const body = { method: 'POST', payload: { name: 'Ada' }, headers: key } as const;
    const response = await control.app.inject({ ...body, url: '/v1/shows/gala/demo-tokens', remoteAddress });
    return response.json().token;
  };
  const minted = await mint('203.0.113.1');
  t.equal(await mint('203.0.113.1'), minted);
  t.not(await mint('203.0.113.2'), minted);
});
