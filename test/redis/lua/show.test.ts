/** show_create.lua, show_apply.lua, load.lua: shows and products, and concurrent changes. */
import { LIMITS } from '../../../src/limits.ts';
import { pack } from '../../../src/redis/records.ts';
import { byHost, HOST, outcome, pluck, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('show:');
const { test, showTest, saleTest, store, client, time, hold } = fixture;
const { eventsOf, confirm, newSale, saleSpec, eventTypes, published, connectAnother } = fixture;

test('creating a show again returns it for the same body and is refused for another', async (t) => {
  const spec = { id: 'opening', title: 'Opening', guests: false, slowModeMs: 500, brands: [{ id: 'b', name: 'B' }] };
  const made = unwrap(await store.createShow(spec, HOST));
  t.match(made, { ...spec, state: 'planned', startsAt: null, pinned: null });
  t.same(unwrap(await store.createShow(spec, HOST)), made);
  unwrap(await store.startShow('opening', HOST));
  t.same(unwrap(await store.createShow(spec, HOST)), { ...made, state: 'live' }, 'a late repeat has the present state');
  t.equal(outcome(await store.createShow({ ...spec, title: 'Other' }, HOST)), 'already_exists');
  t.match(await eventsOf('opening'), [
    { offset: 1, type: 'show.created', data: { show: { id: 'opening', state: 'planned' } } },
    { offset: 2, type: 'show.started' },
  ]);
});

test('shows are listed newest first, with different ids', async (t) => {
  const made: string[] = [];
  for (const title of ['One', 'Two', 'Three']) made.push(unwrap(await store.createShow({ title }, HOST)).id);
  t.equal(new Set(made).size, 3);
  const listed = pluck(unwrap(await store.listShows()).shows, 'id').filter((id) => made.includes(id));
  t.same(listed.sort(), [...made].sort(), 'all of them are listed');
  t.equal(outcome(await store.getShow('ghost')), 'show_not_found');
  await client.zadd(`${fixture.prefix}shows`, 1, 'half-made');
  const listedNow = pluck(unwrap(await store.listShows()).shows, 'id');
  t.notOk(listedNow.includes('half-made'), 'an index entry without a show is skipped');
});

showTest('planned, live, ended: each change once, and none back', async (t, show) => {
  const types = (work: () => Promise<unknown>) => eventTypes(show, work);
  t.same(await types(() => store.startShow(show, HOST)), ['show.started']);
  t.same(await types(() => store.startShow(show, HOST)), [], 'again changes nothing');
  t.same(await types(() => store.endShow(show, HOST)), ['show.ended']);
  t.same(await types(() => store.endShow(show, HOST)), []);
  t.equal(outcome(await store.startShow(show, HOST)), 'illegal_move');
  t.equal(unwrap(await store.getShow(show)).state, 'ended');
  t.equal(outcome(await store.startShow('ghost', HOST)), 'show_not_found');
  t.equal(outcome(await store.endShow('ghost', HOST)), 'show_not_found');
  t.equal(outcome(await store.updateShow('ghost', { title: 'x' }, HOST)), 'show_not_found');
});

saleTest('ending a show ends its sales; holds may still be confirmed', {}, async (t, show) => {
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  await newSale(show, { id: 'later', opensInMs: 60_000 });
  const held = await hold(show, 'ann');
  unwrap(await store.endShow(show, HOST));
  t.same(await fixture.saleStates(show), { sale: 'ended', draft: 'ended', later: 'ended' });
  t.equal(outcome(await confirm(show, held)), 'ok');
  t.equal(outcome(await store.createSale(show, saleSpec({ id: 'new' }), byHost('new'))), 'show_ended');
});

showTest('a sale created while the show ends does not stay open', async (t, show) => {
  const other = await connectAnother();
  const creating = times(10, (i) => other.createSale(show, saleSpec({ id: `s${i}` }), byHost(`c${i}`)));
  await Promise.all([store.endShow(show, HOST), ...creating]);
  const open = unwrap(await store.listSales(show)).filter(({ state }) => state !== 'ended');
  t.same(open, [], 'all sales ended');
});

showTest('a patch changes the named fields and publishes the whole view', async (t, show) => {
  const commits = await published(show, () => store.updateShow(show, { title: 'New', slowModeMs: 2_000 }, HOST));
  const view = { id: show, title: 'New', slowModeMs: 2_000, brands: [{ id: 'b' }] };
  t.match(commits, [
    { events: [{ type: 'show.updated', data: { show: view } }], sales: [], reservations: { length: 0 } },
  ]);
  t.match(unwrap(await store.getShow(show)), { title: 'New', slowModeMs: 2_000, guests: true });
  t.equal(outcome(await store.updateShow(show, {}, HOST)), 'invalid_request');
  t.equal(outcome(await store.updateShow(show, { title: '' }, HOST)), 'invalid_request');
});

showTest('concurrent changes lose nothing', async (t, show) => {
  const other = await connectAnother();
  const results = await Promise.all([
    store.updateShow(show, { title: 'New' }, HOST),
    other.updateShow(show, { slowModeMs: 3_000 }, HOST),
    store.pinProduct(show, 'p', HOST),
    other.updateShow(show, { guests: false }, HOST),
    store.putProduct(show, { id: 'q', brand: 'b', title: 'Q', skus: [{ sku: 'Q' }] }, HOST),
    other.startShow(show, HOST),
  ]);
  t.same(results.map(outcome), ['ok', 'ok', 'ok', 'ok', 'ok', 'ok']);
  const changed = { title: 'New', slowModeMs: 3_000, guests: false, pinned: 'p', state: 'live' };
  t.match(unwrap(await store.getShow(show)), changed);
  t.same(pluck(unwrap(await store.listProducts(show)), 'id').sort(), ['p', 'q']);
});

showTest('products: saved, replaced, pinned, removed', async (t, show) => {
  const product = { id: 'q', brand: 'b', title: 'Q', skus: [{ sku: 'Q-1', title: 'one' }] };
  const types = async (work: () => Promise<unknown>) =>
    (await published(show, work)).map(({ events }) => events.map(({ type }) => type));
  t.same(await types(() => store.putProduct(show, product, HOST)), [['product.saved']]);
  t.same(await types(() => store.pinProduct(show, 'q', HOST)), [['product.pinned']]);
  t.same(await types(() => store.pinProduct(show, 'q', HOST)), [], 'pinned already');
  t.same(await types(() => store.putProduct(show, { ...product, title: 'Q2' }, HOST)), [['product.saved']]);
  t.equal(unwrap(await store.listProducts(show)).find(({ id }) => id === 'q')?.title, 'Q2');
  // One commit for both.
  t.same(await types(() => store.removeProduct(show, 'q', HOST)), [['product.removed', 'product.pinned']]);
  t.equal(unwrap(await store.getShow(show)).pinned, null);
  t.equal(outcome(await store.removeProduct(show, 'q', HOST)), 'product_not_found');
  t.equal(outcome(await store.pinProduct(show, 'q', HOST)), 'product_not_found');
  t.equal(outcome(await store.putProduct(show, { ...product, brand: 'unknown' }, HOST)), 'invalid_request');
  t.equal(outcome(await store.putProduct(show, { ...product, skus: [] }, HOST)), 'invalid_request');
  t.equal(outcome(await store.putProduct('ghost', product, HOST)), 'show_not_found');
});

showTest('many changes at once wait for each other, and all are made', async (t, show) => {
  const product = (i: number) => ({ id: `q${i}`, brand: 'b', title: `Q${i}`, skus: [{ sku: `Q-${i}` }] });
  const saved = await Promise.all(times(50, (i) => store.putProduct(show, product(i), HOST)));
  t.same(new Set(saved.map(outcome)), new Set(['ok']));
  t.equal(unwrap(await store.listProducts(show)).length, 51);
});

showTest('the number of products is limited; existing ones can be replaced', async (t, show) => {
  const product = { id: 'q', brand: 'b', title: 'Q', skus: [{ sku: 'Q' }] };
  const filler = times(LIMITS.productsPerShowMax - 1, (i) => [`f${i}`, pack({ ...product, id: `f${i}` })]);
  await client.hset(time.key(show, 'products'), ...filler.flat());
  t.equal(outcome(await store.putProduct(show, product, HOST)), 'limit_reached');
  t.equal(outcome(await store.putProduct(show, { ...product, id: 'p' }, HOST)), 'ok');
  unwrap(await store.removeProduct(show, 'f0', HOST));
  t.equal(outcome(await store.putProduct(show, product, HOST)), 'ok');
});

showTest('an announcement is an event; an empty or too long one is refused', async (t, show) => {
  const { offset } = unwrap(await store.announce(show, 'Two minutes left!', HOST));
  t.match((await eventsOf(show)).at(-1), { offset, type: 'announcement', data: { text: 'Two minutes left!' } });
  t.equal(outcome(await store.announce(show, '', HOST)), 'invalid_request');
  t.equal(outcome(await store.announce(show, 'x'.repeat(LIMITS.announcementCharsMax + 1), HOST)), 'invalid_request');
  t.equal(outcome(await store.announce('ghost', 'x', HOST)), 'show_not_found');
});

saleTest('a snapshot has everything at one position of the log', { units: { S: 10, M: 5 } }, async (t, show) => {
  await hold(show, 'ann');
  unwrap(await store.startShow(show, HOST));
  const { snapshot, rev, nextDueAt, chat } = unwrap(await store.load(show));
  t.match(snapshot, { offset: 5, show: { id: show, state: 'live' }, products: [{ id: 'p' }] });
  t.match(snapshot, { sales: [{ id: 'sale', state: 'open', rev }], state: { viewers: 0, peak: 0, hearts: 0 } });
  const left = snapshot.sales[0]?.skus.map((sku) => `${sku.left} ${sku.sku}`);
  t.same(left, ['9 S', '5 M']);
  t.match(unwrap(await store.getShow(show)), snapshot.show);
  t.ok((nextDueAt ?? 0) > store.now(), 'the next thing due is the end of the hold');
  t.same(chat, []);
  t.equal(outcome(await store.load('ghost')), 'show_not_found');
});
