/**
 * The line at its edges: slices, keys that look like others, people nobody can serve, and every
 * refusal.
 */
import { LIMITS } from '../../../src/limits.ts';
import type { ReservationView } from '../../../src/protocol/messages.ts';
import type { ConnectedStore } from '../../../src/redis/index.ts';
import { HOST, outcome, Stage, unwrap } from '../../support/stage.ts';

const stage = await Stage.open('line:');
const { store, travel } = stage;
const SLICE = LIMITS.waitlistSliceMax;

const join = (
  show: string,
  user: string,
  more: { key?: string; sku?: string; qty?: number; sale?: string } = {},
  at: ConnectedStore = store,
) => at.waitlist(show, { op: 'join', user, key: 'join', sale: 'sale', sku: 'S', qty: 1, ...more });
const leave = (show: string, user: string, key = 'leave') =>
  store.waitlist(show, { op: 'leave', user, key, sale: 'sale', sku: 'S' });
const standing = async (show: string, user: string) => {
  const [found] = unwrap(await store.holdingsOf(show, [user]));
  return { offers: found?.reservations.filter(({ offer }) => offer) ?? [], waits: found?.waits ?? [] };
};
async function crowd(show: string, count: number, qty: number): Promise<void> {
  for (let i = 0; i < count; i++) unwrap(await join(show, `w${String(i).padStart(3, '0')}`, { qty }));
}

stage.scene('a line of people who want more than is free does not keep the unit from those behind', async (t) => {
  for (const people of [SLICE + 5, 3 * SLICE + 10]) {
    const show = await stage.openShow({ units: { S: 2 }, perBuyer: 2 });
    const [first] = [await stage.hold(show, 'own1'), await stage.hold(show, 'own2')];
    await crowd(show, people, 2);
    unwrap(await join(show, 'single'));
    unwrap(await stage.release(show, first));
    for (let i = 0; i < 8; i++) unwrap(await store.tick(show));
    t.equal(
      (await standing(show, 'single')).offers.length,
      1,
      `${people} people ahead want two, one unit is free: the single one is offered it`,
    );
    const { nextDueAt } = unwrap(await store.tick(show));
    t.ok((nextDueAt ?? 0) > store.now(), 'and nothing is due at once any more');
  }
});

stage.scene('when nobody in line can be served, a newcomer who can is', async (t) => {
  const show = await stage.openShow({ units: { S: 2 }, perBuyer: 2 });
  const [first] = [await stage.hold(show, 'own1'), await stage.hold(show, 'own2')];
  await crowd(show, 2 * SLICE + 5, 2);
  unwrap(await stage.release(show, first));
  for (let i = 0; i < 5; i++) unwrap(await store.tick(show));
  t.equal(outcome(await stage.reserve(show, 'new')), 'ok');
});

stage.scene(
  'exactly a slice in line: the last one empties it, and what is left is free for anybody in the same call',
  async (t) => {
    const show = await stage.openShow({ units: { S: SLICE + 10 }, perBuyer: SLICE + 10 });
    const big = await stage.hold(show, 'big', { qty: SLICE + 10 });
    await crowd(show, SLICE, 1);
    await travel.deadline(show, big.id);
    t.equal(outcome(await stage.reserve(show, 'new')), 'ok');
    t.same(await stage.books(show), { allocated: SLICE + 10, available: 9, held: SLICE + 1, sold: 0, withdrawn: 0 });
  },
);

stage.scene('a reserve and a place in line with keys that look alike stay two things', async (t) => {
  const show = await stage.openShow({ units: { S: 2 }, perBuyer: 3 });
  const mine: ReservationView[] = [];
  for (const key of ['waitlist|join', 'join']) mine.push(await stage.hold(show, 'ann', { key }));
  unwrap(await join(show, 'ann'));
  unwrap(await stage.release(show, mine[1] ?? mine[0]!));
  const { offers } = await standing(show, 'ann');
  t.equal(offers.length, 1);
  t.notOk(mine.some(({ id }) => id === offers[0]?.id));
  t.same(await stage.books(show), { allocated: 2, available: 0, held: 2, sold: 0, withdrawn: 0 });
});

stage.scene('a key that once became an offer is not used again, even when keys are forgotten', async (t) => {
  const show = await stage.openShow({ units: { S: 1 }, perBuyer: 2 });
  const first = await stage.hold(show, 'bob');
  unwrap(await join(show, 'ann'));
  unwrap(await stage.release(show, first));
  const offer = (await standing(show, 'ann')).offers[0]!;
  unwrap(await stage.confirm(show, offer));
  for (const key of ['t1', 't2']) {
    await travel.rememberedSince(show, LIMITS.idempotencyTtlMs + 1);
    unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key, actor: HOST }));
    unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: -1 }, { key: `${key}-`, actor: HOST }));
  }
  t.equal(outcome(await join(show, 'ann')), 'idempotency_conflict');
  t.equal(await stage.stateOf(show, offer.id), 'confirmed');
});

stage.scene('joining is refused with the reason: no such thing, not open, over, units free', async (t) => {
  const show = await stage.newShow();
  await stage.newSale(show, { id: 'draft', durationMs: 60_000 });
  await stage.newSale(show, { id: 'later', opensInMs: 60_000 });
  await stage.newSale(show, { units: { S: 1 } });
  await stage.newSale(show, { id: 'ended', units: { S: 1 } });
  unwrap(await store.moveSale(show, 'ended', { op: 'end' }, { key: 'e', actor: HOST }));
  await stage.newSale(show, { id: 'cancelled', units: { S: 1 } });
  unwrap(await store.moveSale(show, 'cancelled', { op: 'cancel' }, { key: 'c', actor: HOST }));
  const refused: Array<[string, Parameters<typeof join>[2]]> = [
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
  for (const [code, more] of refused) t.equal(outcome(await join(show, 'ann', more)), code, JSON.stringify(more));
  t.equal(outcome(await join('ghost', 'ann')), 'show_not_found');
  t.equal(outcome(await leave(show, 'ann')), 'not_waiting');
  t.same(await standing(show, 'ann'), { offers: [], waits: [] });
});

stage.scene('in a paused sale people may join; units that came back are offered when it goes on', async (t) => {
  const show = await stage.openShow({ units: { S: 1 } });
  const held = await stage.hold(show, 'bob');
  unwrap(await store.moveSale(show, 'sale', { op: 'pause' }, { key: 'p', actor: HOST }));
  unwrap(await join(show, 'ann'));
  unwrap(await stage.release(show, held));
  t.equal((await standing(show, 'ann')).offers.length, 0, 'no offers while paused');
  const heard = await stage
    .heard(show)
    .during(() => store.moveSale(show, 'sale', { op: 'resume' }, { key: 'r', actor: HOST }));
  t.match(heard, [{ reservations: [{ user: 'ann', offer: true, state: 'held' }] }], 'the same commit that resumes it');
});

stage.scene('an offer is taken only as far as the limit goes; who is over it loses the place', async (t) => {
  const show = await stage.openShow({ units: { S: 1, M: 1 }, perBuyer: 1 });
  const s = await stage.hold(show, 'bob');
  unwrap(await join(show, 'ann'));
  unwrap(await join(show, 'cyd'));
  await stage.hold(show, 'ann', { sku: 'M' });
  unwrap(await stage.release(show, s));
  t.same(await standing(show, 'ann'), { offers: [], waits: [] });
  t.equal((await standing(show, 'cyd')).offers.length, 1, 'the next one is served in the same go');
});

stage.scene('lines of SKUs whose names begin alike do not mix', async (t) => {
  const show = await stage.openShow({ units: { S: 1, 'S.1': 1, S0: 1, 'S-': 1 }, perBuyer: 9 });
  const skus = ['S', 'S.1', 'S0', 'S-'];
  const held: ReservationView[] = [];
  for (const sku of skus) held.push(await stage.hold(show, 'bob', { sku, key: sku }));
  for (const sku of skus) unwrap(await join(show, `w/${sku}/x`, { sku }));
  for (const [i, sku] of skus.entries()) {
    unwrap(await stage.release(show, held[i]!));
    t.match((await standing(show, `w/${sku}/x`)).offers, [{ lines: [{ sku, qty: 1 }] }], sku);
  }
});

stage.scene('many join and leave at once: every place once', async (t) => {
  const show = await stage.openShow({ units: { S: 1 } });
  const held = await stage.hold(show, 'bob');
  const others = [store, await stage.another()];
  const joined = await Promise.all(Array.from({ length: 40 }, (_, i) => join(show, `w${i}`, {}, others[i % 2])));
  t.same(
    joined.map((answer) => unwrap(answer).place).sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, i) => i + 1),
  );
  await Promise.all([
    ...Array.from({ length: 20 }, (_, i) => leave(show, `w${2 * i}`)),
    stage.release(show, held),
    store.tick(show),
  ]);
  const all = unwrap(
    await store.holdingsOf(
      show,
      Array.from({ length: 40 }, (_, i) => `w${i}`),
    ),
  );
  t.equal(all.filter(({ reservations }) => reservations.length > 0).length, 1, 'one unit, one offer');
});
