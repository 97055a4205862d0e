/** A full Redis takes what frees memory, a replica nothing. Service resumes by itself. */
import { createErasures } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import type { ReservationView, Result } from '../../src/protocol/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { byHost, HOST, items, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const fixture = await StoreFixture.open('full:');
const { store, client, time } = fixture;

/** Writes of every kind. */
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

/** Fills Redis with other data, and keeps what calls free from making room. */
async function fill(): Promise<void> {
  // More than Redis frees beside it: buffers of clients and of the append-only file.
  const MARGIN_BYTES = 2_000_000;
  await client.config('SET', 'maxmemory', String((await usedBytes()) + 2 * MARGIN_BYTES));
  for (let i = 0; (await isAccepted(`junk:${i}`)) && i < 10_000; i++);
  await client.config('SET', 'maxmemory', String((await usedBytes()) - MARGIN_BYTES));
}

async function empty(): Promise<void> {
  await client.config('SET', 'maxmemory', '0');
  await client.unlink(await client.keys('junk:*'));
}

const usedBytes = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
const isAccepted = (key: string): Promise<boolean> =>
  client.set(key, 'x'.repeat(10_000)).then(
    () => true,
    (error: Error) => {
      if (!error.message.startsWith('OOM')) throw error;
      return false;
    },
  );

const byUser = (op: 'join' | 'leave', user: string, key: string = op) =>
  ({ op, user, key, sale: 'sale', sku: 'S' }) as const;

/** What frees memory, or ends what exists. Each call is repeated with its key. */
const FREES: Array<[name: string, (show: string, held: ReservationView) => Promise<Result<unknown>>]> = [
  ['confirm', (show, held) => fixture.confirm(show, held)],
  ['release by the buyer', (show, held) => fixture.release(show, held)],
  ['leave the waitlist', (show) => store.waitlist(show, byUser('leave', 'wes'))],
  ['end a sale', (show) => fixture.move(show, { op: 'end' }, 'sale', 'e')],
  ['cancel a sale, with its holds', (show) => fixture.move(show, { op: 'cancel' }, 'sale', 'c')],
  ['end the show', (show) => store.endShow(show, HOST)],
  ['remove chat', (show) => store.removeChat(show, [1])],
  ['mute', (show) => store.mute(show, 'zoe', 60_000)],
  ['unmute', (show) => store.unmute(show, 'eve')],
  [
    'a command without a script, whose result is kept',
    (show) => store.once(show, byHost('o'), {}, () => store.endShow(show, HOST)),
  ],
  ['tick', (show) => store.tick(show, true)],
  ['verify', (show) => store.verify(show)],
  ['load', (show) => store.load(show)],
];

/** What only adds. */
const ADDS: Array<[name: string, (show: string, held: ReservationView) => Promise<Result<unknown>>]> = [
  ['reserve', (show) => fixture.reserve(show, 'new')],
  ['extend a hold', (show, { id }) => store.extendHold(show, { reservation: id, byMs: 1_000 }, byHost('p'))],
  ['join the waitlist', (show) => store.waitlist(show, byUser('join', 'zoe'))],
  ['chat', (show) => store.appendChat(show, { node: 'n', at: 1, count: 1, items: Buffer.from([0x90]) }, [])],
  ['counts', (show) => store.reportCounts(show, 'n', 1, 1)],
  ['announce', (show) => store.announce(show, 'x', HOST)],
  ['rename the show', (show) => store.updateShow(show, { title: 'T' }, HOST)],
  ['create a show', () => store.createShow({ id: 'another', title: 'T' }, HOST)],
  ['create a sale', (show) => store.createSale(show, fixture.saleSpec({ id: 'other' }), byHost('n'))],
  ['pause a sale', (show) => fixture.move(show, { op: 'pause' })],
  ['add units', (show) => fixture.move(show, { op: 'units', sku: 'M', delta: 1 })],
];

/** A show with a hold of the buyer, and wes on its waitlist. */
async function soldOutShow(buyer = 'ann'): Promise<[show: string, held: ReservationView]> {
  const show = await fixture.openShow({ units: { S: 1, M: 1 } });
  const held = await fixture.hold(show, buyer);
  unwrap(await store.waitlist(show, byUser('join', 'wes')));
  unwrap(await store.appendChat(show, { node: 'n', at: 1, count: 1, items: Buffer.from([0x90]) }, []));
  unwrap(await store.mute(show, 'eve', 60_000));
  return [show, held];
}

fixture.test(
  'a full Redis takes what frees memory, again with its key, and refuses whole what adds (I9)',
  async (t) => {
    const shows = new Map<string, [string, ReservationView]>();
    for (const [name] of [...FREES, ...ADDS]) shows.set(name, await soldOutShow());
    await fill();
    const before = await usedBytes();
    const run = (name: string, call: (typeof FREES)[number][1]) =>
      call(...(shows.get(name) as [string, ReservationView]));
    for (const [name, call] of FREES) {
      t.equal(outcome(await run(name, call)), 'ok', name);
      t.match(outcome(await run(name, call)), /^(ok|replayed)$/, `${name}, again`);
    }
    for (const [name, call] of ADDS) {
      const [show] = shows.get(name) as [string, ReservationView];
      const records = await fixture.recordsOf(show);
      t.match(await run(name, call), { ok: false, error: { code: 'redis_full', retryAfterMs: Number } }, name);
      t.same(await fixture.recordsOf(show), records, `${name}: nothing was written`);
    }
    t.notOk(await isAccepted('junk:more'), 'it is still full');
    const added = (await usedBytes()) - before;
    t.ok(added < 700_000, `all of this, with the scripts, added ${added} bytes`);
    await empty();
    const [show] = shows.get('reserve') as [string, ReservationView];
    t.equal(outcome(await fixture.reserve(show, 'new')), 'sold_out');
  },
);

fixture.test('a full Redis expires holds, and offers their units to who waits (I3, I9)', async (t) => {
  const [show, held] = await soldOutShow();
  await time.passDeadline(show, held.id, -500);
  await fill();
  await until(async () => unwrap(await store.tick(show)).done === 1, 'the deadline');
  t.equal(await fixture.stateOf(show, held.id), 'expired');
  const [[offer] = []] = await fixture.reservationsOf(show, ['wes']);
  t.equal(outcome(await fixture.confirm(show, offer as ReservationView)), 'ok', 'the offer can be bought');
  t.same(await fixture.books(show), { allocated: 1, available: 0, held: 0, sold: 1, withdrawn: 0 });
  t.same(unwrap(await store.liveShows()).includes(show), true, 'jobs find the show');
  await empty();
});

fixture.test('a full Redis archives, deletes and exports shows and erases users, by request (I9)', async (t) => {
  const folder = temporaryFolder(t);
  const archives = archivesOf(store, folder);
  const erasures = createErasures({ store, folder, logger: createLogger({ level: 'silent' }) });
  const shows = [await soldOutShow('cat'), await soldOutShow('cat'), await soldOutShow('cat')] as const;
  for (const [show, held] of shows) {
    unwrap(await fixture.confirm(show, held));
    unwrap(await store.endShow(show, HOST));
    await fixture.skipCommitCheck(show);
  }
  const [[kept], [archived], [deleted]] = shows;
  await fill();
  t.equal(outcome(await store.freezeExport(kept, 'token')), 'ok');
  t.equal(outcome(await store.thawExport(kept, 'token')), 'ok');
  t.match(unwrap(await erasures.erase('cat')), { state: 'done', shows: 3 });
  t.equal(
    (await client.xrange(time.key(kept, 'ledger'), '-', '+')).some(([, fields]) => fields.join().includes('cat')),
    false,
  );
  t.match(await archives.archive(archived), { ok: true, value: { state: 'archived' } });
  t.equal(outcome(await archives.remove(archived)), 'ok');
  t.equal(outcome(await archives.remove(deleted)), 'ok');
  t.same(await client.keys(`*{${deleted}}*`), []);
  t.notOk(await isAccepted('junk:more'), 'it is still full');
  await erasures.stop();
  await empty();
});

fixture.test(
  'processes that start on a full Redis, or find it restarted or without functions, work (I8, I9)',
  async (t) => {
    const [show, held] = await soldOutShow();
    const [other, otherHeld] = await soldOutShow();
    await time.changeServer(other);
    await client.call('FUNCTION', 'FLUSH');
    await client.script('FLUSH');
    await fill();
    t.equal(outcome(await fixture.confirm(show, held)), 'ok');
    const newer = await fixture.connectAnother();
    t.match(newer.trouble(), { state: 'full' });
    t.equal(newer.refusal(), null);
    t.equal(outcome(await newer.load(other)), 'ok', 'viewers can watch');
    t.equal(outcome(await fixture.release(other, otherHeld, {}, newer)), 'ok', 'after a new epoch');
    await newer.tick(other);
    await until(async () => !(await time.isRecovering(other)), 'the books to be verified');
    t.equal(outcome(await fixture.reserve(other, 'new', {}, newer)), 'redis_full');
    await empty();
    await until(async () => newer.trouble() === null, 'the end of it to be noticed');
    await fixture.skipCommitCheck(other);
  },
);

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

fixture.test('a ledger that is too large to be copied into a full Redis is erased later (I9)', async (t) => {
  const show = await fixture.openShow({ units: { S: 5 } });
  unwrap(await fixture.confirm(show, await fixture.hold(show, 'ann')));
  await fixture.skipCommitCheck(show);
  const ledger = time.key(show, 'ledger');
  for (let i = 0; i < 5; i++) await client.xadd(ledger, '*', 'e', 'x'.repeat(LIMITS.erasureCopyIfFullBytesMax / 4));
  await fill();
  const erased = { user: 'ann', pseudonym: 'erased-someone' };
  t.equal(outcome(await store.eraseInShow(show, erased)), 'redis_full');
  t.equal(await client.exists(time.key(show, 'rewrite')), 0, 'the part that was copied is deleted');
  await empty();
  t.match(await store.eraseInShow(show, erased), { ok: true, value: { step: 'done' } });
});
