/** sale_move.lua: every legal and illegal move from one table, and what moves do to the books. */
import fc from 'fast-check';
import type { SaleEdit, SaleMove } from '../../../src/domain/sale.ts';
import { LIMITS } from '../../../src/limits.ts';
import type { EventType, ReservationView, SaleState } from '../../../src/protocol/messages.ts';
import { FIRST_SEED } from '../../support/seed.ts';
import {
  byHost,
  HOST,
  outcome,
  pluck,
  refused,
  StoreFixture,
  times,
  unitsMove,
  unwrap,
} from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('moves:');
const { test, showTest, saleTest, store, time, openShow, newSale, saleSpec } = fixture;
const { reserve, hold, confirm, release, books, ledger, recordsOf, eventTypes, published } = fixture;

/** `to` is the state afterwards, if it changes. */
type Rule = Readonly<{ move: SaleMove; from: readonly SaleState[]; to?: SaleState; event: EventType }>;
const NOT_OVER = ['draft', 'scheduled', 'open', 'paused'] as const;
const SCHEDULE: SaleMove = { op: 'schedule', opensInMs: 60_000, durationMs: 60_000 };
/** The state machine of src/README.md; all other moves are illegal. */
const MACHINE: readonly Rule[] = [
  { move: SCHEDULE, from: ['draft', 'scheduled'], to: 'scheduled', event: 'sale.scheduled' },
  { move: { op: 'open' }, from: ['draft', 'scheduled'], to: 'open', event: 'sale.opened' },
  { move: { op: 'pause' }, from: ['open'], to: 'paused', event: 'sale.paused' },
  { move: { op: 'resume' }, from: ['paused'], to: 'open', event: 'sale.resumed' },
  { move: { op: 'extend', byMs: 1_000 }, from: ['scheduled', 'open', 'paused'], event: 'sale.extended' },
  { move: { op: 'end' }, from: NOT_OVER, to: 'ended', event: 'sale.ended' },
  { move: { op: 'cancel' }, from: NOT_OVER, to: 'cancelled', event: 'sale.cancelled' },
  { move: unitsMove(1), from: NOT_OVER, event: 'sale.stocked' },
];
/** The moves that lead from a draft to each state. */
const REACH: Record<SaleState, readonly SaleMove[]> = {
  draft: [],
  scheduled: [SCHEDULE],
  open: [{ op: 'open' }],
  paused: [{ op: 'open' }, { op: 'pause' }],
  ended: [{ op: 'end' }],
  cancelled: [{ op: 'cancel' }],
};

let keys = 0;
const move = (show: string, sale: string, what: SaleMove, key = `m${++keys}`) =>
  store.moveSale(show, sale, what, byHost(key));

for (const [state, path] of Object.entries(REACH) as Array<[SaleState, readonly SaleMove[]]>) {
  showTest(`every move of a sale that is ${state}`, async (t, show) => {
    for (const { move: what, from, to = state, event } of MACHINE) {
      const id = `${state}-${what.op}`;
      const name = `${what.op} when ${state}`;
      await newSale(show, { id, durationMs: 60_000 });
      for (const step of path) unwrap(await move(show, id, step));
      const before = await recordsOf(show);
      const isLegal = from.includes(state);
      const expected = isLegal ? { ok: true, value: { id, state: to } } : refused('illegal_move', { state });
      const commits = await published(show, async () => t.match(await move(show, id, what), expected, name));
      if (isLegal) {
        const events = commits[0]?.events.map(({ type, data }) => ({ type, data }));
        const data = what.op === 'units' ? { id } : { sale: { id, state: to } };
        t.match(events, [{ type: event, data }], `${name}: its event`);
        t.equal(events?.length, 1, `${name}: one event`);
        t.equal(unwrap(await store.getSale(show, id)).state, to);
      } else {
        t.same(commits, [], 'nothing is published');
        t.same(await recordsOf(show), before, 'nothing is written');
      }
    }
  });
}

saleTest('a repeated key returns its result and moves once; another body conflicts (I4)', {}, async (t, show) => {
  const first = await move(show, 'sale', unitsMove(5), 'more');
  t.same(await move(show, 'sale', unitsMove(5), 'more'), first);
  t.equal(outcome(await move(show, 'sale', unitsMove(6), 'more')), 'idempotency_conflict');
  t.equal(outcome(await move(show, 'sale', { op: 'pause' }, 'more')), 'idempotency_conflict');
  const created = await store.createSale(show, saleSpec({ id: 'x' }), byHost('more'));
  t.equal(outcome(created), 'idempotency_conflict', 'one key, one command');
  t.equal((await books(show)).allocated, 15);
  for (const op of ['pause', 'resume', 'end'] as const) {
    const result = await move(show, 'sale', { op }, op);
    t.same(await move(show, 'sale', { op }, op), result, `${op} repeated`);
  }
  // A late duplicate of an old move moves nothing.
  t.equal(outcome(await move(show, 'sale', { op: 'pause' }, 'pause')), 'ok');
  t.equal(unwrap(await store.getSale(show, 'sale')).state, 'ended');
});

saleTest('unknown sale and SKU, mistakes in a move', {}, async (t, show) => {
  t.equal(outcome(await move('nowhere', 'sale', { op: 'pause' })), 'show_not_found');
  t.equal(outcome(await move(show, 'ghost', { op: 'pause' })), 'sale_not_found');
  t.equal(outcome(await move(show, 'sale', { op: 'units', sku: 'XXL', delta: 1 })), 'sku_not_found');
  const wrong: SaleMove[] = [
    { op: 'schedule' },
    { op: 'schedule', opensInMs: -1 },
    { op: 'open', durationMs: 0 },
    { op: 'extend', byMs: 0 },
    { op: 'extend', byMs: -1 },
    unitsMove(0),
    unitsMove(0.5),
    { op: 'explode' } as unknown as SaleMove,
  ];
  for (const what of wrong) t.equal(outcome(await move(show, 'sale', what)), 'invalid_request', JSON.stringify(what));
});

saleTest('units are added, and withdrawn only while they are free', { units: { S: 3 } }, async (t, show) => {
  const held = await hold(show, 'ann');
  t.match(await move(show, 'sale', unitsMove(-3)), refused('insufficient_units', { sku: 'S', left: 2 }));
  unwrap(await move(show, 'sale', unitsMove(-2)));
  t.same(await books(show), { allocated: 3, available: 0, held: 1, sold: 0, withdrawn: 2 });
  unwrap(await confirm(show, held));
  unwrap(await move(show, 'sale', unitsMove(4)));
  t.same(await books(show), { allocated: 7, available: 4, held: 0, sold: 1, withdrawn: 2 });
  t.match(await move(show, 'sale', unitsMove(LIMITS.unitsPerSkuMax)), refused('limit_reached'));
});

const oneEach = { units: { S: 1, M: 1 }, perBuyer: 2 };
saleTest('sold out and stocked again are published once each, by id (E-6.1)', oneEach, async (t, show) => {
  const types = async (work: () => Promise<unknown>) => {
    await time.passSoldOutPause(show, 'sale');
    return eventTypes(show, work);
  };
  t.same(await types(() => hold(show, 'ann', { key: 'k1' })), [], 'M is left');
  const last: ReservationView[] = [];
  const commits = await published(show, async () => last.push(await hold(show, 'ann', { key: 'k2', sku: 'M' })));
  t.match(commits, [{ events: [{ type: 'sale.sold_out', data: { id: 'sale' } }], sales: [{ left: { M: 0 } }] }]);
  t.same(Object.keys(commits[0]?.events[0]?.data ?? {}), ['id'], 'not the whole sale');
  t.same(await types(() => reserve(show, 'bob')), []);
  t.same(await types(() => Promise.all(last.map((held) => release(show, held)))), ['sale.stocked']);
  t.same(await types(() => hold(show, 'bob', { sku: 'M' })), ['sale.sold_out']);
  t.same(await types(() => move(show, 'sale', unitsMove(1))), ['sale.stocked']);
  t.same(await types(() => move(show, 'sale', unitsMove(-1))), ['sale.stocked', 'sale.sold_out']);
});

saleTest(
  'I9: a unit that is held and released in a loop sends few events, the last is right (E-6.2)',
  {
    units: { S: 1 },
  },
  async (t, show) => {
    const flip = async (key: string) => unwrap(await release(show, await hold(show, 'ann', { key })));
    const startMs = Date.now();
    const types = await eventTypes(show, async () => {
      for (let i = 0; i < 20; i++) await flip(`k${i}`);
      await hold(show, 'ann', { key: 'last' });
    });
    const most = 2 + (Date.now() - startMs) / LIMITS.soldOutEveryMs;
    t.ok(types.length >= 1 && types.length <= most, types.join());
    t.equal(types[0], 'sale.sold_out');
    const late = await eventTypes(show, async () => {
      await time.passSoldOutPause(show, 'sale');
      await store.tick(show);
      await move(show, 'sale', { op: 'pause' });
      await move(show, 'sale', { op: 'resume' });
    });
    t.same([...types, ...late].filter((type) => /sold_out|stocked/.test(type)).at(-1), 'sale.sold_out');
  },
);

showTest('extend moves the end of the window; a duration counts from the real opening', async (t, show) => {
  const planned = await newSale(show, { opensInMs: 600_000, durationMs: 60_000 });
  const extended = unwrap(await move(show, 'sale', { op: 'extend', byMs: 30_000 }));
  t.equal((extended.closesAt ?? 0) - (planned.closesAt ?? 0), 30_000);
  const opened = unwrap(await move(show, 'sale', { op: 'open' }));
  t.equal((opened.closesAt ?? 0) - (opened.opensAt ?? 0), 90_000, 'an early opening keeps the extension');
  t.equal(unwrap(await move(show, 'sale', { op: 'extend', byMs: 5_000 })).closesAt, (opened.closesAt ?? 0) + 5_000);
  const tooLong = await move(show, 'sale', { op: 'extend', byMs: LIMITS.saleDurationMaxMs });
  t.match(tooLong, refused('invalid_request', { latestClosesAt: Number }));

  await newSale(show, { id: 'endless', opensInMs: 0 });
  t.equal(outcome(await move(show, 'endless', { op: 'extend', byMs: 1_000 })), 'illegal_move', 'it has no end');
  await newSale(show, { id: 'length', durationMs: 60_000 });
  const scheduled = unwrap(await move(show, 'length', { op: 'schedule', opensInMs: 1_000 }));
  t.equal((scheduled.closesAt ?? 0) - (scheduled.opensAt ?? 0), 60_000, 'the duration given at creation stays');
  const closesAt = store.now() + 600_000;
  await newSale(show, { id: 'until', closesAt });
  // The end given at creation stays.
  t.equal(unwrap(await move(show, 'until', { op: 'schedule', opensInMs: 1_000 })).closesAt, closesAt);
  t.equal(unwrap(await move(show, 'until', { op: 'open' })).closesAt, closesAt);
});

showTest('a move after a planned moment applies to the new state', async (t, show) => {
  await newSale(show, { id: 'opens', opensInMs: 600_000, durationMs: 60_000 });
  await time.passMoment(show, 'opens', 'opensAt');
  const late = await move(show, 'opens', { op: 'schedule', opensInMs: 900_000 });
  t.match(late, refused('illegal_move', { state: 'open' }));
  await newSale(show, { id: 'closes' });
  await time.passMoment(show, 'closes', 'closesAt');
  t.match(await move(show, 'closes', { op: 'pause' }), refused('illegal_move', { state: 'ended' }));
  t.same(await fixture.saleStates(show), { opens: 'open', closes: 'ended' });
});

test('a cancel releases all holds', async (t) => {
  const count = 2 * LIMITS.sweepSliceMax + 7;
  const show = await openShow({ units: { S: count } });
  await Promise.all(times(count, (i) => hold(show, `u${i}`)));
  t.equal((await books(show)).held, count);
  const cancelled = unwrap(await move(show, 'sale', { op: 'cancel' }, 'cancel'));
  t.match(cancelled, { state: 'cancelled', skus: [{ available: count, held: 0 }] });
  t.match(await move(show, 'sale', { op: 'cancel' }, 'cancel'), { ok: true, value: { state: 'cancelled' } });
  t.match((await ledger(show)).at(-1), ['release', 'sale', String, String, HOST, '', 'sale_cancelled']);
});

showTest('a draft is edited, and the ledger has each unit (I1, I4)', async (t, show) => {
  await newSale(show, { durationMs: 60_000, units: { S: 10, M: 5 } });
  const edit = (change: SaleEdit, key: string) => store.editSale(show, 'sale', change, byHost(key));
  const skus = [
    { sku: 'S', price: 500, quantity: 4 },
    { sku: 'M', quantity: 8 },
  ];
  const edited = await edit({ title: 'New', holdMs: 60_000, durationMs: 90_000, skus }, 'e1');
  const books = [
    { sku: 'S', price: 500, allocated: 10, available: 4, withdrawn: 6 },
    { sku: 'M', price: 1000, allocated: 8, available: 8, withdrawn: 0 },
  ];
  t.match(unwrap(edited), { state: 'draft', title: 'New', holdMs: 60_000, skus: books });
  t.same(
    await edit({ title: 'New', holdMs: 60_000, durationMs: 90_000, skus }, 'e1'),
    edited,
    'a repeat changes nothing',
  );
  t.match(await edit({ title: 'Other' }, 'e1'), refused('idempotency_conflict'));
  t.match(
    await edit(
      {
        skus: [
          { sku: 'S', price: 1 },
          { sku: 'X', price: 1 },
        ],
      },
      'e2',
    ),
    refused('sku_not_found', { sku: 'X' }),
  );
  t.match(await edit({ skus: [{ sku: 'S', quantity: LIMITS.unitsPerSkuMax }] }, 'e3'), refused('limit_reached'));
  t.match(unwrap(await store.getSale(show, 'sale')).skus, books, 'a refusal changes nothing');
  const opened = unwrap(await move(show, 'sale', { op: 'open' }));
  t.equal((opened.closesAt ?? 0) - (opened.opensAt ?? 0), 90_000);
  t.equal((await hold(show, 'ann')).amount, 500);
  t.match(await edit({ title: 'Late' }, 'e4'), refused('illegal_move', { state: 'open' }));
});

showTest('SKUs are added to a draft, removed and replaced; the ledger has each unit (I1, I4)', async (t, show) => {
  await newSale(show, { durationMs: 60_000, units: { S: 10, M: 5 }, perBuyer: 4 });
  const skus = [{ sku: 'L' }, { sku: 'XL' }];
  unwrap(await store.putProduct(show, { id: 'q', brand: 'b', title: 'Q', skus }, HOST));
  const edit = (change: SaleEdit, key: string) => store.editSale(show, 'sale', change, byHost(key));
  const large = { sku: 'L', product: 'q', price: 700, quantity: 3, perBuyer: 2 };
  const change: SaleEdit = { addSkus: [large], removeSkus: ['M'], skus: [{ sku: 'S', quantity: 8 }] };
  const commits = await published(show, async () => {
    const edited = unwrap(await edit(change, 'e1'));
    t.same(pluck(edited.skus, 'sku'), ['S', 'L']);
    t.match(edited.skus[1], { sku: 'L', product: 'q', price: 700, perBuyer: 2, allocated: 3, available: 3 });
    t.same(unwrap(await edit(change, 'e1')), edited, 'a repeat changes nothing');
  });
  t.match(commits, [{ events: [{ data: { sale: { skus: [{ sku: 'S' }, { sku: 'L', left: 3 }] } } }] }]);
  t.equal(await fixture.client.hexists(time.key(show, 'stock'), 'sale/M'), 0);
  t.match(await edit({ skus: [{ sku: 'M', price: 1 }] }, 'e2'), refused('sku_not_found', { sku: 'M' }));
  t.match(await edit({ removeSkus: ['M'] }, 'e3'), refused('sku_not_found', { sku: 'M' }));
  t.match(await edit({ addSkus: [large] }, 'e4'), refused('already_exists', { sku: 'L' }));
  const alien = { ...large, sku: 'S', product: 'q' };
  t.match(await edit({ addSkus: [alien], removeSkus: ['S'] }, 'e5'), refused('sku_not_in_product', { sku: 'S' }));
  t.match(await edit({ removeSkus: ['S', 'L'] }, 'e6'), refused('invalid_request', { field: 'removeSkus' }));
  const greedy = { ...large, sku: 'XL', perBuyer: 5 };
  t.match(await edit({ addSkus: [greedy] }, 'e7'), refused('invalid_request', { field: 'perBuyer', max: 4 }));
  t.match(await edit({ addSkus: [{ ...large, quantity: 0 }] }, 'e8'), refused('invalid_request'));
  const replaced = unwrap(await edit({ removeSkus: ['L'], addSkus: [{ ...large, price: 900, perBuyer: 1 }] }, 'e9'));
  t.match(replaced.skus, [{ sku: 'S' }, { sku: 'L', price: 900, perBuyer: 1, allocated: 3, withdrawn: 0 }]);
  t.match(unwrap(await edit({ addSkus: [{ ...large, sku: 'M', product: 'p' }] }, 'e10')).skus, { length: 3 });
  unwrap(await move(show, 'sale', { op: 'open' }));
  t.equal((await hold(show, 'ann', { sku: 'L' })).amount, 900);
  t.match(await reserve(show, 'ann', { key: 'more', sku: 'L' }), refused('limit_exceeded'));
  t.match(await edit({ removeSkus: ['M'] }, 'late'), refused('illegal_move', { state: 'open' }));
});

showTest('a refused reserve of a removed SKU is justified in the ledger', async (t, show) => {
  await newSale(show, { durationMs: 60_000, units: { S: 1, M: 1 } });
  unwrap(await store.editSale(show, 'sale', { removeSkus: ['M'] }, byHost('e')));
  unwrap(await move(show, 'sale', { op: 'open' }));
  t.match(await reserve(show, 'ann', { sku: 'M' }), refused('sku_not_found'));
  t.match(await store.reconcile(show, HOST), { ok: true, value: { violations: [], repaired: [] } });
});

showTest('random edits of a draft keep the books equal to the ledger (I1)', async (t, show) => {
  const codes = ['A', 'B', 'C'];
  unwrap(await store.putProduct(show, { id: 'r', brand: 'b', title: 'R', skus: codes.map((sku) => ({ sku })) }, HOST));
  const skuOf = (sku: string) => ({ sku, product: 'r', price: 2, quantity: 5 });
  // `add` and `remove` fit the state only sometimes; `toggle` always does.
  const action = fc.constantFrom('keep', 'keep', 'toggle', 'toggle', 'edit', 'replace', 'replace', 'add', 'remove');
  const actions = fc.array(fc.tuple(action, action, action), { minLength: 1, maxLength: 8 });
  let runs = 0;
  const edits = fc.asyncProperty(actions, async (changes) => {
    const id = `r${++runs}`;
    unwrap(await store.createSale(show, { id, title: 'R', currency: 'EUR', skus: [skuOf('A')] }, byHost(id)));
    let want = ['A'];
    for (const [i, what] of changes.entries()) {
      const hasAction = (sku: string, ...of: string[]): boolean => of.includes(what[codes.indexOf(sku)] ?? '');
      const [listed, missing] = [want, codes.filter((sku) => !want.includes(sku))];
      const removeSkus = codes.filter((sku) => hasAction(sku, 'remove'));
      removeSkus.push(...listed.filter((sku) => hasAction(sku, 'toggle', 'replace')));
      const adds = codes.filter((sku) => hasAction(sku, 'add'));
      adds.push(
        ...listed.filter((sku) => hasAction(sku, 'replace')),
        ...missing.filter((sku) => hasAction(sku, 'toggle')),
      );
      const skus = listed.filter((sku) => hasAction(sku, 'edit')).map((sku) => ({ sku, quantity: i + 1 }));
      const after = [...listed.filter((sku) => !removeSkus.includes(sku)), ...adds];
      const isLegal =
        removeSkus.every((sku) => listed.includes(sku)) && new Set(after).size === after.length && after.length > 0;
      const edit = { addSkus: adds.map(skuOf), removeSkus, skus };
      const edited = await store.editSale(show, id, edit, byHost(`${id}-${i}`));
      t.equal(edited.ok, isLegal, JSON.stringify({ listed, ...edit }));
      if (edited.ok) want = after;
      t.same(pluck(unwrap(await store.getSale(show, id)).skus, 'sku'), want);
    }
    t.match(unwrap(await store.verify(show)), { violations: { length: 0 } });
    unwrap(await store.deleteSale(show, id, byHost(`${id}-end`)));
  });
  await fc.assert(edits, { numRuns: 15, seed: FIRST_SEED });
});

showTest('a deleted draft is gone for hosts and viewers, and its id stays in use', async (t, show) => {
  const remove = (id: string, key: string) => store.deleteSale(show, id, byHost(key));
  await newSale(show, { durationMs: 60_000 });
  await newSale(show, { id: 'other' });
  const deleted = await remove('sale', 'd');
  t.equal(outcome(deleted), 'ok');
  t.same(await remove('sale', 'd'), deleted);
  t.match(await remove('sale', 'again'), refused('sale_not_found'));
  t.match(await remove('other', 'open'), refused('illegal_move', { state: 'open' }));
  t.same(pluck(unwrap(await store.listSales(show)), 'id'), ['other']);
  t.same(pluck(unwrap(await store.load(show)).snapshot.sales, 'id'), ['other']);
  t.equal(outcome(await store.getSale(show, 'sale')), 'sale_not_found');
  const unreadable: string[] = [];
  await fixture.client.hset(time.key(show, 'sales'), 'damaged', 'junk');
  t.same(pluck(unwrap(await store.listSales(show, (id) => unreadable.push(id))), 'id'), ['other']);
  t.same(unreadable, ['damaged'], 'a deleted draft is not one that cannot be read');
  await fixture.client.hdel(time.key(show, 'sales'), 'damaged');
  t.equal(outcome(await move(show, 'sale', { op: 'open' })), 'sale_not_found');
  t.match(await store.createSale(show, saleSpec(), byHost('new')), refused('already_exists'));
  t.match(unwrap(await store.verify(show)), { violations: { length: 0 } });
});
