/** A Redis that is full or a replica refuses every write whole. Service resumes by itself. */
import { HOST, items, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const fixture = await StoreFixture.open('full:');
const { store, client, time } = fixture;

async function attempts(show: string): Promise<Record<string, string>> {
  const [[held] = []] = await fixture.reservationsOf(show, ['ann']);
  if (!held) throw new Error('ann holds nothing');
  const calls: Record<string, () => Promise<{ ok: boolean }>> = {
    reserve: () => fixture.reserve(show, 'new'),
    confirm: () => fixture.confirm(show, held),
    release: () => fixture.release(show, held),
    extendHold: () => store.extendHold(show, { reservation: held.id, byMs: 1_000 }, { key: 'p', actor: HOST }),
    join: () => store.waitlist(show, { op: 'join', user: 'zoe', key: 'w', sale: 'sale', sku: 'S' }),
    tick: () => store.tick(show),
    create: () => store.createSale(show, fixture.saleSpec({ id: 'other' }), { key: 'c', actor: HOST }),
    move: () => store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: 'm', actor: HOST }),
    cancel: () => store.moveSale(show, 'sale', { op: 'cancel' }, { key: 'x', actor: HOST }),
    'create a show': () => store.createShow({ id: 'another', title: 'T' }, HOST),
    'end the show': () => store.endShow(show, HOST),
    announce: () => store.announce(show, 'x', HOST),
    chat: () => store.appendChat(show, { node: 'n', at: 1, count: 1, items: Buffer.from([0x90]) }, []),
    counts: () => store.reportCounts(show, 'n', 1, 1),
  };
  const codes: Record<string, string> = {};
  for (const [name, call] of Object.entries(calls)) codes[name] = outcome((await call()) as never);
  return codes;
}

fixture.test('a full Redis refuses every command whole', async (t) => {
  const show = await fixture.openShow({ units: { S: 10 }, perBuyer: 2 });
  const expired = await fixture.hold(show, 'bob');
  await fixture.hold(show, 'ann');
  await time.passDeadline(show, expired.id);
  const before = await fixture.recordsOf(show);
  await client.config('SET', 'maxmemory', '1mb');
  const codes = await attempts(show);
  t.same(new Set(Object.values(codes)), new Set(['redis_full']), JSON.stringify(codes));
  t.match(await fixture.reserve(show, 'new'), { ok: false, error: { retryAfterMs: Number } });
  t.same(await fixture.recordsOf(show), before, 'nothing was written, not even in part');
  t.match(unwrap(await store.listSales(show)), [{ id: 'sale', state: 'open' }], 'reads are served');
  t.equal(outcome(await store.load(show)), 'ok');
  t.equal(outcome(await store.verify(show)), 'ok');

  await client.config('SET', 'maxmemory', '0');
  t.equal(outcome(await fixture.reserve(show, 'new')), 'ok', 'the same key, once there is room');
  t.equal(await fixture.stateOf(show, expired.id), 'expired', 'the first call frees what expired meanwhile');
  t.same(await fixture.books(show), { allocated: 10, available: 8, held: 2, sold: 0, withdrawn: 0 });
});

fixture.test('Redis fills up during a rush: each request is granted whole or refused whole', async (t) => {
  const show = await fixture.openShow({ units: { S: 2_000, M: 2_000 }, perBuyer: 4 });
  const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
  await client.config('SET', 'maxmemory', String(used + 150_000));
  const lines = items({ S: 2, M: 2 });
  const granted: string[] = [];
  let refused = 0;
  for (let batch = 0; batch < 60 && refused < 3; batch++) {
    const requests = Array.from({ length: 32 }, (_, i) => ({ user: `b${batch}-${i}`, key: 'k', sale: 'sale', lines }));
    const results = await store.reserve(show, requests);
    for (const [i, result] of results.entries()) if (result.ok) granted.push(requests[i]?.user ?? '');
    if (results.some((result) => outcome(result) === 'redis_full')) refused++;
  }
  t.ok(refused > 0 && granted.length > 0, `${granted.length} granted before it was full`);
  await client.config('SET', 'maxmemory', '0');
  for (const sku of ['S', 'M']) t.equal((await fixture.books(show, sku)).held, 2 * granted.length, sku);
  t.equal((await fixture.reservationsOf(show, granted)).filter((mine) => mine.length === 1).length, granted.length);
});

fixture.test('a Redis that became a replica refuses every command', async (t) => {
  const show = await fixture.openShow({ units: { S: 10 }, perBuyer: 2 });
  await fixture.hold(show, 'ann');
  const before = await fixture.recordsOf(show);
  await client.replicaof('127.0.0.1', 1);
  const codes = await attempts(show);
  t.same(new Set(Object.values(codes)), new Set(['redis_readonly']), JSON.stringify(codes));
  await client.replicaof('NO', 'ONE');
  t.same(await fixture.recordsOf(show), before, 'nothing was written');
  await until(async () => ['ok', 'replayed'].includes(outcome(await fixture.reserve(show, 'new'))), 'a hold');
  t.equal((await fixture.books(show)).held, 2);
  await fixture.skipCommitCheck(show);
});
