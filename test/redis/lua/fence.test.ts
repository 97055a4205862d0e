/** fence.lua and recover.lua, with a changed run id. Real processes crash in test/faults. */
import type { Result } from '../../../src/protocol/codes.ts';
import { pack, unpack } from '../../../src/redis/records.ts';
import { packReservation } from '../../support/packed-reservation.ts';
import { byHost, HOST, outcome, StoreFixture, unitsMove, unwrap } from '../../support/store-fixture.ts';
import { until } from '../../support/until.ts';

const fixture = await StoreFixture.open('fence:');
const { test, saleTest, store, client, time, openShow, newSale, saleSpec } = fixture;
const { connectAnother, reserve, hold, confirm, release, books, move, ledger, published } = fixture;

const epochOf = async (show: string): Promise<string> => unwrap(await store.load(show)).snapshot.epoch;
const recovered = (show: string) => until(async () => !(await time.isRecovering(show)), 'the show recovers');
/** Makes another server the one that wrote last, and waits for the recovery. */
const changeServer = async (show: string): Promise<void> => {
  await time.changeServer(show);
  await store.tick(show);
  await recovered(show);
};

saleTest('the first call gives the show a new epoch, once, and old positions are invalid', {}, async (t, show) => {
  const other = await connectAnother();
  const before = await epochOf(show);
  await time.changeServer(show);
  const loads = await Promise.all([store, other, store].map((each) => each.load(show)));
  const epochs = loads.map((loaded) => unwrap(loaded).snapshot.epoch);
  t.equal(new Set(epochs).size, 1, 'one new epoch for all');
  t.not(epochs[0], before);
  t.equal(unwrap(await store.eventsAfter(show, before, 1)), null, 'a position of the old epoch needs a snapshot');
  await recovered(show);
  t.equal(await epochOf(show), epochs[0], 'it stays');
});

saleTest('every decision has its durability and epoch (Q-8.2, Q-8.3)', {}, async (t, show) => {
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

saleTest('open sales pause, the books are verified, the sales resume, each with an event', {}, async (t, show) => {
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  await newSale(show, { id: 'paused' });
  unwrap(await move(show, { op: 'pause' }, 'paused'));
  const held = await hold(show, 'ann');
  const commits = await published(show, () => changeServer(show));
  const types = commits.flatMap(({ events }) =>
    events.map(({ type, data }) => `${type} ${(data.sale as { id?: string } | undefined)?.id}`),
  );
  t.same(types, ['sale.paused sale', 'sale.resumed sale', 'show.recovered undefined']);
  t.equal(new Set(commits.map(({ epoch }) => epoch)).size, 1, 'all of it in the new epoch');
  t.same(await fixture.saleStates(show), { sale: 'open', draft: 'draft', paused: 'paused' }, 'the host paused one');
  t.equal(outcome(await confirm(show, held)), 'ok');
  t.equal(outcome(await reserve(show, 'bob')), 'ok');
});

saleTest('while the books are verified no hold is made; confirms and releases work', {}, async (t, show) => {
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

saleTest('drifted books are repaired by a compensating entry', { units: { S: 10 } }, async (t, show) => {
  await hold(show, 'ann');
  await client.hset(time.key(show, 'stock'), 'sale/S', pack([10, 42, 1, 0, 0, 1000, 0, 'p']));
  t.ok(unwrap(await store.verify(show)).violations.length > 0, 'verify sees the drift');
  await changeServer(show);
  t.same(await books(show), { allocated: 10, available: 9, held: 1, sold: 0, withdrawn: 0 });
  const adjust = (await ledger(show)).find(([kind]) => kind === 'adjust');
  t.match(adjust, ['adjust', 'sale', false, false, 'recovery', '', 'drift', [['S', 0, 42, 1, 0, 0, 9, 1, 0, 0]]]);
  t.equal(outcome(await reserve(show, 'bob')), 'ok');
});

saleTest('a sale whose ledger contradicts itself stays paused', {}, async (t, show) => {
  await newSale(show, { id: 'sound' });
  const held = await hold(show, 'ann');
  // A forged entry: the same hold again.
  const again = pack(['hold', [['S', 1, 9, 1, 0, 0, 8, 2, 0, 0]], unpack(packReservation({ ...held, key: 'k' }))]);
  await client.xadd(time.key(show, 'ledger'), '*', 'e', again);
  await changeServer(show);
  t.same(await fixture.saleStates(show), { sale: 'paused', sound: 'open' });
  const recovery = (await fixture.eventsOf(show)).find(({ type }) => type === 'show.recovered');
  t.match(recovery?.data, { untrusted: ['sale'] });
  await fixture.skipCommitCheck(show);
});

test('every script of a show detects the other process', async (t) => {
  const calls: Record<string, (show: string) => Promise<Result<unknown>>> = {
    reserve: (show) => reserve(show, 'zoe'),
    confirm: (show) => store.confirm(show, { reservation: 'r', orderRef: 'o', amount: 1 }, byHost('k')),
    waitlist: (show) => store.waitlist(show, { op: 'leave', user: 'zoe', key: 'k', sale: 'sale', sku: 'S' }),
    tick: (show) => store.tick(show),
    create: (show) => store.createSale(show, saleSpec({ id: 'x' }), byHost('x')),
    move: (show) => move(show, unitsMove(1)),
    announce: (show) => store.announce(show, 'x', HOST),
    chat: (show) => store.appendChat(show, { node: 'n', at: 1, count: 1, items: Buffer.from([0x90]) }, []),
    counts: (show) => store.reportCounts(show, 'n', 1, 0),
    holdings: (show) => store.holdingsOf(show, ['zoe']),
    verify: (show) => store.verify(show),
  };
  for (const [name, call] of Object.entries(calls)) {
    const show = await openShow();
    const before = await client.hget(time.key(show, 'show'), 'epoch');
    await time.changeServer(show);
    const result = outcome(await call(show));
    t.not(await client.hget(time.key(show, 'show'), 'epoch'), before, `${name}: a new epoch`);
    t.not(result, 'redis_unavailable', `${name}: a result`);
    await recovered(show);
  }
});
