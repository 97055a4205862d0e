import t from 'tap';
import { bookOf, hold, planShow, startControl } from './harness.ts';

t.test('reservations are read, confirmed and released (I3, I4)', async (t) => {
  const control = await startControl(t);
  const { request, post } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  const id = await hold(control, 'gala', 'ada', 'TEE-M', 2);
  const path = `/v1/shows/gala/reservations/${id}`;
  const held = { id, user: 'ada', sale: 'drop', state: 'held', amount: 3998, currency: 'EUR' };
  const lines = [{ sku: 'TEE-M', qty: 2 }];
  t.match((await request(path)).body, { ...held, lines });
  const short = await post(`${path}/confirm`, { orderRef: 'o-1', amount: 1 });
  t.match(short, { status: 409, body: { code: 'amount_mismatch' } });

  const key = '8e03978e-40d5-43dd-bc93-6894a57f9324';
  const confirm = (orderRef: string, idempotencyKey: string) =>
    post(`${path}/confirm`, { orderRef, amount: 3998 }, { 'idempotency-key': idempotencyKey });
  const confirmed = await confirm('o-1', `"${key}"`);
  t.equal(confirmed.status, 200, confirmed.text);
  t.match(confirmed.body, { reservation: { id, state: 'confirmed', orderRef: 'o-1' }, replayed: false });
  const repeated = { reservation: { id, state: 'confirmed' }, replayed: true };
  t.match((await confirm('o-1', key)).body, repeated, 'quoted and bare values name the same key');
  t.equal((await confirm('o-2', key)).body.code, 'idempotency_conflict');
  t.equal((await post(`${path}/release`)).body.code, 'reservation_confirmed');

  const other = `/v1/shows/gala/reservations/${await hold(control, 'gala', 'bob', 'TEE-M', 2)}`;
  t.match((await post(`${other}/release`)).body, { reservation: { state: 'released' } });
  t.equal((await post(`${other}/confirm`, { orderRef: 'o-3', amount: 3998 })).body.code, 'reservation_released');
  t.equal((await request('/v1/shows/gala/reservations/nothing')).body.code, 'reservation_not_found');
  t.strictSame(bookOf((await request('/v1/shows/gala/sales/drop')).body, 'TEE-M'), [10, 8, 0, 2, 0]);
});
