/**
 * Whatever changes something takes an `Idempotency-Key`, proven on every route there is: one that
 * this file does not know fails it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { CommandMeta } from '../../src/domain/command.ts';
import { LIMITS } from '../../src/limits.ts';
import { ok } from '../../src/protocol/codes.ts';
import { type Answer, type Ask, type Control, type Json, planShow, say, startControl } from './harness.ts';

/** Holds of the show's buyers on one bag each. */
interface Holds {
  ann: string;
  bob: string;
}
type Call = [path: string, body?: Json];

interface Case {
  /** Below the show's address. */
  call: (holds: Holds) => Call;
  /**
   * Another request by the same method and pattern, or by another pattern where this one leaves no
   * choice.
   */
  other: (holds: Holds) => Call;
  before?: Array<[Ask['method'], ...Call]>;
}

const tee = { brand: 'acme', title: 'Tee II', skus: [{ sku: 'TEE-M' }] };
const units = { sku: 'TEE-M', delta: 1 };
const plan = { title: 'Plan', currency: 'EUR', skus: [{ sku: 'TEE-M', product: 'tee', price: 100, quantity: 3 }] };
const move = (path: string, body?: Json): Pick<Case, 'call' | 'other'> => ({
  call: () => [`/sales/${path}`, body],
  other: () => ['/sales/drop/units', units],
});

const CASES: Record<string, Case> = {
  'PATCH /v1/shows/:show': { call: () => ['', { title: 'Gala II' }], other: () => ['', { title: 'Gala III' }] },
  'POST /v1/shows/:show/start': { call: () => ['/start'], other: () => ['/end'] },
  'POST /v1/shows/:show/end': { call: () => ['/end'], other: () => ['/start'] },
  'POST /v1/shows/:show/pin': { call: () => ['/pin', { product: 'tee' }], other: () => ['/pin', { product: null }] },
  'POST /v1/shows/:show/announcements': {
    call: () => ['/announcements', { text: 'Soon!' }],
    other: () => ['/announcements', { text: 'Now!' }],
  },
  'PUT /v1/shows/:show/products/:product': { call: () => ['/products/tee', tee], other: () => ['/products/bag', tee] },
  'DELETE /v1/shows/:show/products/:product': { call: () => ['/products/tee'], other: () => ['/products/bag'] },
  'DELETE /v1/shows/:show/chat/:message': { call: () => ['/chat/1'], other: () => ['/chat/2'] },
  'PUT /v1/shows/:show/mutes/:user': {
    call: () => ['/mutes/ann', { forMs: 60_000 }],
    other: () => ['/mutes/ann', { forMs: 90_000 }],
  },
  'DELETE /v1/shows/:show/mutes/:user': { call: () => ['/mutes/ann'], other: () => ['/mutes/bob'] },
  'POST /v1/shows/:show/sales': {
    call: () => ['/sales', plan],
    other: () => ['/sales', { ...plan, title: 'Another' }],
  },
  'POST /v1/shows/:show/sales/:sale/schedule': move('later/schedule', { opensInMs: 600_000 }),
  'POST /v1/shows/:show/sales/:sale/open': move('later/open'),
  'POST /v1/shows/:show/sales/:sale/pause': move('drop/pause'),
  'POST /v1/shows/:show/sales/:sale/resume': { ...move('drop/resume'), before: [['POST', '/sales/drop/pause']] },
  'POST /v1/shows/:show/sales/:sale/extend': move('drop/extend', { byMs: 60_000 }),
  'POST /v1/shows/:show/sales/:sale/end': move('drop/end'),
  'POST /v1/shows/:show/sales/:sale/cancel': move('drop/cancel'),
  'POST /v1/shows/:show/sales/:sale/units': move('drop/units', { sku: 'BAG', delta: 7 }),
  'POST /v1/shows/:show/reservations/:reservation/confirm': {
    call: ({ ann }) => [`/reservations/${ann}/confirm`, { orderRef: 'o-1', amount: 4900 }],
    other: ({ ann }) => [`/reservations/${ann}/confirm`, { orderRef: 'o-2', amount: 4900 }],
  },
  'POST /v1/shows/:show/reservations/:reservation/release': {
    call: ({ ann }) => [`/reservations/${ann}/release`],
    other: ({ bob }) => [`/reservations/${bob}/release`],
  },
  'POST /v1/shows/:show/reservations/:reservation/extend': {
    call: ({ ann }) => [`/reservations/${ann}/extend`, { byMs: 1_000 }],
    other: ({ ann }) => [`/reservations/${ann}/extend`, { byMs: 2_000 }],
  },
  'POST /v1/shows/:show/reconcile': { call: () => ['/reconcile'], other: () => ['/start'] },
  'POST /v1/shows/:show/tokens': {
    call: () => ['/tokens', { user: 'u-1', name: 'Ada', role: 'buyer' }],
    other: () => ['/tokens', { user: 'u-1', name: 'Ada', role: 'host' }],
  },
  'POST /v1/shows/:show/demo-tokens': {
    call: () => ['/demo-tokens', { name: 'Ada' }],
    other: () => ['/demo-tokens', { name: 'Eve' }],
  },
};

/** Every route that changes something, as the router knows it. */
function mutatingRoutes({ app }: Control): string[] {
  const at: string[] = [];
  const routes: string[] = [];
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (\S+) \((.+)\)$/.exec(line) ?? [];
    if (part === '') continue;
    at.splice(indent.length / 4, Number.POSITIVE_INFINITY, part);
    for (const method of methods.split(', '))
      if (!['GET', 'HEAD', 'OPTIONS'].includes(method)) routes.push(`${method} ${at.join('')}`);
  }
  return routes;
}

const UNGATED = new Set<string | symbol>(['alone', 'once', 'now', 'nowErrorMs', 'trouble', 'durability']);

/**
 * Two processes on one Redis; while the gate of the first is closed, whatever it asks the store
 * waits.
 */
async function twoOffices(t: Test): Promise<{ slow: Control; quick: Control; closeGate: () => () => void }> {
  const options = { demoTokens: true };
  const quick = await startControl(t, { options });
  let gate: Promise<void> | undefined;
  const store = new Proxy(quick.store, {
    get(real, name) {
      const part = Reflect.get(real, name);
      if (typeof part !== 'function' || UNGATED.has(name)) return part;
      return async (...args: unknown[]) => {
        await gate;
        return part(...args);
      };
    },
  });
  const closeGate = (): (() => void) => {
    let open = (): void => {};
    gate = new Promise((resolve) => {
      open = resolve;
    });
    return open;
  };
  return { slow: await startControl(t, { beside: quick, store, options }), quick, closeGate };
}

async function prepare(control: Control, show: string): Promise<Holds> {
  await planShow(control, { opensInMs: 0, durationMs: 600_000 }, show);
  await control.post(`/v1/shows/${show}/sales`, { ...plan, id: 'later' });
  await say(control, show, 'ann', 'one', 'two');
  const hold = async (user: string): Promise<string> => {
    const [held] = await control.store.reserve(show, [
      { user, key: 'hold', sale: 'drop', lines: [{ sku: 'BAG', qty: 1 }] },
    ]);
    if (!held?.ok) throw new Error(`set-up failed: ${held?.error.message}`);
    return held.value.reservation.id;
  };
  return { ann: await hold('ann'), bob: await hold('bob') };
}

/** What a repeat must be equal in; a reservation's answer says by itself that it is repeated. */
function told({ status, headers, body }: Answer): unknown {
  const { replayed: _replayed, ...rest } = body ?? {};
  return { status, location: headers.location, body: rest };
}

const REPLAYED = 'idempotent-replayed';

t.test('every route that changes something honours its key', async (t) => {
  const { slow, quick, closeGate } = await twoOffices(t);
  const routes = mutatingRoutes(quick);
  const client = quick.redis.client();
  t.strictSame(
    new Set(routes),
    new Set([...Object.keys(CASES), 'POST /v1/shows']),
    'and every such route is known here',
  );

  for (const [n, [route, { call, other, before = [] }]] of Object.entries(CASES).entries()) {
    await t.test(route, async (t) => {
      const show = `show-${n}`;
      const holds = await prepare(quick, show);
      const method = route.split(' ')[0] as Ask['method'];
      const ask = (control: Control, [path, body]: Call, key?: string, by = method): Promise<Answer> =>
        control.ask(`/v1/shows/${show}${path}`, {
          ...(by ? { method: by } : {}),
          body,
          headers: key === undefined ? {} : { 'idempotency-key': key },
        });
      for (const [by, ...made] of before) await ask(quick, made, undefined, by);

      const malformed = await ask(quick, call(holds), 'a b');
      t.match(malformed, {
        status: 400,
        body: { code: 'invalid_request', errors: [{ path: 'headers/idempotency-key' }] },
      });

      const openGate = closeGate();
      const running = ask(slow, call(holds), 'k');
      while ((await client.keys(`${quick.keyPrefix}{${show}}:running:*`)).length === 0) await sleep(2);
      for (const control of [slow, quick])
        t.match(await ask(control, call(holds), 'k'), {
          status: 409,
          body: { code: 'idempotency_in_progress', retryAfterMs: 500 },
        });
      openGate();
      const first = await running;
      t.match(first.status, /^20[014]$/, first.text);
      t.equal(first.headers[REPLAYED], undefined);

      // The world goes on; the answer of a key does not.
      await quick.ask(`/v1/shows/${show}`, { method: 'PATCH', body: { title: 'Much later' } });
      await ask(quick, ['/sales/drop/units', units], undefined, 'POST');
      for (const control of [quick, slow]) {
        const again = await ask(control, call(holds), '"k"');
        t.strictSame(told(again), told(first));
        t.equal(again.headers[REPLAYED], 'true');
        t.match(await ask(control, other(holds), 'k'), { status: 409, body: { code: 'idempotency_conflict' } });
      }
      t.strictSame(told(await ask(quick, call(holds), 'k')), told(first), 'a conflict changes nothing');
    });
  }
});

t.test('a show is planned once per key, whoever named it', async (t) => {
  const { slow, quick } = await twoOffices(t);
  for (const body of [{ title: 'Named by the engine' }, { id: 'mine', title: 'Named by me' }]) {
    const key = { 'idempotency-key': body.title.replaceAll(' ', '-') };
    const first = await slow.post('/v1/shows', body, key);
    t.equal(first.status, 201, first.text);
    t.equal((await quick.post(`${first.headers.location}/start`)).body.state, 'live');
    const again = await quick.post('/v1/shows', body, key);
    t.strictSame(told(again), told(first), 'as it was planned');
    t.equal(again.headers[REPLAYED], 'true');
    t.equal((await quick.post('/v1/shows', { ...body, title: 'Another' }, key)).body.code, 'idempotency_conflict');
    t.equal((await quick.post('/v1/shows', { ...body, id: 'another' }, key)).body.code, 'idempotency_conflict');
  }
  t.match(await quick.post('/v1/shows', { title: 'x' }, { 'idempotency-key': '' }), {
    status: 400,
    body: { code: 'invalid_request' },
  });
  t.equal((await quick.ask('/v1/shows')).body.shows.length, 2);
});

const key = { 'idempotency-key': 'once' };

t.test('an answer is kept for a day', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  await control.post('/v1/shows/gala/pin', { product: 'tee' }, key);
  const client = control.redis.client();
  const [name = '', ...more] = await client.keys(`${control.keyPrefix}*:answer:*`);
  t.same(more, []);
  t.ok(name.startsWith(`${control.keyPrefix}{gala}:`), 'in the slot of its show');
  const leftMs = await client.pttl(name);
  t.ok(leftMs > LIMITS.idempotencyTtlMs - 60_000 && leftMs <= LIMITS.idempotencyTtlMs, `${leftMs} ms to live`);
});

t.test('a marker that lapsed too early lets two run; the answer kept first stands for both', async (t) => {
  const { store, redis, keyPrefix } = await startControl(t);
  const client = redis.client();
  const told: string[] = [];
  const as = (name: string): CommandMeta => ({
    key: 'k',
    actor: 'host:studio',
    onReplayed: () => void told.push(name),
  });
  const answers = await store.once('gala', as('first'), { x: 1 }, async () => {
    await client.del(await client.keys(`${keyPrefix}*:running:*`));
    t.same(await store.once('gala', as('second'), { x: 1 }, async () => ok('the second')), ok('the second'));
    return ok('the first');
  });
  t.same(answers, ok('the second'));
  t.same(told, ['first']);
});

t.test('an answer that cannot be kept is not given: the repeat does it again', async (t) => {
  const { store, redis } = await startControl(t);
  const client = redis.client();
  const command = { key: 'k', actor: 'host:studio' };
  const refused = await store.once('gala', command, {}, async () => {
    await client.config('SET', 'maxmemory', '1');
    return ok('lost');
  });
  t.match(refused, { ok: false, error: { code: 'redis_full', message: /carried out.*repeat it with the same key/ } });
  await client.config('SET', 'maxmemory', '0');
  t.same(await store.once('gala', command, {}, async () => ok('again')), ok('again'));
});

t.test('a process that died between the change and its answer: the repeat does it again', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const client = control.redis.client();
  /** What such a death leaves behind: the change, and no answer. */
  const twice = async (ask: () => Promise<Answer>): Promise<[Answer, Answer]> => {
    const first = await ask();
    await client.del(await client.keys(`${control.keyPrefix}*:answer:*`));
    return [first, await ask()];
  };
  const made = await twice(() => control.post('/v1/shows', { title: 'Once' }, key));
  t.strictSame(made[1].body, made[0].body, 'a show is named after its key');
  t.equal((await control.ask('/v1/shows')).body.shows.length, 2);
  t.equal((await control.post('/v1/shows', { title: 'Twice' }, key)).body.code, 'idempotency_conflict');
  const pinned = await twice(() =>
    control.post('/v1/shows/gala/pin', { product: 'tee' }, { 'idempotency-key': 'pin' }),
  );
  t.strictSame(pinned[1].body, pinned[0].body);
  const gone = await twice(() =>
    control.ask('/v1/shows/gala/products/bag', { method: 'DELETE', headers: { 'idempotency-key': 'gone' } }),
  );
  t.same([gone[0].status, gone[1].body.code], [204, 'product_not_found'], 'as the page of the API says');
});

t.test('a failure is not kept, and two keys or two actors are two commands', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const pin = (product: string, by?: string): Promise<Answer> =>
    control.ask('/v1/shows/gala/pin', { method: 'POST', body: { product }, headers: key, ...(by ? { key: by } : {}) });
  t.equal((await pin('hat')).body.code, 'product_not_found');
  await control.ask('/v1/shows/gala/products/hat', {
    method: 'PUT',
    body: { brand: 'acme', title: 'Hat', skus: [{ sku: 'HAT' }] },
  });
  t.equal((await pin('hat')).body.pinned, 'hat');
  t.equal((await pin('tee', 'office-secret-0123456789')).body.pinned, 'tee');
  t.equal((await pin('hat')).body.pinned, 'hat', 'the recorded answer');
  t.equal((await control.ask('/v1/shows/gala')).body.pinned, 'tee', 'and nothing was pinned again');
});

t.test('where anybody may ask, a key belongs to an address', async (t) => {
  const control = await startControl(t, { options: { demoTokens: true } });
  await planShow(control);
  const ask = async (remoteAddress: string): Promise<string> =>
    (
      await control.app.inject({
        method: 'POST',
        url: '/v1/shows/gala/demo-tokens',
        payload: { name: 'Ada' },
        headers: key,
        remoteAddress,
      })
    ).json().token;
  const token = await ask('203.0.113.1');
  t.equal(await ask('203.0.113.1'), token);
  t.not(await ask('203.0.113.2'), token);
});
