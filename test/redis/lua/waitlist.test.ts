/** The line for a sold-out SKU, against a real Redis. */
import t from 'tap';
import { startRedis } from '../../../bench/launch/redis-server.ts';
import { type ConnectedStore, connectStore } from '../../../src/redis/index.ts';

const redis = await startRedis();
const store = await connectStore({ url: redis.url, keyPrefix: 'wait:' });
t.teardown(async () => {
  await store.close();
  await redis.stop();
});

let shows = 0;
async function openShow(quantity: number, options: { perBuyer?: number } = {}): Promise<string> {
  const id = `show${++shows}`;
  await store.createShow({ id, title: 'Line', brands: [{ id: 'b', name: 'B' }] }, 'host');
  await store.putProduct(id, { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, 'host');
  const made = await store.createSale(
    id,
    {
      id: 'sale',
      title: 'Flash',
      currency: 'EUR',
      opensInMs: 0,
      durationMs: 600_000,
      holdMs: 15_000,
      perBuyer: options.perBuyer ?? 1,
      skus: [{ sku: 'S', product: 'p', price: 100, quantity }],
    },
    { key: 'create', actor: 'host' },
  );
  if (!made.ok) throw new Error(made.error.message);
  return id;
}

const reserve = async (show: string, user: string, key = 'k', qty = 1) =>
  (await store.reserve(show, [{ user, key, sale: 'sale', lines: [{ sku: 'S', qty }] }]))[0];
const join = (show: string, user: string, key = 'join', qty = 1) =>
  store.waitlist(show, { op: 'join', user, key, sale: 'sale', sku: 'S', qty });
const leave = (show: string, user: string, key = 'leave') =>
  store.waitlist(show, { op: 'leave', user, key, sale: 'sale', sku: 'S' });
const codeOf = (result: { ok: boolean; error?: { code: string } } | undefined): string =>
  result?.ok ? 'ok' : (result?.error?.code ?? 'none');
const clean = async (test: Pick<typeof t, 'same'>, at: ConnectedStore, show: string): Promise<void> => {
  const verified = await at.verify(show);
  test.same(verified.ok && verified.value.violations, [], 'the ledger replays clean');
};

t.test('nobody waits while units are free (Q-11.1)', async (t) => {
  const show = await openShow(1);
  t.equal(codeOf(await join(show, 'ann')), 'units_free');
  t.equal(codeOf(await leave(show, 'ann')), 'not_waiting');
});

t.test('freed units are offered to the waitlist in order; declining passes them on (Q-11.2, Q-11.4)', async (t) => {
  const show = await openShow(1);
  const first = await reserve(show, 'buyer');
  t.ok(first?.ok);
  t.same(await join(show, 'ann'), { ok: true, value: { place: 1, waiting: 1, replayed: false } });
  t.same(await join(show, 'bob'), { ok: true, value: { place: 2, waiting: 2, replayed: false } });
  t.same(
    await join(show, 'ann'),
    { ok: true, value: { place: 1, waiting: 1, replayed: true } },
    'the same key answers again',
  );
  t.equal(codeOf(await join(show, 'ann', 'another')), 'already_waiting');
  t.equal(codeOf(await join(show, 'ann', 'join', 2)), 'idempotency_conflict');

  if (first?.ok)
    await store.release(show, first.value.reservation.id, { key: 'r', actor: 'user:buyer', user: 'buyer' });
  t.equal(codeOf(await reserve(show, 'newcomer')), 'sold_out', 'a newcomer does not pass the line');
  const standing = await store.holdingsOf(show, ['ann', 'bob']);
  if (!standing.ok) throw new Error('no standing');
  const [ann, bob] = standing.value;
  t.match(ann, { reservations: [{ state: 'held', offer: true, lines: [{ sku: 'S', qty: 1 }] }], waits: [] });
  t.match(bob, { reservations: [], waits: [{ sale: 'sale', sku: 'S', qty: 1, place: 1 }] }, 'bob moved up');

  const offer = ann?.reservations[0];
  if (offer) await store.release(show, offer.id, { key: 'decline', actor: 'user:ann', user: 'ann' });
  const after = await store.holdingsOf(show, ['bob']);
  t.match(
    after,
    { ok: true, value: [{ reservations: [{ offer: true }], waits: [] }] },
    'declined, so bob is offered it',
  );
  await clean(t, store, show);
});

t.test('a lapsed offer passes on, and an offer is confirmed like any hold (Q-11.4)', async (t) => {
  const show = await openShow(1);
  const held = await reserve(show, 'buyer');
  await join(show, 'ann');
  await join(show, 'bob');
  const client = redis.client();
  const due = `wait:{${show}}:due`;
  // Time travel: the deadlines are moved into the past.
  const lapse = async (): Promise<void> => {
    for (const member of await client.zrange(due, '0', '-1'))
      if (member[1] !== ':') await client.zadd(due, '1', member);
    await store.tick(show);
  };
  await lapse();
  t.match(await store.holdingsOf(show, ['buyer', 'ann']), {
    ok: true,
    value: [{ reservations: [] }, { reservations: [{ offer: true }] }],
  });
  await lapse();
  const standing = await store.holdingsOf(show, ['ann', 'bob']);
  t.match(standing, { ok: true, value: [{ reservations: [] }, { reservations: [{ offer: true }] }] });
  const offer = standing.ok ? standing.value[1]?.reservations[0] : undefined;
  if (!offer) throw new Error('no offer');
  t.match(
    await store.confirm(show, { reservation: offer.id, orderRef: 'o-1', amount: 100 }, { key: 'c', actor: 'host' }),
    { ok: true, value: { reservation: { state: 'confirmed', user: 'bob' } } },
  );
  t.ok(held?.ok);
  await clean(t, store, show);
});

t.test('more stock serves the line first, in slices, and nobody passes it meanwhile (Q-11.5)', async (t) => {
  const show = await openShow(1);
  await reserve(show, 'buyer');
  const people = Array.from({ length: 120 }, (_, i) => `w${String(i).padStart(3, '0')}`);
  for (const person of people) await join(show, person);
  await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 110 }, { key: 'more', actor: 'host' });
  t.equal(codeOf(await reserve(show, 'newcomer')), 'sold_out');
  for (let i = 0; i < 5; i++) await store.tick(show);
  const standing = await store.holdingsOf(show, people);
  if (!standing.ok) throw new Error('no standing');
  const offered = standing.value.map(({ reservations }) => reservations.length);
  t.same(
    offered,
    people.map((_, i) => (i < 110 ? 1 : 0)),
    'exactly the first 110 in line',
  );
  t.equal(standing.value[110]?.waits[0]?.place, 1);
  await clean(t, store, show);
});

t.test('the limit counts for those in line too, and who wants more than is free is passed over', async (t) => {
  const show = await openShow(2, { perBuyer: 2 });
  const held = await reserve(show, 'ann', 'k1', 2);
  t.equal(codeOf(await join(show, 'ann')), 'limit_exceeded');
  await join(show, 'bob', 'join', 2);
  await join(show, 'cyd', 'join', 1);
  await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: 'one', actor: 'host' });
  t.match(await store.holdingsOf(show, ['bob', 'cyd']), {
    ok: true,
    value: [{ waits: [{ place: 1 }] }, { reservations: [{ offer: true }] }],
  });
  if (held?.ok) await store.release(show, held.value.reservation.id, { key: 'r', actor: 'user:ann' });
  t.match(await store.holdingsOf(show, ['bob']), { ok: true, value: [{ reservations: [{ lines: [{ qty: 2 }] }] }] });
  await clean(t, store, show);
});

t.test('leaving gives up the place, once (Q-11.6)', async (t) => {
  const show = await openShow(1);
  await reserve(show, 'buyer');
  await join(show, 'ann');
  await join(show, 'bob');
  t.match(await leave(show, 'ann'), { ok: true, value: { place: 0, waiting: 1, replayed: false } });
  t.match(await leave(show, 'ann'), { ok: true, value: { replayed: true } });
  t.match(
    await join(show, 'ann'),
    { ok: true, value: { replayed: true } },
    'a late duplicate of the old join does not join again',
  );
  t.match(await store.holdingsOf(show, ['ann', 'bob']), {
    ok: true,
    value: [{ waits: [] }, { waits: [{ place: 1 }] }],
  });
  await clean(t, store, show);
});

t.test('more time for a hold: on success only, and capped', async (t) => {
  const show = await openShow(1);
  const held = await reserve(show, 'ann');
  if (!held?.ok) throw new Error('not held');
  const { id, heldUntil } = held.value.reservation;
  t.match(await store.extendHold(show, { reservation: id, byMs: 60_000 }, { key: 'p1', actor: 'host' }), {
    ok: true,
    value: { reservation: { heldUntil: heldUntil + 60_000 } },
  });
  t.match(await store.extendHold(show, { reservation: id, byMs: 60_000 }, { key: 'p1', actor: 'host' }), {
    ok: true,
    value: { replayed: true, reservation: { heldUntil: heldUntil + 60_000 } },
  });
  t.equal(
    codeOf(await store.extendHold(show, { reservation: id, byMs: 900_000 }, { key: 'p2', actor: 'host' })),
    'limit_reached',
  );
  t.match(
    await store.getReservation(show, id),
    { ok: true, value: { heldUntil: heldUntil + 60_000 } },
    'a failed try changes nothing',
  );
  t.match(
    await reserve(show, 'ann'),
    { ok: true, value: { replayed: true, reservation: { heldUntil } } },
    'the recorded answer is the first one',
  );
  await clean(t, store, show);
});
