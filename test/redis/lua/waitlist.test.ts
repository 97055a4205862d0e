/** waitlist.lua and lib/waitlist.lua: joins, leaves, offers of freed units; extended holds. */
import { LIMITS } from '../../../src/limits.ts';
import type { ReservationView } from '../../../src/protocol/messages.ts';
import type { ConnectedStore } from '../../../src/redis/index.ts';
import {
  byHost,
  HOST,
  outcome,
  range,
  StoreFixture,
  sorted,
  times,
  unitsMove,
  unwrap,
} from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('wait:');
const { test, showTest, saleTest, store, time, openShow, newSale, connectAnother } = fixture;
const { reserve, hold, confirm, release, books, move, stateOf, published } = fixture;
const SLICE = LIMITS.waitlistSliceMax;
const oneUnit = { units: { S: 1 }, holdMs: 15_000 };
const twoUnits = { units: { S: 2 }, perBuyer: 2 };

type Join = { key?: string; sku?: string; qty?: number; sale?: string };
const join = (show: string, user: string, more: Join = {}, at: ConnectedStore = store) =>
  at.waitlist(show, { op: 'join', user, key: 'join', sale: 'sale', sku: 'S', qty: 1, ...more });
const leave = (show: string, user: string) =>
  store.waitlist(show, { op: 'leave', user, key: 'leave', sale: 'sale', sku: 'S' });
const holdingsOf = async (show: string, ...users: string[]) => unwrap(await store.holdingsOf(show, users));
const offersOf = async (show: string, user: string) =>
  (await fixture.reservationsOf(show, [user])).flat().filter(({ offer }) => offer);
const tick = async (show: string, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) unwrap(await store.tick(show));
};
const fillWaitlist = async (show: string, count: number, qty: number): Promise<void> => {
  for (let i = 0; i < count; i++) unwrap(await join(show, `w${i}`, { qty }));
};

saleTest('a buyer cannot join while units are free (Q-11.1)', oneUnit, async (t, show) => {
  t.equal(outcome(await join(show, 'ann')), 'units_free');
  t.equal(outcome(await leave(show, 'ann')), 'not_waiting');
});

saleTest('freed units are offered in order, declined ones to the next (Q-11.2, Q-11.4)', oneUnit, async (t, show) => {
  const first = await hold(show, 'buyer');
  t.same(unwrap(await join(show, 'ann')), { place: 1, waiting: 1, replayed: false });
  t.same(unwrap(await join(show, 'bob')), { place: 2, waiting: 2, replayed: false });
  t.same(unwrap(await join(show, 'ann')), { place: 1, waiting: 1, replayed: true }, 'a repeated key');
  t.equal(outcome(await join(show, 'ann', { key: 'another' })), 'already_waiting');
  t.equal(outcome(await join(show, 'ann', { qty: 2 })), 'idempotency_conflict');

  unwrap(await release(show, first));
  t.equal(outcome(await reserve(show, 'newcomer')), 'sold_out', 'a new request does not pass the waitlist');
  const [ann, bob] = await holdingsOf(show, 'ann', 'bob');
  t.match(ann, { reservations: [{ state: 'held', offer: true, lines: [{ sku: 'S', qty: 1 }] }], waits: { length: 0 } });
  t.match(
    bob,
    { reservations: { length: 0 }, waits: [{ sale: 'sale', sku: 'S', qty: 1, place: 1 }] },
    'bob has position 1',
  );

  const offer = ann?.reservations[0];
  if (offer) unwrap(await release(show, offer));
  t.match(
    await holdingsOf(show, 'bob'),
    [{ reservations: [{ offer: true }], waits: { length: 0 } }],
    'bob gets the next offer',
  );
});

saleTest('an expired offer goes to the next; an offer is confirmed like a hold (Q-11.4)', oneUnit, async (t, show) => {
  await hold(show, 'buyer');
  await join(show, 'ann');
  await join(show, 'bob');
  const expireAll = async (): Promise<void> => {
    await time.passAllDeadlines(show);
    await store.tick(show);
  };
  await expireAll();
  t.match(await holdingsOf(show, 'buyer', 'ann'), [
    { reservations: { length: 0 } },
    { reservations: [{ offer: true }] },
  ]);
  await expireAll();
  const [ann, bob] = await holdingsOf(show, 'ann', 'bob');
  t.match([ann, bob], [{ reservations: { length: 0 } }, { reservations: [{ offer: true }] }]);
  const offer = bob?.reservations[0];
  if (!offer) throw new Error('no offer');
  t.match(unwrap(await confirm(show, offer)), { reservation: { state: 'confirmed', user: 'bob' } });
});

saleTest('added units are offered first, in slices; no new request passes (Q-11.5)', oneUnit, async (t, show) => {
  await hold(show, 'buyer');
  await fillWaitlist(show, 120, 1);
  unwrap(await move(show, unitsMove(110)));
  t.equal(outcome(await reserve(show, 'newcomer')), 'sold_out');
  await tick(show, 5);
  const holdings = await holdingsOf(show, ...times(120, (i) => `w${i}`));
  const offered = holdings.map(({ reservations }) => reservations.length);
  t.same(offered, [...Array(110).fill(1), ...Array(10).fill(0)], 'exactly the first 110 entries');
  t.equal(holdings[110]?.waits[0]?.place, 1);
});

const threeSkus = { units: { S: 30, M: 30, L: 30 }, perBuyer: 100 };
saleTest(
  'I9: a call makes a bounded number of offers over all SKUs, the next ones the rest',
  threeSkus,
  async (t, show) => {
    const lines = ['S', 'M', 'L'].map((sku) => ({ sku, qty: 30 }));
    const all = await hold(show, 'all', { lines });
    for (const sku of ['S', 'M', 'L'])
      for (let i = 0; i < 25; i++) unwrap(await join(show, `${sku}${i}`, { sku, key: `join ${sku}` }));
    const offersIn = async (work: () => Promise<unknown>): Promise<number> =>
      (await published(show, work)).flatMap(({ reservations }) => reservations.filter(({ user }) => user !== 'all'))
        .length;
    t.equal(await offersIn(() => release(show, all)), SLICE);
    for (const sku of ['S', 'M', 'L'])
      t.equal(outcome(await reserve(show, 'new', { sku, key: sku })), 'ok', 'all is offered');
    t.same(await offersIn(() => tick(show, 2)), 0);
    const waiting = await holdingsOf(show, ...['S', 'M', 'L'].flatMap((sku) => times(25, (i) => `${sku}${i}`)));
    t.ok(
      waiting.every(({ reservations, waits }) => reservations.length === 1 && waits.length === 0),
      'each has an offer',
    );
  },
);

saleTest('the limit counts for waiting buyers; an entry that wants too much is skipped', twoUnits, async (t, show) => {
  const held = await hold(show, 'ann', { key: 'k1', qty: 2 });
  t.equal(outcome(await join(show, 'ann')), 'limit_exceeded');
  await join(show, 'bob', { qty: 2 });
  await join(show, 'cyd');
  unwrap(await move(show, unitsMove(1)));
  t.match(await holdingsOf(show, 'bob', 'cyd'), [{ waits: [{ place: 1 }] }, { reservations: [{ offer: true }] }]);
  unwrap(await release(show, held));
  t.match(await holdingsOf(show, 'bob'), [{ reservations: [{ lines: [{ qty: 2 }] }] }]);
});

saleTest('leaving gives up the position, once (Q-11.6)', oneUnit, async (t, show) => {
  await hold(show, 'buyer');
  await join(show, 'ann');
  await join(show, 'bob');
  const endedWaits = async (): Promise<number> => unwrap(await store.reportCounts(show, 'n', 1, 0)).endedWaits;
  t.equal(await endedWaits(), 0);
  t.match(unwrap(await leave(show, 'ann')), { place: 0, waiting: 1, replayed: false });
  t.equal(await endedWaits(), 1, 'nodes learn that positions have changed (W-9.2)');
  t.match(unwrap(await leave(show, 'ann')), { replayed: true });
  t.match(unwrap(await join(show, 'ann')), { replayed: true }, 'a late duplicate of the join does not join again');
  t.match(await holdingsOf(show, 'ann', 'bob'), [{ waits: { length: 0 } }, { waits: [{ place: 1 }] }]);
});

saleTest('a hold is extended only on success, up to a limit', oneUnit, async (t, show) => {
  const { id, heldUntil } = await hold(show, 'ann');
  const extend = (key: string, byMs: number) => store.extendHold(show, { reservation: id, byMs }, byHost(key));
  const extended = { reservation: { heldUntil: heldUntil + 60_000 } };
  t.match(unwrap(await extend('p1', 60_000)), { replayed: false, ...extended });
  t.match(unwrap(await extend('p1', 60_000)), { replayed: true, ...extended });
  t.equal(outcome(await extend('p2', 900_000)), 'limit_reached');
  t.match(unwrap(await store.getReservation(show, id)), extended.reservation, 'a refused extension changes nothing');
  const again = unwrap(await reserve(show, 'ann'));
  t.match(again, { replayed: true, reservation: { heldUntil } }, 'the recorded result is the first one');
});

test('entries that want more than is free do not keep the unit from later entries', async (t) => {
  for (const entries of [SLICE + 5, 3 * SLICE + 10]) {
    const show = await openShow(twoUnits);
    const [first] = [await hold(show, 'own1'), await hold(show, 'own2')];
    await fillWaitlist(show, entries, 2);
    unwrap(await join(show, 'single'));
    unwrap(await release(show, first));
    await tick(show, 8);
    t.equal((await offersOf(show, 'single')).length, 1, `the entry after ${entries} that want two gets the offer`);
    t.ok((unwrap(await store.tick(show)).nextDueAt ?? 0) > store.now(), 'nothing is due now');
  }
});

saleTest('when no entry can be served, a new request gets the unit', twoUnits, async (t, show) => {
  const [first] = [await hold(show, 'own1'), await hold(show, 'own2')];
  await fillWaitlist(show, 2 * SLICE + 5, 2);
  unwrap(await release(show, first));
  await tick(show, 5);
  t.equal(outcome(await reserve(show, 'new')), 'ok');
});

test('after the last entry of a slice, the rest of the units is free in the same call', async (t) => {
  const show = await openShow({ units: { S: SLICE + 10 }, perBuyer: SLICE + 10 });
  const big = await hold(show, 'big', { qty: SLICE + 10 });
  await fillWaitlist(show, SLICE, 1);
  await time.passDeadline(show, big.id);
  t.equal(outcome(await reserve(show, 'new')), 'ok');
  t.same(await books(show), { allocated: SLICE + 10, available: 9, held: SLICE + 1, sold: 0, withdrawn: 0 });
});

test('a reserve and an offer never have the same id, even with similar keys', async (t) => {
  const show = await openShow({ units: { S: 2 }, perBuyer: 3 });
  const mine: ReservationView[] = [];
  for (const key of ['waitlist|join', 'join']) mine.push(await hold(show, 'ann', { key }));
  unwrap(await join(show, 'ann'));
  unwrap(await release(show, mine[1] ?? mine[0]!));
  const offers = await offersOf(show, 'ann');
  t.equal(offers.length, 1);
  t.notOk(mine.some(({ id }) => id === offers[0]?.id));
  t.same(await books(show), { allocated: 2, available: 0, held: 2, sold: 0, withdrawn: 0 });
});

const twoEach = { units: { S: 1 }, perBuyer: 2 };
saleTest('a key that made an offer is not used again after its record was dropped', twoEach, async (t, show) => {
  const first = await hold(show, 'bob');
  unwrap(await join(show, 'ann'));
  unwrap(await release(show, first));
  const offer = (await offersOf(show, 'ann'))[0]!;
  unwrap(await confirm(show, offer));
  for (let day = 0; day < 2; day++) {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs + 1);
    for (const delta of [1, -1]) unwrap(await move(show, unitsMove(delta)));
  }
  t.equal(outcome(await join(show, 'ann')), 'idempotency_conflict');
  t.equal(await stateOf(show, offer.id), 'confirmed');
});

showTest('a refused join has its code', async (t, show) => {
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  await newSale(show, { id: 'later', opensInMs: 60_000 });
  await newSale(show, { units: { S: 1 } });
  for (const op of ['end', 'cancel'] as const) {
    await newSale(show, { id: op, units: { S: 1 } });
    unwrap(await move(show, { op }, op));
  }
  const refusals: Array<[string, Join]> = [
    ['sale_not_found', { sale: 'ghost' }],
    ['sku_not_found', { sku: 'XXL' }],
    ['sale_not_open', { sale: 'draft' }],
    ['sale_not_open', { sale: 'later' }],
    ['sale_ended', { sale: 'end' }],
    ['sale_cancelled', { sale: 'cancel' }],
    ['units_free', {}],
    ['limit_exceeded', { qty: 2 }],
    ['invalid_request', { qty: 0 }],
    ['invalid_request', { qty: 1.5 }],
  ];
  for (const [code, more] of refusals) t.equal(outcome(await join(show, 'ann', more)), code, JSON.stringify(more));
  t.equal(outcome(await join('ghost', 'ann')), 'show_not_found');
  t.equal(outcome(await leave(show, 'ann')), 'not_waiting');
  t.match(await holdingsOf(show, 'ann'), [{ reservations: { length: 0 }, waits: { length: 0 } }]);
});

saleTest('buyers may join in a paused sale; freed units are offered when it resumes', oneUnit, async (t, show) => {
  const held = await hold(show, 'bob');
  unwrap(await move(show, { op: 'pause' }));
  unwrap(await join(show, 'ann'));
  unwrap(await release(show, held));
  t.same(await offersOf(show, 'ann'), [], 'no offers while paused');
  const commits = await published(show, () => move(show, { op: 'resume' }));
  t.match(commits, [{ reservations: [{ user: 'ann', offer: true, state: 'held' }] }], 'in the commit that resumes it');
});

saleTest('an entry over the limit gets no offer and is removed', { units: { S: 1, M: 1 } }, async (t, show) => {
  const s = await hold(show, 'bob');
  unwrap(await join(show, 'ann'));
  unwrap(await join(show, 'cyd'));
  await hold(show, 'ann', { sku: 'M' });
  unwrap(await release(show, s));
  t.match(await holdingsOf(show, 'ann'), [{ reservations: { length: 1 }, waits: { length: 0 } }], 'only M is held');
  t.equal((await offersOf(show, 'cyd')).length, 1, 'the next entry is served in the same call');
});

test('waitlists of SKUs with similar names are separate', async (t) => {
  const show = await openShow({ units: { S: 1, 'S.1': 1, S0: 1, 'S-': 1 }, perBuyer: 9 });
  const skus = ['S', 'S.1', 'S0', 'S-'];
  const held: ReservationView[] = [];
  for (const sku of skus) held.push(await hold(show, 'bob', { sku, key: sku }));
  for (const sku of skus) unwrap(await join(show, `w/${sku}/x`, { sku }));
  for (const [i, sku] of skus.entries()) {
    unwrap(await release(show, held[i]!));
    t.match(await offersOf(show, `w/${sku}/x`), [{ lines: [{ sku, qty: 1 }] }], sku);
  }
});

saleTest('concurrent joins and leaves: every position once', { units: { S: 1 } }, async (t, show) => {
  const held = await hold(show, 'bob');
  const others = [store, await connectAnother()];
  const joined = await Promise.all(times(40, (i) => join(show, `w${i}`, {}, others[i % 2])));
  const places = joined.map((result) => unwrap(result).place);
  t.same(sorted(places), range(40, 1));
  await Promise.all([...times(20, (i) => leave(show, `w${2 * i}`)), release(show, held), store.tick(show)]);
  const all = await holdingsOf(show, ...times(40, (i) => `w${i}`));
  t.equal(all.filter(({ reservations }) => reservations.length > 0).length, 1, 'one unit, one offer');
});

test('SKUs with blanks, slashes and umlauts have separate waitlists', async (t) => {
  const show = await fixture.newShow();
  const names = ['A', 'A/B', 'A/B C', 'T-Shirt Größe M'];
  unwrap(await store.putProduct(show, { id: 'p', brand: 'b', title: 'P', skus: names.map((sku) => ({ sku })) }, HOST));
  await fixture.newSale(show, { units: Object.fromEntries(names.map((sku) => [sku, 1])) });
  const holds = await Promise.all(names.map((sku) => hold(show, `owner of ${sku}`, { sku })));
  for (const sku of names) {
    const wait = { op: 'join', user: `waits for ${sku}`, key: 'w', sale: 'sale', sku, qty: 1 } as const;
    t.match(unwrap(await store.waitlist(show, wait)), { place: 1, waiting: 1 }, sku);
  }
  const second = { op: 'join', user: 'late', key: 'w', sale: 'sale', sku: 'A', qty: 1 } as const;
  t.match(unwrap(await store.waitlist(show, second)), { place: 2, waiting: 2 });
  for (const [i, sku] of names.entries()) {
    unwrap(await fixture.release(show, holds[i] as ReservationView));
    const [reservations] = await fixture.reservationsOf(show, [`waits for ${sku}`]);
    t.match(reservations, [{ lines: [{ sku, qty: 1 }], offer: true }], sku);
  }
  t.match(unwrap(await store.holdingsOf(show, ['late'])), [{ waits: [{ sku: 'A', place: 1 }] }]);
});
