/** Keys that scripts record: sales, reservations, announcements. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../../src/limits.ts';
import { bookOf, OTHER_API_KEY, planShow, type Response, startControl } from '../harness.ts';
import { twoProcesses } from '../two-processes.ts';

const key = { 'idempotency-key': '5f0c8e2a-units' };
const UNITS = '/v1/shows/gala/sales/drop/units';
const bag = (delta: number) => ({ sku: 'BAG', delta });

t.test('a repeat with the same key and body changes the stock once, in any order of fields (I4)', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const first = await control.post(UNITS, { sku: 'BAG', delta: 7 }, key);
  t.equal(first.status, 200, first.text);
  t.strictSame((await control.post(UNITS, { delta: 7, sku: 'BAG' }, key)).body, first.body);
  t.equal((await control.post(UNITS, bag(8), key)).body.code, 'idempotency_conflict');
  t.equal(bookOf((await control.request('/v1/shows/gala/sales/drop')).body, 'BAG')[0], 12);
  for (let i = 0; i < 2; i++) {
    const failed = await control.post(UNITS, { sku: 'NONE', delta: 1 }, { 'idempotency-key': 'failed' });
    t.equal(failed.body.code, 'sku_not_found', 'a failure is not recorded');
  }
});

t.test('without a key each request is a separate command', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const announce = () => control.post('/v1/shows/gala/announcements', { text: 'Soon!' });
  t.not((await announce()).body.offset, (await announce()).body.offset);
  await control.post(UNITS, bag(1));
  t.equal(bookOf((await control.post(UNITS, bag(1))).body, 'BAG')[0], 7);
});

t.test('a repeat of a planned sale gets the recorded response even after the sale window', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const now = Math.floor(control.store.now());
  const skus = [{ sku: 'BAG', product: 'bag', price: 1, quantity: 1 }];
  const sale = { title: 'Blitz', currency: 'EUR', opensAt: now - 5, closesAt: now + 1_100, skus };
  const first = await control.post('/v1/shows/gala/sales', sale, key);
  t.equal(first.status, 201, first.text);
  await sleep(1_300);
  const { status, body } = await control.post('/v1/shows/gala/sales', sale, key);
  t.strictSame([status, body], [201, first.body]);
});

t.test('a key is used for one command of any kind', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const hat = { brand: 'acme', title: 'Hat', skus: [{ sku: 'HAT' }] };
  const requests = [
    ['POST', UNITS, bag(1)],
    ['POST', '/v1/shows/gala/announcements', { text: 'Soon!' }],
    ['POST', '/v1/shows/gala/tokens', { user: 'ann', role: 'viewer', name: 'Ann' }],
    ['PUT', '/v1/shows/gala/products/hat', hat],
  ] as const;
  const send = (n: number, name: string): Promise<Response> => {
    const [method = 'POST', url = '', body] = requests[n] ?? [];
    return control.request(url, { method, body, headers: { 'idempotency-key': name } });
  };
  for (const i of requests.keys()) {
    const first = await send(i, `key-${i}`);
    t.ok(first.status < 300, first.text);
    for (const j of requests.keys()) {
      const { status, body } = await send(j, `key-${i}`);
      if (i === j) t.ok(status < 300, `${i} again`);
      else t.match({ status, body }, { status: 409, body: { code: 'idempotency_conflict' } }, `${j} with key ${i}`);
    }
  }
});

t.test('a running command blocks its key on all processes, for its actor only', async (t) => {
  const { slow, quick, closeGate, markers } = await twoProcesses(t);
  await planShow(quick);
  const openGate = closeGate();
  const first = slow.post(UNITS, bag(1), key);
  const [marker = ''] = await markers('gala');
  for (const control of [slow, quick]) {
    const second = await control.post(UNITS, bag(1), key);
    t.match(second, { status: 409, body: { code: 'idempotency_in_progress', retryAfterMs: 500 } });
  }
  const other = { method: 'POST', body: bag(1), headers: key, key: OTHER_API_KEY } as const;
  t.equal((await quick.request(UNITS, other)).status, 200);
  openGate();
  t.equal((await first).status, 200);
  t.equal(await quick.redis.client().exists(marker), 0, 'the marker is removed');
  t.strictSame((await quick.post(UNITS, bag(1), key)).body, (await first).body);
});

t.test('the marker of a dead process expires, and the record of the key decides (I8)', async (t) => {
  const { slow, quick, closeGate, markers } = await twoProcesses(t);
  await planShow(quick);
  const openGate = closeGate();
  const first = slow.post(UNITS, bag(1), key);
  const [marker = ''] = await markers('gala');
  const client = quick.redis.client();
  const leftMs = await client.pttl(marker);
  t.ok(leftMs > 0 && leftMs <= LIMITS.commandMarkerMs, `${leftMs} ms to live`);
  await client.pexpire(marker, 1);
  await sleep(5);
  const second = await quick.post(UNITS, bag(1), key);
  t.equal(second.status, 200);
  await client.set(marker, 'of a third request');
  openGate();
  t.strictSame((await first).body, second.body, 'the late one gets the recorded response');
  t.equal(await client.get(marker), 'of a third request', 'and does not remove the marker of another request');
});
