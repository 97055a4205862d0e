/** Limits of the waitlist: slices, similar keys and names, entries over the limit, refusals. */
import { LIMITS } from '../../../src/limits.ts';
import type { ReservationView } from '../../../src/protocol/messages.ts';
import type { ConnectedStore } from '../../../src/redis/index.ts';
import { HOST, outcome, StoreFixture, times, unitsMove, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('waitlist:');
const { store, time, openShow, newSale, connectAnother } = fixture;
const { reserve, hold, confirm, release, books, move, stateOf, published } = fixture;
const SLICE = LIMITS.waitlistSliceMax;

const join = (
  show: string,
  user: string,
  more: { key?: string; sku?: string; qty?: number; sale?: string } = {},
  at: ConnectedStore = store,
) => at.waitlist(show, { op: 'join', user, key: 'join', sale: 'sale', sku: 'S', qty: 1, ...more });
const leave = (show: string, user: string, key = 'leave') =>
  store.waitlist(show, { op: 'leave', user, key, sale: 'sale', sku: 'S' });
const holdingsOf = async (show: string, user: string) => {
  const [found] = unwrap(await store.holdingsOf(show, [user]));
  return { offers: found?.reservations.filter(({ offer }) => offer) ?? [], waits: found?.waits ?? [] };
};
async function fillWaitlist(show: string, count: number, qty: number): Promise<void> {
  for (let i = 0; i < count; i++) unwrap(await join(show, `w${String(i).padStart(3, '0')}`, { qty }));
}

fixture.test('entries that want more than is free do not keep the unit from later entries', async (t) => {
  for (const entries of [SLICE + 5, 3 * SLICE + 10]) {
    const show = await openShow({ units: { S: 2 }, perBuyer: 2 });
    const [first] = [await hold(show, 'own1'), await hold(show, 'own2')];
    await fillWaitlist(show, entries, 2);
    unwrap(await join(show, 'single'));
    unwrap(await release(show, first));
    for (let i = 0; i < 8; i++) unwrap(await store.tick(show));
    t.equal(
      (await holdingsOf(show, 'single')).offers.length,
      1,
      `${entries} entries want two, one unit is free: the next one gets the offer`,
    );
    const { nextDueAt } = unwrap(await store.tick(show));
    t.ok((nextDueAt ?? 0) > store.now(), 'nothing is due now');
  }
});

fixture.test('when no entry can be served, a new request gets the unit', async (t) => {
  const show = await openShow({ units: { S: 2 }, perBuyer: 2 });
  const [first] = [await hold(show, 'own1'), await hold(show, 'own2')];
  await fillWaitlist(show, 2 * SLICE + 5, 2);
  unwrap(await release(show, first));
  for (let i = 0; i < 5; i++) unwrap(await store.tick(show));
  t.equal(outcome(await reserve(show, 'new')), 'ok');
});

fixture.test('after the last entry of a slice, the rest of the units is free in the same call', async (t) => {
  const show = await openShow({ units: { S: SLICE + 10 }, perBuyer: SLICE + 10 });
  const big = await hold(show, 'big', { qty: SLICE + 10 });
  await fillWaitlist(show, SLICE, 1);
  await time.passDeadline(show, big.id);
  t.equal(outcome(await reserve(show, 'new')), 'ok');
  t.same(await books(show), { allocated: SLICE + 10, available: 9, held: SLICE + 1, sold: 0, withdrawn: 0 });
});

fixture.test('a reserve and an offer never have the same id, even with similar keys', async (t) => {
  const show = await openShow({ units: { S: 2 }, perBuyer: 3 });
  const mine: ReservationView[] = [];
  for (const key of ['waitlist|join', 'join']) mine.push(await hold(show, 'ann', { key }));
  unwrap(await join(show, 'ann'));
  unwrap(await release(show, mine[1] ?? mine[0]!));
  const { offers } = await holdingsOf(show, 'ann');
  t.equal(offers.length, 1);
  t.notOk(mine.some(({ id }) => id === offers[0]?.id));
  t.same(await books(show), { allocated: 2, available: 0, held: 2, sold: 0, withdrawn: 0 });
});

fixture.test('a key that made an offer is not used again after its record was dropped', async (t) => {
  const show = await openShow({ units: { S: 1 }, perBuyer: 2 });
  const first = await hold(show, 'bob');
  unwrap(await join(show, 'ann'));
  unwrap(await release(show, first));
  const offer = (await holdingsOf(show, 'ann')).offers[0]!;
  unwrap(await confirm(show, offer));
  for (const key of ['t1', 't2']) {
    await time.ageKeys(show, LIMITS.idempotencyTtlMs + 1);
    unwrap(await store.moveSale(show, 'sale', unitsMove(1), { key, actor: HOST }));
    unwrap(await store.moveSale(show, 'sale', unitsMove(-1), { key: `${key}-`, actor: HOST }));
  }
  t.equal(outcome(await join(show, 'ann')), 'idempotency_conflict');
  t.equal(await stateOf(show, offer.id), 'confirmed');
});

fixture.showTest('a refused join has its code', async (t, show) => {
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  await newSale(show, { id: 'later', opensInMs: 60_000 });
  await newSale(show, { units: { S: 1 } });
  await newSale(show, { id: 'ended', units: { S: 1 } });
  unwrap(await move(show, { op: 'end' }, 'ended'));
  await newSale(show, { id: 'cancelled', units: { S: 1 } });
  unwrap(await move(show, { op: 'cancel' }, 'cancelled'));
  const refusals: Array<[string, Parameters<typeof join>[2]]> = [
    ['sale_not_found', { sale: 'ghost' }],
    ['sku_not_found', { sku: 'XXL' }],
    ['sale_not_open', { sale: 'draft' }],
    ['sale_not_open', { sale: 'later' }],
    ['sale_ended', { sale: 'ended' }],
    ['sale_cancelled', { sale: 'cancelled' }],
    ['units_free', {}],
    ['limit_exceeded', { qty: 2 }],
    ['invalid_request', { qty: 0 }],
    ['invalid_request', { qty: 1.5 }],
  ];
  for (const [code, more] of refusals) t.equal(outcome(await join(show, 'ann', more)), code, JSON.stringify(more));
  t.equal(outcome(await join('ghost', 'ann')), 'show_not_found');
  t.equal(outcome(await leave(show, 'ann')), 'not_waiting');
  t.same(await holdingsOf(show, 'ann'), { offers: [], waits: [] });
});

fixture.test('buyers may join in a paused sale; freed units are offered when it resumes', async (t) => {
  const show = await openShow({ units: { S: 1 } });
  const held = await hold(show, 'bob');
  unwrap(await move(show, { op: 'pause' }));
  unwrap(await join(show, 'ann'));
  unwrap(await release(show, held));
  t.equal((await holdingsOf(show, 'ann')).offers.length, 0, 'no offers while paused');
  const commits = await published(show, () => move(show, { op: 'resume' }));
  t.match(commits, [{ reservations: [{ user: 'ann', offer: true, state: 'held' }] }], 'in the commit that resumes it');
});

fixture.test('an entry over the limit gets no offer and is removed', async (t) => {
  const show = await openShow({ units: { S: 1, M: 1 }, perBuyer: 1 });
  const s = await hold(show, 'bob');
  unwrap(await join(show, 'ann'));
  unwrap(await join(show, 'cyd'));
  await hold(show, 'ann', { sku: 'M' });
  unwrap(await release(show, s));
  t.same(await holdingsOf(show, 'ann'), { offers: [], waits: [] });
  t.equal((await holdingsOf(show, 'cyd')).offers.length, 1, 'the next entry is served in the same call');
});

fixture.test('waitlists of SKUs with similar names are separate', async (t) => {
  const show = await openShow({ units: { S: 1, 'S.1': 1, S0: 1, 'S-': 1 }, perBuyer: 9 });
  const skus = ['S', 'S.1', 'S0', 'S-'];
  const held: ReservationView[] = [];
  for (const sku of skus) held.push(await hold(show, 'bob', { sku, key: sku }));
  for (const sku of skus) unwrap(await join(show, `w/${sku}/x`, { sku }));
  for (const [i, sku] of skus.entries()) {
    unwrap(await release(show, held[i]!));
    t.match((await holdingsOf(show, `w/${sku}/x`)).offers, [{ lines: [{ sku, qty: 1 }] }], sku);
  }
});

fixture.saleTest('concurrent joins and leaves: every position once', { units: { S: 1 } }, async (t, show) => {
  const held = await hold(show, 'bob');
  const others = [store, await connectAnother()];
  const joined = await Promise.all(times(40, (i) => join(show, `w${i}`, {}, others[i % 2])));
  t.same(
    joined.map((result) => unwrap(result).place).sort((a, b) => a - b),
    times(40, (i) => i + 1),
  );
  await Promise.all([...times(20, (i) => leave(show, `w${2 * i}`)), release(show, held), store.tick(show)]);
  const all = unwrap(
    await store.holdingsOf(
      show,
      times(40, (i) => `w${i}`),
    ),
  );
  t.equal(all.filter(({ reservations }) => reservations.length > 0).length, 1, 'one unit, one offer');
});
