/** I10: what one release leaves in the middle of something, and the other one finds. */
import { join } from 'node:path';
import t from 'tap';
import { createErasures, exportShow, importShow } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { temporaryFolder } from '../support/archives.ts';
import { connectPreviousStore, createPreviousJobs, PREVIOUS_MODES } from '../support/previous-release.ts';
import { HOST, outcome, StoreFixture, times, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const fixture = await StoreFixture.open('two:', {}, PREVIOUS_MODES);
const { store, client, openShow, test, hold, release, move } = fixture;
const previous = await connectPreviousStore(fixture.redis.url, 'two:');
t.teardown(() => previous.close());

const WAITING = LIMITS.waitlistSliceMax + 5;
const SKUS = ['M', 'S'];

test('the previous release goes on with a waitlist that is served in slices', async (t) => {
  const units = Object.fromEntries(SKUS.map((sku) => [sku, WAITING]));
  const show = await openShow({ units, perBuyer: 2 * WAITING });
  const all = await hold(show, 'buyer', { lines: SKUS.map((sku) => ({ sku, qty: WAITING })) });
  const joins = SKUS.flatMap((sku) => times(WAITING, (i) => ({ user: `${sku}${i}`, sku, qty: 1 })));
  const join = { op: 'join', key: 'join', sale: 'sale' } as const;
  for (const joined of await Promise.all(joins.map((each) => store.waitlist(show, { ...join, ...each }))))
    unwrap(joined);
  // One SKU takes all that a call may look at; the other one has no position yet.
  unwrap(await release(show, all));
  for (let n = 0; n < 4; n++) unwrap(await previous.tick(show));
  for (const sku of SKUS) t.match(await fixture.books(show, sku), { available: 0, held: WAITING }, `offers of ${sku}`);
  const counts = unwrap(await store.reportCounts(show, 'n', 1, 0));
  t.equal(counts.endedWaits, joins.length, 'so nodes of this release look for new positions (W-9.2)');
  t.match(unwrap(await previous.verify(show)), { violations: { length: 0 } });
});

test('the previous release keeps the addresses of a show, and its announcements reach all nodes', async (t) => {
  const show = await openShow();
  const videoUrl = 'https://cdn.example/live.m3u8';
  const addresses = { visibility: 'public', videoUrl, checkoutUrl: 'https://shop.example/{reservation}' } as const;
  unwrap(await store.updateShow(show, addresses, HOST));
  unwrap(await store.announce(show, 'first', HOST));
  unwrap(await previous.updateShow(show, { title: 'Renamed' }, HOST));
  const { snapshot } = unwrap(await store.load(show));
  t.match(snapshot, { show: { title: 'Renamed', ...addresses }, announcement: { text: 'first' } });
  t.match(unwrap(await previous.load(show)).snapshot.show, addresses);
  unwrap(await previous.announce(show, 'second', HOST));
  t.match(unwrap(await store.publicShows()), [{ id: show, title: 'Renamed' }]);
  const events = unwrap(await store.eventsAfter(show, snapshot.epoch, snapshot.offset));
  t.match(events, [{ type: 'announcement', data: { text: 'second' } }]);
});

test('the previous release keeps the notes of an order, and confirms what this one finds (I10)', async (t) => {
  const show = await openShow({ perBuyer: 3 });
  const [first, second] = [await hold(show, 'ann'), await hold(show, 'bob')];
  const { reservation } = unwrap(await fixture.confirm(show, first, { orderRef: 'A-1' }));
  unwrap(await store.changeOrder(show, first.id, { note: 'gift', fulfillment: 'fulfilled' }));
  t.same(unwrap(await previous.getReservation(show, first.id)), reservation);
  const [ann] = unwrap(await previous.holdingsOf(show, ['ann']));
  t.same(ann?.reservations, [reservation]);
  const order = { reservation: second.id, orderRef: 'A-1', amount: second.amount };
  t.equal(outcome(await previous.confirm(show, order, { key: 'k', actor: HOST })), 'ok', 'it knows no references');
  unwrap(await previous.tick(show));
  t.match(unwrap(await previous.verify(show)), { violations: { length: 0 } });
  const { items } = unwrap(await store.listBooked(show, { isOrder: true, limit: 10 }));
  t.match(items, [
    {
      id: first.id,
      note: 'gift',
      fulfillment: 'fulfilled',
      lines: [{ sku: 'S', price: 1000, product: 'p', brand: 'b' }],
    },
    { id: second.id, orderRef: 'A-1' },
  ]);
  t.match(unwrap(await store.verify(show)), { violations: { length: 0 } });
});

test('the previous release finds the books of a draft that was edited or deleted right (I1, I10)', async (t) => {
  const show = await openShow();
  for (const id of ['edited', 'deleted']) await fixture.newSale(show, { id, durationMs: 60_000, units: { M: 5 } });
  const skus = [{ sku: 'M', price: 500, quantity: 3 }];
  unwrap(await store.editSale(show, 'edited', { skus }, { key: 'e', actor: HOST }));
  unwrap(await store.deleteSale(show, 'deleted', { key: 'd', actor: HOST }));
  t.match(unwrap(await previous.verify(show)), { violations: { length: 0 } });
  const item = { user: 'dan', key: 'k', sale: 'edited', lines: [{ sku: 'M', qty: 1 }] };
  unwrap(await previous.moveSale(show, 'edited', { op: 'open' }, { key: 'o', actor: HOST }));
  t.match((await previous.reserve(show, [item]))[0], { ok: true, value: { reservation: { amount: 500 } } });
  t.equal(outcome(await previous.moveSale(show, 'deleted', { op: 'open' }, { key: 'p', actor: HOST })), 'illegal_move');
  t.match(unwrap(await store.verify(show)), { violations: { length: 0 } });
});

test('the previous release sells from a draft with other SKUs (I10)', async (t) => {
  const show = await openShow();
  await fixture.newSale(show, { id: 'edited', durationMs: 60_000, units: { M: 5 } });
  const addSkus = [{ sku: 'S', product: 'p', price: 700, quantity: 2 }];
  unwrap(await store.editSale(show, 'edited', { addSkus, removeSkus: ['M'] }, { key: 'e', actor: HOST }));
  unwrap(await previous.moveSale(show, 'edited', { op: 'open' }, { key: 'o', actor: HOST }));
  const [sold, gone] = await previous.reserve(show, [
    { user: 'dan', key: 'k', sale: 'edited', lines: [{ sku: 'S', qty: 1 }] },
    { user: 'eve', key: 'k', sale: 'edited', lines: [{ sku: 'M', qty: 1 }] },
  ]);
  t.match(sold, { ok: true, value: { reservation: { amount: 700 } } });
  t.equal(outcome(gone), 'sku_not_found');
  t.match(unwrap(await store.verify(show)), { violations: { length: 0 } });
});

/** Returns the content of all keys of a show. */
async function contentOf(show: string): Promise<Record<string, unknown>> {
  const name = `two:{${show}}:show`;
  const header = await client.hgetall(name);
  const names = (await client.keys(`two:{${show}}:*`)).filter((each) => each !== name).sort();
  const bytes = await Promise.all(names.map((name) => client.dumpBuffer(name)));
  return { header, ...Object.fromEntries(names.map((name, i) => [name, bytes[i]?.toString('hex')])) };
}

test('the previous release takes a show that is archived, or deleted, for a missing one', async (t) => {
  const show = await openShow();
  const held = await hold(show, 'ann');
  unwrap(await release(show, held));
  unwrap(await move(show, { op: 'end' }));
  unwrap(await store.endShow(show, HOST));
  await fixture.skipCommitCheck(show);
  const command = { key: 'late', actor: HOST };
  const spec = { id: show, title: 'Another', brands: [] };
  const item = { user: 'bob', key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] };
  const calls: Record<string, () => Promise<unknown>> = {
    load: () => previous.load(show),
    tick: () => previous.tick(show),
    reserve: async () => (await previous.reserve(show, [item]))[0],
    confirm: () => previous.confirm(show, { reservation: held.id, orderRef: 'o', amount: held.amount }, command),
    moveSale: () => previous.moveSale(show, 'sale', { op: 'extend', byMs: 1_000 }, command),
    reportCounts: () => previous.reportCounts(show, 'node', 7, 1),
    announce: () => previous.announce(show, 'hello', HOST),
    getShow: () => previous.getShow(show),
  };
  const isMissing = async (state: string): Promise<void> => {
    const before = await contentOf(show);
    for (const [name, call] of Object.entries(calls))
      t.equal(outcome((await call()) as never), 'show_not_found', `${name}, ${state}`);
    t.equal(outcome(await previous.createShow(spec, HOST)), 'already_exists', `createShow, ${state}`);
    t.same(await contentOf(show), before, `nothing has changed, ${state}`);
  };

  const frozen = unwrap(await store.freezeShow(show, 'job'));
  const token = frozen.step === 'frozen' ? frozen.show.token : '';
  await isMissing('archiving');
  unwrap(await store.thawShow(show, token));
  t.equal(outcome(await previous.tick(show)), 'ok', 'an archive that was given up leaves the show as it was');
  t.match(unwrap(await previous.verify(show)), { violations: { length: 0 } });

  const again = unwrap(await store.freezeShow(show, 'job'));
  const used = again.step === 'frozen' ? again.show.token : '';
  unwrap(await store.finishArchive(show, used, { name: 'archive' } as never, 60_000));
  await isMissing('archived');
  unwrap(await store.condemnShow(show));
  await isMissing('deleting');
});

test('while the previous release runs, erasures, exports, imports and refunds are refused (I10)', async (t) => {
  const [show, other] = [await openShow(), await openShow()];
  const folder = temporaryFolder(t);
  const logger = createLogger({ level: 'silent' });
  let names = 0;
  const requests = {
    erase: () => createErasures({ store, folder, logger }).erase('ann'),
    export: () => exportShow({ store, path: join(folder, `export${names++}`) }, other, 'test'),
    import: () => importShow({ store, path: join(folder, 'file') }),
    // Another process, as one asks at most once a second.
    refund: async () => fixture.refund(other, sold, {}, await fixture.connectAnother(PREVIOUS_MODES)),
  };
  const sold = await fixture.order(other, 'eve');
  const file = await exportShow({ store, path: join(folder, 'file') }, other, 'test');
  t.equal(outcome(file), 'ok');
  const areRefused = async (why: RegExp): Promise<void> => {
    const before = await fixture.recordsOf(other);
    for (const [name, request] of Object.entries(requests)) {
      const result = await request();
      t.match(result, { ok: false, error: { code: 'overloaded', message: why, retryAfterMs: 30_000 } }, name);
    }
    t.same(await fixture.recordsOf(other), before);
    t.same(unwrap(await store.plannedErasures()), []);
  };
  const arePossible = async (): Promise<void> => {
    t.equal(outcome(await requests.export()), 'ok');
    t.equal(outcome(await requests.import()), 'already_exists');
    t.equal(outcome(await requests.erase()), 'ok');
    t.match(outcome(await requests.refund()), /^(ok|replayed)$/);
  };

  unwrap(await previous.reportCounts(show, 'node', 7, 1));
  await areRefused(/^A process of release 0\.1\.0 still runs: it has viewers of the show show\d+\. Replace it/);
  unwrap(await previous.reportCounts(show, 'node', 0, 0));
  unwrap(await store.reportCounts(show, 'newer', 3, 0));
  const damaged = `two:{${await openShow()}}:nodes`;
  await client.rpush(damaged, 'a key of another type');
  await arePossible();
  await client.del(damaged);

  const jobs = await createPreviousJobs(previous, fixture.redis.url, 'two:');
  await jobs.start();
  await until(async () => (await client.exists('{two:jobs}:clock:stalled-check')) === 1, 'its jobs run');
  await areRefused(/it runs jobs/);
  await jobs.stop();
  // As if half a minute had passed.
  t.ok((await client.pttl('{two:jobs}:clock:stalled-check')) <= 30_000);
  await client.del('{two:jobs}:clock:stalled-check');
  await arePossible();
  // A planned erasure waits too.
  unwrap(await store.planErasure('bob'));
  unwrap(await previous.reportCounts(show, 'node', 7, 1));
  const erasures = createErasures({ store, folder, logger });
  await erasures.runPlanned();
  t.match(unwrap(await store.erasureOf('bob')), { state: 'running', finishedAt: null });
  unwrap(await previous.reportCounts(show, 'node', 0, 0));
  await erasures.runPlanned();
  t.match(unwrap(await store.erasureOf('bob')), { finishedAt: Number });
});
