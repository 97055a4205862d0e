import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { planShow, startControl } from './harness.ts';

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
  const bag = (await control.ask('/v1/shows/gala/sales/drop')).body.skus.find((sku: { sku: string }) => sku.sku === 'BAG');
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

t.test('without a key every request is a command of its own', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const at = '/v1/shows/gala/sales/drop/units';
  await control.post(at, { sku: 'BAG', delta: 1 });
  const twice = await control.post(at, { sku: 'BAG', delta: 1 });
  t.equal(twice.body.skus[1].allocated, 7);
});

t.test('while the first runs, a second with its key is told to wait; another key holder is not', async (t) => {
  const inner = await startControl(t);
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const control = await startControl(t, {
    store: {
      ...inner.store,
      moveSale: async (...args) => {
        await held;
        return inner.store.moveSale(...args);
      },
    },
  });
  await planShow(inner);
  const at = '/v1/shows/gala/sales/drop/units';
  const first = control.post(at, { sku: 'BAG', delta: 1 }, key);
  await sleep(50);
  const second = await control.post(at, { sku: 'BAG', delta: 1 }, key);
  t.equal(second.status, 409);
  t.match(second.body, { code: 'idempotency_in_progress', retryAfterMs: 500 });
  const other = control.ask(at, { method: 'POST', body: { sku: 'BAG', delta: 1 }, headers: key, key: 'office-secret-0123456789' });
  letGo();
  t.equal((await first).status, 200);
  t.equal((await other).status, 200);
  t.equal((await control.post(at, { sku: 'BAG', delta: 1 }, key)).status, 200, 'afterwards the recorded answer comes');
});
