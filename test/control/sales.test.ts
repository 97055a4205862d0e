import t from 'tap';
import type { SaleBooks } from '../../src/domain/sale.ts';
import { planShow, startControl } from './harness.ts';

const books = (sale: SaleBooks, sku: string): number[] => {
  const found = sale.skus.find((one) => one.sku === sku)!;
  return [found.allocated, found.available, found.held, found.sold, found.withdrawn];
};

t.test('a sale through all its moves', async (t) => {
  const heard: string[] = [];
  const control = await startControl(t, {
    onSaleChanged: (show, sale) => heard.push(`${show}/${sale.id} ${sale.state}`),
  });
  const { ask, post } = control;
  await planShow(control);
  const at = '/v1/shows/gala/sales/drop';
  t.match((await ask(at)).body, {
    id: 'drop',
    state: 'draft',
    opensAt: null,
    closesAt: null,
    currency: 'EUR',
    perBuyer: 2,
    holdMs: 60_000,
  });
  t.equal((await ask('/v1/shows/gala/sales')).body.sales.length, 1);

  const scheduled = await post(`${at}/schedule`, { opensInMs: 600_000, durationMs: 120_000 });
  t.equal(scheduled.status, 200, scheduled.text);
  t.equal(scheduled.body.state, 'scheduled');
  t.equal(scheduled.body.closesAt - scheduled.body.opensAt, 120_000);
  t.equal((await post(`${at}/open`, { durationMs: 300_000 })).body.state, 'open');
  t.equal((await post(`${at}/pause`)).body.state, 'paused');
  t.equal((await post(`${at}/resume`)).body.state, 'open');
  const before = (await ask(at)).body.closesAt;
  t.equal((await post(`${at}/extend`, { byMs: 60_000 })).body.closesAt, before + 60_000);
  t.strictSame(books((await post(`${at}/units`, { sku: 'TEE-M', delta: 5 })).body, 'TEE-M'), [15, 15, 0, 0, 0]);
  t.strictSame(books((await post(`${at}/units`, { sku: 'TEE-M', delta: -3 })).body, 'TEE-M'), [15, 12, 0, 0, 3]);
  t.equal((await post(`${at}/units`, { sku: 'TEE-M', delta: -100 })).body.code, 'insufficient_units');
  t.equal((await post(`${at}/units`, { sku: 'HAT', delta: 1 })).body.code, 'sku_not_found');
  t.equal((await post(`${at}/end`)).body.state, 'ended');
  const late = await post(`${at}/open`);
  t.equal(late.status, 409);
  t.match(late.body, { code: 'illegal_move', details: { state: 'ended' } });

  await post('/v1/shows/gala/sales', {
    id: 'second',
    title: 'Second',
    currency: 'USD',
    opensInMs: 0,
    durationMs: 60_000,
    skus: [{ sku: 'BAG', product: 'bag', price: 1, quantity: 1 }],
  });
  t.equal((await ask('/v1/shows/gala/sales/second')).body.state, 'open');
  t.equal((await post('/v1/shows/gala/sales/second/cancel')).body.state, 'cancelled');
  t.strictSame(heard.slice(0, 3), ['gala/drop draft', 'gala/drop scheduled', 'gala/drop open']);
  t.equal(heard.at(-1), 'gala/second cancelled');
  const audit = await ask('/v1/shows/gala/verify');
  t.equal(audit.status, 200, audit.text);
  t.strictSame(audit.body.violations, []);
});

t.test('a sale that makes no sense is refused field by field', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const good = {
    title: 'Drop',
    currency: 'EUR',
    opensInMs: 0,
    durationMs: 60_000,
    skus: [{ sku: 'BAG', product: 'bag', price: 100, quantity: 1 }],
  };
  const cases: Array<[Record<string, unknown>, string]> = [
    [{ currency: 'ZZZ' }, '/currency'],
    [{ currency: 'euro' }, '/currency'],
    [{ opensAt: Date.now() + 60_000 }, '/opensInMs'],
    [{ closesAt: Date.now() + 60_000 }, '/durationMs'],
    [{ holdMs: 1 }, '/holdMs'],
    [{ perBuyer: 0 }, '/perBuyer'],
    [{ skus: [] }, '/skus'],
    [{ skus: [good.skus[0], good.skus[0]] }, '/skus/1'],
    [{ skus: [{ ...good.skus[0], price: 1.5 }] }, '/skus/0/price'],
    [{ skus: [{ ...good.skus[0], quantity: -1 }] }, '/skus/0/quantity'],
    [{ skus: [{ ...good.skus[0], quantity: '5' }] }, '/skus/0/quantity'],
    [{ skus: [{ ...good.skus[0], colour: 'red' }] }, '/skus/0/colour'],
    [{ opensIn: 5 }, '/opensIn'],
    [{ title: undefined }, '/title'],
  ];
  for (const [change, path] of cases) {
    const answer = await control.post('/v1/shows/gala/sales', { ...good, ...change });
    t.equal(answer.status, 400, JSON.stringify(change));
    t.match(answer.body, { code: 'invalid_request', errors: [{ path }] }, JSON.stringify(change));
  }
  t.equal(
    (await control.post('/v1/shows/gala/sales', { ...good, skus: [{ ...good.skus[0], product: 'hat' }] })).body.code,
    'product_not_found',
  );
  t.equal((await control.post('/v1/shows/nowhere/sales', good)).body.code, 'show_not_found');
  t.equal((await control.post('/v1/shows/gala/sales/nowhere/open')).body.code, 'sale_not_found');
  t.equal((await control.ask('/v1/shows/gala/sales')).body.sales.length, 1, 'nothing was made');
});

t.test('reservations are read, confirmed and released', async (t) => {
  const control = await startControl(t);
  const { ask, post, store } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  const reserve = async (user: string): Promise<string> => {
    const [decided] = await store.reserve('gala', [
      { user, key: `k-${user}`, sale: 'drop', lines: [{ sku: 'TEE-M', qty: 2 }] },
    ]);
    if (!decided?.ok) throw new Error(JSON.stringify(decided));
    return decided.value.reservation.id;
  };
  const id = await reserve('ada');
  const at = `/v1/shows/gala/reservations/${id}`;
  t.match((await ask(at)).body, {
    id,
    user: 'ada',
    sale: 'drop',
    state: 'held',
    amount: 3998,
    currency: 'EUR',
    lines: [{ sku: 'TEE-M', qty: 2 }],
  });
  const short = await post(`${at}/confirm`, { orderRef: 'o-1', amount: 1 });
  t.equal(short.status, 409);
  t.equal(short.body.code, 'amount_mismatch');

  const key = { 'idempotency-key': '"8e03978e-40d5-43dd-bc93-6894a57f9324"' };
  const confirmed = await post(`${at}/confirm`, { orderRef: 'o-1', amount: 3998 }, key);
  t.equal(confirmed.status, 200, confirmed.text);
  t.match(confirmed.body, { reservation: { id, state: 'confirmed', orderRef: 'o-1' }, replayed: false });
  const repeated = await post(
    `${at}/confirm`,
    { orderRef: 'o-1', amount: 3998 },
    { 'idempotency-key': '8e03978e-40d5-43dd-bc93-6894a57f9324' },
  );
  t.match(
    repeated.body,
    { reservation: { id, state: 'confirmed' }, replayed: true },
    'quoted and bare name the same key',
  );
  t.equal((await post(`${at}/confirm`, { orderRef: 'o-2', amount: 3998 }, key)).body.code, 'idempotency_conflict');
  t.equal((await post(`${at}/release`)).body.code, 'reservation_confirmed');

  const other = await reserve('bob');
  t.match((await post(`/v1/shows/gala/reservations/${other}/release`)).body, { reservation: { state: 'released' } });
  t.equal(
    (await post(`/v1/shows/gala/reservations/${other}/confirm`, { orderRef: 'o-3', amount: 3998 })).body.code,
    'reservation_released',
  );
  t.equal((await ask('/v1/shows/gala/reservations/nothing')).body.code, 'reservation_not_found');
  t.strictSame(books((await ask('/v1/shows/gala/sales/drop')).body, 'TEE-M'), [10, 8, 0, 2, 0]);
});
