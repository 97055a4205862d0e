import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { type Control, planShow, startControl } from './harness.ts';

const key = { 'idempotency-key': '5f0c8e2a-units' };

t.test('the same key and body change the stock once', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const at = '/v1/shows/gala/sales/drop/units';
  const first = await control.post(at, { sku: 'BAG', delta: 7 }, key);
  const second = await control.post(at, { delta: 7, sku: 'BAG' }, key);
  t.equal(first.status, 200, first.text);
  t.strictSame(second.body, first.body, 'the recorded answer, whatever the order of the fields');
  t.equal((await control.post(at, { sku: 'BAG', delta: 8 }, key)).body.code, 'idempotency_conflict');
  const bag = (await control.ask('/v1/shows/gala/sales/drop')).body.skus.find(
    (sku: { sku: string }) => sku.sku === 'BAG',
  );
  t.equal(bag.allocated, 12);
});

t.test('a sale is planned once, and its repeat long after the window still gets the recorded answer', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const now = control.store.now();
  const body = {
    title: 'Blitz',
    currency: 'EUR',
    opensAt: Math.floor(now) - 5,
    closesAt: Math.floor(now) + 1_100,
    skus: [{ sku: 'BAG', product: 'bag', price: 1, quantity: 1 }],
  };
  const first = await control.post('/v1/shows/gala/sales', body, key);
  t.equal(first.status, 201, first.text);
  await sleep(1_300);
  const second = await control.post('/v1/shows/gala/sales', body, key);
  t.equal(second.status, 201, second.text);
  t.strictSame(second.body, first.body);
});

t.test('one key is one command, of whatever kind: recorded by scripts or kept after them', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const named = (name: string): Record<string, string> => ({ 'idempotency-key': name });
  const commands: Array<(name: string) => Promise<{ status: number; body: { code?: string } }>> = [
    (name) => control.post('/v1/shows/gala/sales/drop/units', { sku: 'BAG', delta: 1 }, named(name)),
    (name) => control.post('/v1/shows/gala/announcements', { text: 'Soon!' }, named(name)),
    (name) => control.post('/v1/shows/gala/tokens', { user: 'ann', role: 'viewer', name: 'Ann' }, named(name)),
    (name) =>
      control.ask('/v1/shows/gala/products/hat', {
        method: 'PUT',
        body: { brand: 'acme', title: 'Hat', skus: [{ sku: 'HAT' }] },
        headers: named(name),
      }),
  ];
  for (const [i, first] of commands.entries()) {
    const used = await first(`key-${i}`);
    t.ok(used.status < 300, JSON.stringify(used.body));
    for (const [j, other] of commands.entries()) {
      const again = await other(`key-${i}`);
      if (i === j) t.ok(again.status < 300, `${i} again`);
      else t.match(again, { status: 409, body: { code: 'idempotency_conflict' } }, `${j} with the key of ${i}`);
    }
  }
});

t.test('without a key every request is a command of its own', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const at = '/v1/shows/gala/sales/drop/units';
  await control.post(at, { sku: 'BAG', delta: 1 });
  const twice = await control.post(at, { sku: 'BAG', delta: 1 });
  t.equal(twice.body.skus[1].allocated, 7);
});

/** Two processes on one Redis; what the first does to a sale waits until it is let go. */
async function twoOffices(t: Test): Promise<{ slow: Control; quick: Control; letGo: () => void }> {
  const quick = await startControl(t);
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const moveSale: Control['store']['moveSale'] = async (...args) => {
    await held;
    return quick.store.moveSale(...args);
  };
  const slow = await startControl(t, { beside: quick, store: { ...quick.store, moveSale } });
  await planShow(quick);
  return { slow, quick, letGo };
}

const units = '/v1/shows/gala/sales/drop/units';
const marker = (control: Control): Promise<string[]> =>
  control.redis.client().keys(`${control.keyPrefix}{gala}:running:*`);

t.test(
  'while the first runs on one process, a second with its key waits on every process; another key holder does not',
  async (t) => {
    const { slow, quick, letGo } = await twoOffices(t);
    const first = slow.post(units, { sku: 'BAG', delta: 1 }, key);
    while ((await marker(quick)).length === 0) await sleep(5);
    for (const control of [slow, quick]) {
      const second = await control.post(units, { sku: 'BAG', delta: 1 }, key);
      t.equal(second.status, 409);
      t.match(second.body, { code: 'idempotency_in_progress', retryAfterMs: 500 });
    }
    const other = await quick.ask(units, {
      method: 'POST',
      body: { sku: 'BAG', delta: 1 },
      headers: key,
      key: 'office-secret-0123456789',
    });
    t.equal(other.status, 200);
    letGo();
    const answered = await first;
    t.equal(answered.status, 200);
    t.same(await marker(quick), [], 'nothing is left behind');
    t.strictSame(
      (await quick.post(units, { sku: 'BAG', delta: 1 }, key)).body,
      answered.body,
      'afterwards the recorded answer comes, elsewhere too',
    );
    t.equal((await quick.post(units, { sku: 'BAG', delta: 2 }, key)).body.code, 'idempotency_conflict');
  },
);

t.test('the marker of a process that died lapses; then the key decides', async (t) => {
  const { slow, quick, letGo } = await twoOffices(t);
  const first = slow.post(units, { sku: 'BAG', delta: 1 }, key);
  while ((await marker(quick)).length === 0) await sleep(5);
  const [name = ''] = await marker(quick);
  const client = quick.redis.client();
  const leftMs = await client.pttl(name);
  t.ok(leftMs > 0 && leftMs <= LIMITS.commandMarkerMs, `${leftMs} ms to live`);
  await client.pexpire(name, 1);
  await sleep(5);
  const second = await quick.post(units, { sku: 'BAG', delta: 1 }, key);
  t.equal(second.status, 200);
  // A third has the key now, and the first, late, must not take the marker from it.
  await client.set(name, 'somebody else');
  letGo();
  t.strictSame((await first).body, second.body, 'whoever comes second gets the recorded answer');
  t.equal(await client.get(name), 'somebody else');
});

t.test('a failed command is no longer running', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  for (let i = 0; i < 2; i++)
    t.equal((await control.post(units, { sku: 'NONE', delta: 1 }, key)).body.code, 'sku_not_found');
});

t.test('an announcement with a key is heard once, and told again where it stands', async (t) => {
  const control = await startControl(t);
  const other = await startControl(t, { beside: control });
  await planShow(control);
  const at = '/v1/shows/gala/announcements';
  const first = await control.post(at, { text: 'Soon!' }, key);
  t.equal(first.status, 201, first.text);
  const second = await other.post(at, { text: 'Soon!' }, key);
  t.equal(second.status, 201);
  t.strictSame(second.body, first.body);
  t.equal((await other.post(at, { text: 'Now!' }, key)).body.code, 'idempotency_conflict');
  t.not((await control.post(at, { text: 'Soon!' })).body.offset, first.body.offset, 'without a key it is said again');
});

t.test('a show without an id is made once per key', async (t) => {
  const control = await startControl(t);
  const first = await control.post('/v1/shows', { title: 'Gala' }, key);
  t.equal(first.status, 201, first.text);
  t.strictSame((await control.post('/v1/shows', { title: 'Gala' }, key)).body, first.body);
  t.equal((await control.post('/v1/shows', { title: 'Another' }, key)).body.code, 'idempotency_conflict');
  t.not((await control.post('/v1/shows', { title: 'Gala' })).body.id, first.body.id);
});
