/** What script calls report about holds: counted once, by the process that made the call. */
import type { HoldOutcome } from '../../../src/domain/reservation.ts';
import { LIMITS } from '../../../src/limits.ts';
import { StoreFixture, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('counts:');
const { saleTest, time, connectAnother, reserve, confirm, release, refund, hold } = fixture;

async function countingStore() {
  const counts: Record<string, [holds: number, units: number]> = {};
  const revenue: Record<string, number> = {};
  const store = await connectAnother({
    onHolds: (outcome: HoldOutcome, holds, units) => {
      const [before, unitsBefore] = counts[outcome] ?? [0, 0];
      counts[outcome] = [before + holds, unitsBefore + units];
    },
    onOrder: (currency, amount) => {
      revenue[currency] = (revenue[currency] ?? 0) + amount;
    },
  });
  /** Returns the counts since the last call. */
  const take = () => {
    const taken = { ...counts };
    for (const outcome of Object.keys(counts)) delete counts[outcome];
    return taken;
  };
  return { store, take, revenue };
}

const sale = { units: { S: 3, M: 5 }, perBuyer: 5, holdMs: 15_000 };

saleTest('holds and units are counted by outcome where the reply arrives, repeats are not', sale, async (t, show) => {
  const [one, two] = [await countingStore(), await countingStore()];
  const batch = [
    { user: 'ann', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 2 }] },
    { user: 'ben', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] },
    { user: 'eve', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 9 }] },
  ];
  const [ann, ben] = await one.store.reserve(show, batch);
  await two.store.reserve(show, batch);
  t.same(one.take(), { made: [2, 3] });
  t.same(two.take(), {}, 'recorded results and refusals are not counted');

  const ofAnn = unwrap(ann!).reservation;
  unwrap(await confirm(show, ofAnn, {}, two.store));
  unwrap(await confirm(show, ofAnn, {}, one.store));
  t.same([one.take(), two.take()], [{}, { confirmed: [1, 2] }]);
  t.same([one.revenue, two.revenue], [{}, { EUR: ofAnn.amount }]);

  unwrap(await refund(show, ofAnn, { restock: false }, one.store));
  unwrap(await refund(show, ofAnn, { restock: false }, two.store));
  t.same([one.take(), two.take()], [{ refunded: [1, 2] }, {}]);

  const wait = { op: 'join', user: 'cem', key: 'join', sale: 'sale', sku: 'S', qty: 1 } as const;
  unwrap(await one.store.waitlist(show, wait));
  await time.passDeadline(show, unwrap(ben!).reservation.id);
  unwrap(await two.store.tick(show));
  unwrap(await one.store.tick(show));
  t.same([one.take(), two.take()], [{}, { expired: [1, 1], offered: [1, 1] }], 'freed units are offered in one call');
  const [[offer]] = (await fixture.reservationsOf(show, ['cem'])) as [[Parameters<typeof release>[1]]];
  unwrap(await release(show, offer, {}, one.store));
  t.same([one.take(), two.take()], [{ released: [1, 1] }, {}]);

  const late = await hold(show, 'dan', { sku: 'M', qty: 2 });
  await time.passDeadline(show, late.id);
  t.ok((await reserve(show, 'fay', { sku: 'M', qty: 4 }, one.store)).ok);
  t.same(one.take(), { made: [1, 4], expired: [1, 2] }, 'a reserve expires what is due');
  unwrap(await two.store.moveSale(show, 'sale', { op: 'cancel' }, { key: 'cancel', actor: 'host:test' }));
  t.same([one.take(), two.take()], [{}, { released: [1, 4] }], 'a cancelled sale releases its holds');
});

saleTest('a call that ends many holds reports their sum', { units: { S: 60 } }, async (t, show) => {
  const { store, take } = await countingStore();
  for (let n = 0; n < 40; n += 1) await reserve(show, `u${n}`, {}, store);
  t.same(take(), { made: [40, 40] });
  await time.passAllDeadlines(show);
  unwrap(await store.tick(show));
  t.same(take(), { expired: [LIMITS.sweepSliceMax, LIMITS.sweepSliceMax] });
  unwrap(await store.tick(show));
  t.same(take(), { expired: [15, 15] });
});
