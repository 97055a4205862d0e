/** gate.lua: local refusals of nodes are in the ledger and move no units. */
import { outcome, StoreFixture, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('gate:');
const { saleTest, store, books, ledger, published } = fixture;

saleTest('reported refusals are counted with the position of the node, not published', {}, async (t, show) => {
  const { rev, snapshot } = unwrap(await store.load(show));
  const at = store.now();
  const report = (code: string, count: number) => ({ sale: 'sale', code, count, offset: snapshot.offset, rev });
  const commits = await published(show, async () => {
    unwrap(await store.reportRefusals(show, 'n1', at, [report('sold_out', 120), report('sale_not_open', 3)]));
    unwrap(await store.reportRefusals(show, 'n2', at, [report('sold_out', 7)]));
    unwrap(await store.reportRefusals(show, 'n3', at, []));
  });
  t.same(commits, []);
  t.match(unwrap(await store.verify(show)), { localRefusals: 130, refusals: 0, violations: { length: 0 } });
  const entries = (await ledger(show)).filter(([kind]) => kind === 'gate');
  t.match(entries, [
    ['gate', 'sale', false, false, 'n1', '', 'sold_out', false, { at, count: 120, offset: snapshot.offset, rev }],
    ['gate', 'sale', false, false, 'n1', '', 'sale_not_open', false, { count: 3 }],
    ['gate', 'sale', false, false, 'n2', '', 'sold_out', false, { count: 7 }],
  ]);
  t.same(await books(show), { allocated: 10, available: 10, held: 0, sold: 0, withdrawn: 0 });
  t.equal(outcome(await store.reportRefusals('ghost', 'n1', at, [report('sold_out', 1)])), 'show_not_found');
});
