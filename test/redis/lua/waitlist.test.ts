/** waitlist.lua and lib/waitlist.lua: joins, leaves, offers of freed units; extended holds. */
import { HOST, outcome, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('wait:');
const { store, time, reserve, hold, confirm, release } = fixture;

const openShow = (units: number, perBuyer = 1) => fixture.openShow({ units: { S: units }, perBuyer, holdMs: 15_000 });
const join = (show: string, user: string, key = 'join', qty = 1) =>
  store.waitlist(show, { op: 'join', user, key, sale: 'sale', sku: 'S', qty });
const leave = (show: string, user: string, key = 'leave') =>
  store.waitlist(show, { op: 'leave', user, key, sale: 'sale', sku: 'S' });
const holdingsOf = async (show: string, ...users: string[]) => unwrap(await store.holdingsOf(show, users));
const addUnits = async (show: string, delta: number) =>
  unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta }, { key: `add${delta}`, actor: HOST }));

fixture.test('a buyer cannot join while units are free (Q-11.1)', async (t) => {
  const show = await openShow(1);
  t.equal(outcome(await join(show, 'ann')), 'units_free');
  t.equal(outcome(await leave(show, 'ann')), 'not_waiting');
});

fixture.test('freed units are offered in order; a declined offer goes to the next (Q-11.2, Q-11.4)', async (t) => {
  const show = await openShow(1);
  const first = await hold(show, 'buyer');
  t.same(unwrap(await join(show, 'ann')), { place: 1, waiting: 1, replayed: false });
  t.same(unwrap(await join(show, 'bob')), { place: 2, waiting: 2, replayed: false });
  t.same(unwrap(await join(show, 'ann')), { place: 1, waiting: 1, replayed: true }, 'a repeated key');
  t.equal(outcome(await join(show, 'ann', 'another')), 'already_waiting');
  t.equal(outcome(await join(show, 'ann', 'join', 2)), 'idempotency_conflict');

  unwrap(await release(show, first));
  t.equal(outcome(await reserve(show, 'newcomer')), 'sold_out', 'a new request does not pass the waitlist');
  const [ann, bob] = await holdingsOf(show, 'ann', 'bob');
  t.match(ann, { reservations: [{ state: 'held', offer: true, lines: [{ sku: 'S', qty: 1 }] }], waits: [] });
  t.match(bob, { reservations: [], waits: [{ sale: 'sale', sku: 'S', qty: 1, place: 1 }] }, 'bob has position 1');

  const offer = ann?.reservations[0];
  if (offer) unwrap(await release(show, offer));
  t.match(await holdingsOf(show, 'bob'), [{ reservations: [{ offer: true }], waits: [] }], 'bob gets the next offer');
});

fixture.test('an expired offer goes to the next; an offer is confirmed like any hold (Q-11.4)', async (t) => {
  const show = await openShow(1);
  await hold(show, 'buyer');
  await join(show, 'ann');
  await join(show, 'bob');
  const expireAll = async (): Promise<void> => {
    await time.passAllDeadlines(show);
    await store.tick(show);
  };
  await expireAll();
  t.match(await holdingsOf(show, 'buyer', 'ann'), [{ reservations: [] }, { reservations: [{ offer: true }] }]);
  await expireAll();
  const [ann, bob] = await holdingsOf(show, 'ann', 'bob');
  t.match([ann, bob], [{ reservations: [] }, { reservations: [{ offer: true }] }]);
  const offer = bob?.reservations[0];
  if (!offer) throw new Error('no offer');
  t.match(unwrap(await confirm(show, offer)), { reservation: { state: 'confirmed', user: 'bob' } });
});

fixture.test('added units are offered first, in slices; no new request passes (Q-11.5)', async (t) => {
  const show = await openShow(1);
  await hold(show, 'buyer');
  const users = times(120, (i) => `w${String(i).padStart(3, '0')}`);
  for (const user of users) await join(show, user);
  await addUnits(show, 110);
  t.equal(outcome(await reserve(show, 'newcomer')), 'sold_out');
  for (let i = 0; i < 5; i++) await store.tick(show);
  const holdings = await holdingsOf(show, ...users);
  const offered = holdings.map(({ reservations }) => reservations.length);
  t.same(offered, [...Array(110).fill(1), ...Array(10).fill(0)], 'exactly the first 110 entries');
  t.equal(holdings[110]?.waits[0]?.place, 1);
});

fixture.test('the limit counts for waiting buyers; an entry that wants more than is free is passed over', async (t) => {
  const show = await openShow(2, 2);
  const held = await hold(show, 'ann', { key: 'k1', qty: 2 });
  t.equal(outcome(await join(show, 'ann')), 'limit_exceeded');
  await join(show, 'bob', 'join', 2);
  await join(show, 'cyd', 'join', 1);
  await addUnits(show, 1);
  t.match(await holdingsOf(show, 'bob', 'cyd'), [{ waits: [{ place: 1 }] }, { reservations: [{ offer: true }] }]);
  unwrap(await release(show, held));
  t.match(await holdingsOf(show, 'bob'), [{ reservations: [{ lines: [{ qty: 2 }] }] }]);
});

fixture.test('leaving gives up the position, once (Q-11.6)', async (t) => {
  const show = await openShow(1);
  await hold(show, 'buyer');
  await join(show, 'ann');
  await join(show, 'bob');
  t.match(unwrap(await leave(show, 'ann')), { place: 0, waiting: 1, replayed: false });
  t.match(unwrap(await leave(show, 'ann')), { replayed: true });
  t.match(unwrap(await join(show, 'ann')), { replayed: true }, 'a late duplicate of the join does not join again');
  t.match(await holdingsOf(show, 'ann', 'bob'), [{ waits: [] }, { waits: [{ place: 1 }] }]);
});

fixture.test('a hold is extended only on success, up to a limit', async (t) => {
  const show = await openShow(1);
  const { id, heldUntil } = await hold(show, 'ann');
  const extend = (key: string, byMs: number) => store.extendHold(show, { reservation: id, byMs }, { key, actor: HOST });
  const extended = { reservation: { heldUntil: heldUntil + 60_000 } };
  t.match(unwrap(await extend('p1', 60_000)), { replayed: false, ...extended });
  t.match(unwrap(await extend('p1', 60_000)), { replayed: true, ...extended });
  t.equal(outcome(await extend('p2', 900_000)), 'limit_reached');
  t.match(unwrap(await store.getReservation(show, id)), extended.reservation, 'a refused extension changes nothing');
  const again = unwrap(await reserve(show, 'ann'));
  t.match(again, { replayed: true, reservation: { heldUntil } }, 'the recorded result is the first one');
});
