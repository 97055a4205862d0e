/**
 * fence.lua and recover.lua: a show that another Redis process wrote last, simulated by a changed
 * run id. Real crashes are in test/faults.
 */
import { pack, unpack } from '../../../src/redis/records.ts';
import { packReservation } from '../../support/packed-reservation.ts';
import { HOST, outcome, StoreFixture, unitsMove, unwrap } from '../../support/store-fixture.ts';
import { until } from '../../support/until.ts';

const fixture = await StoreFixture.open('fence:');
const { store, client, time, openShow, newSale, saleSpec, connectAnother } = fixture;
const { reserve, hold, confirm, release, books, move, ledger, published } = fixture;

const epochOf = async (show: string): Promise<string> => unwrap(await store.load(show)).snapshot.epoch;
const recovered = (show: string) => until(async () => !(await time.isRecovering(show)), 'the show recovers');

fixture.test('the first call gives the show a new epoch, once, and old positions are invalid', async (t) => {
  const show = await openShow();
  const other = await connectAnother();
  const before = await epochOf(show);
  await time.changeServer(show);
  const epochs = await Promise.all(
    [store.load(show), other.load(show), store.load(show)].map(async (loading) => unwrap(await loading).snapshot.epoch),
  );
  t.equal(new Set(epochs).size, 1, 'one new epoch for all');
  t.not(epochs[0], before);
  t.equal(unwrap(await store.eventsAfter(show, before, 1)), null, 'a position of the old epoch needs a snapshot');
  await recovered(show);
  t.equal(await epochOf(show), epochs[0], 'it stays');
});

fixture.saleTest('every decision has its durability and epoch (Q-8.2, Q-8.3)', {}, async (t, show) => {
  const before = await epochOf(show);
  const first = unwrap(await reserve(show, 'ann'));
  t.match(first, { durability: 'everysec', epoch: before });
  await time.changeServer(show);
  await epochOf(show);
  await recovered(show);
  const again = unwrap(await reserve(show, 'ann'));
  t.match(again, { replayed: true, epoch: await epochOf(show) });
  t.not(again.epoch, before, 'a client can compare epochs to see that another server took over');
  t.equal(unwrap(await confirm(show, again.reservation)).epoch, again.epoch);
});

fixture.test('open sales pause, the books are verified, the sales resume, each with an event', async (t) => {
  const show = await openShow();
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  await newSale(show, { id: 'paused' });
  unwrap(await move(show, { op: 'pause' }, 'paused'));
  const held = await hold(show, 'ann');
  const commits = await published(show, async () => {
    await time.changeServer(show);
    await store.tick(show);
    await recovered(show);
  });
  const types = commits.flatMap(({ events }) =>
    events.map(({ type, data }) => [type, (data.sale as { id?: string } | undefined)?.id]),
  );
  t.same(types, [
    ['sale.paused', 'sale'],
    ['sale.resumed', 'sale'],
    ['show.recovered', undefined],
  ]);
  t.equal(new Set(commits.map(({ epoch }) => epoch)).size, 1, 'all of it in the new epoch');
  t.same(
    await fixture.saleStates(show),
    { sale: 'open', draft: 'draft', paused: 'paused' },
    'a sale that the host paused stays paused',
  );
  t.equal(outcome(await confirm(show, held)), 'ok');
  t.equal(outcome(await reserve(show, 'bob')), 'ok');
});

fixture.saleTest('while the books are verified no hold is made; confirms and releases work', {}, async (t, show) => {
  const [ann, bob] = [await hold(show, 'ann'), await hold(show, 'bob')];
  // As if the process that fenced the show died at once.
  await client.hset(time.key(show, 'show'), 'recovering', '1');
  t.match(await reserve(show, 'cyd'), { ok: false, error: { code: 'sale_paused', retryAfterMs: Number } });
  t.equal(outcome(await reserve(show, 'ann')), 'replayed', 'a recorded result is still returned');
  t.equal(outcome(await confirm(show, ann)), 'ok');
  t.equal(outcome(await release(show, bob)), 'ok');
  await store.tick(show);
  await recovered(show);
  t.equal(outcome(await reserve(show, 'cyd')), 'ok', 'the next tick recovered the show');
});

fixture.saleTest('drifted books are repaired by a compensating entry', { units: { S: 10 } }, async (t, show) => {
  await hold(show, 'ann');
  await client.hset(time.key(show, 'stock'), 'sale/S', pack([10, 42, 1, 0, 0, 1000, 0, 'p']));
  t.ok(unwrap(await store.verify(show)).violations.length > 0, 'verify sees the drift');
  await time.changeServer(show);
  await store.tick(show);
  await recovered(show);
  t.same(await books(show), { allocated: 10, available: 9, held: 1, sold: 0, withdrawn: 0 });
  t.match(
    (await ledger(show)).find(([kind]) => kind === 'adjust'),
    ['adjust', 'sale', false, false, 'recovery', '', 'drift', [['S', 0, 42, 1, 0, 0, 9, 1, 0, 0]]],
  );
  t.equal(outcome(await reserve(show, 'bob')), 'ok');
});

fixture.saleTest('a sale whose ledger contradicts itself stays paused', {}, async (t, show) => {
  await newSale(show, { id: 'sound' });
  const held = await hold(show, 'ann');
  // A forged entry: the same hold again.
  await client.xadd(
    time.key(show, 'ledger'),
    '*',
    'e',
    pack(['hold', [['S', 1, 9, 1, 0, 0, 8, 2, 0, 0]], unpack(packReservation({ ...held, key: 'k' }))]),
  );
  await time.changeServer(show);
  await store.tick(show);
  await recovered(show);
  t.same(await fixture.saleStates(show), { sale: 'paused', sound: 'open' });
  const recovery = unwrap(await store.eventsAfter(show, await epochOf(show), 0))?.find(
    ({ type }) => type === 'show.recovered',
  );
  t.match(recovery?.data, { untrusted: ['sale'] });
  await fixture.skipCommitCheck(show);
});

fixture.test('every script of a show detects the other process', async (t) => {
  const calls: Array<[string, (show: string) => Promise<{ ok: boolean }>]> = [
    ['reserve', (show) => reserve(show, 'zoe')],
    [
      'confirm',
      (show) => store.confirm(show, { reservation: 'r', orderRef: 'o', amount: 1 }, { key: 'k', actor: HOST }),
    ],
    ['waitlist', (show) => store.waitlist(show, { op: 'leave', user: 'zoe', key: 'k', sale: 'sale', sku: 'S' })],
    ['tick', (show) => store.tick(show)],
    ['create', (show) => store.createSale(show, saleSpec({ id: 'x' }), { key: 'x', actor: HOST })],
    ['move', (show) => store.moveSale(show, 'sale', unitsMove(1), { key: 'y', actor: HOST })],
    ['announce', (show) => store.announce(show, 'x', HOST)],
    ['chat', (show) => store.appendChat(show, { node: 'n', at: 1, count: 1, items: Buffer.from([0x90]) }, [])],
    ['counts', (show) => store.reportCounts(show, 'n', 1, 0)],
    ['holdings', (show) => store.holdingsOf(show, ['zoe'])],
    ['verify', (show) => store.verify(show)],
  ];
  for (const [name, call] of calls) {
    const show = await openShow();
    const before = await client.hget(time.key(show, 'show'), 'epoch');
    await time.changeServer(show);
    const result = await call(show);
    t.not(await client.hget(time.key(show, 'show'), 'epoch'), before, `${name}: a new epoch`);
    t.not(outcome(result as never), 'redis_unavailable', `${name}: a result`);
    await recovered(show);
  }
});
