/** An ended show becomes files that prove its books, and its keys expire (I8, I9). */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Test } from 'tap';
import { verifyArchive } from '../../src/archive/index.ts';
import type { Archives } from '../../src/domain/archive.ts';
import { LIMITS } from '../../src/limits.ts';
import { pack } from '../../src/redis/records.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { HOST, outcome, pluck, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('arc:');
const { test, store, client, time, hold, confirm, reserve, release, openShow, connectAnother } = fixture;

/** Makes a show with two orders, a released hold, a refusal, chat, and ends it. */
async function endedShow(): Promise<string> {
  const show = await openShow({ perBuyer: 2, units: { S: 3, M: 1 } });
  unwrap(await store.startShow(show, HOST));
  const [ann, bob, cyd] = [
    await hold(show, 'ann', { qty: 2 }),
    await hold(show, 'bob'),
    await hold(show, 'cyd', { sku: 'M' }),
  ];
  await reserve(show, 'dan');
  unwrap(await confirm(show, ann));
  unwrap(await confirm(show, cyd));
  unwrap(await release(show, bob));
  const chat = { node: 'n', at: 1, count: 1, items: pack([0, 0, 'Ann', 'hello']) };
  unwrap(await store.appendChat(show, chat, ['ann']));
  unwrap(await store.reportCounts(show, 'n', 5, 3, ['ann', 'bob']));
  unwrap(await store.reportCounts(show, 'n', 0, 0));
  unwrap(await store.endShow(show, HOST));
  await fixture.checkInvariants(await asTest(), show);
  return show;
}
let current: Test | null = null;
async function asTest(): Promise<Test> {
  if (current === null) throw new Error('no test runs');
  return current;
}
const archiveTest = (name: string, run: (t: Test, show: string, archives: Archives, folder: string) => Promise<void>) =>
  test(name, async (t) => {
    current = t;
    const folder = temporaryFolder(t);
    await run(t, await endedShow(), archivesOf(store, folder), folder);
  });

const rowsOf = (file: string): ReturnType<typeof JSON.parse>[] =>
  gunzipSync(readFileSync(file))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

archiveTest(
  'an archive has the ledger, the orders, the events and a summary, and verifies',
  async (t, show, archives, folder) => {
    const books = unwrap(await store.verify(show));
    const events = await fixture.eventsOf(show);
    const done = unwrap(await archives.archive(show));
    t.match(done, { state: 'archived', summary: { show, violations: 0 } });
    const totals = {
      ...{ orders: 2, buyers: 2, unitsSold: 3, revenue: { EUR: 3000 }, reservations: 3, refusals: 1, chatMessages: 1 },
      ...{ entries: books.entries, events: events.length, peakViewers: 5, uniqueViewers: 2, hearts: 3 },
    };
    t.match(done, { summary: { totals } });
    const names = ['events.jsonl.gz', 'ledger.jsonl.gz', 'manifest.json', 'orders.jsonl.gz', 'summary.jsonl.gz'];
    t.same(readdirSync(join(folder, show)).sort(), names);
    t.same(readdirSync(folder), [show], 'nothing partial remains');
    t.same(rowsOf(join(folder, show, 'events.jsonl.gz')), events);
    const orders = rowsOf(join(folder, show, 'orders.jsonl.gz'));
    t.same(pluck(orders, 'user').sort(), ['ann', 'cyd']);
    const proof = await verifyArchive(join(folder, show));
    t.same(proof.violations, []);
    t.match(proof, { show, entries: books.entries, reservations: 3, refusals: 1, sales: books.sales });
    if (done.state === 'archived') t.equal(proof.sha256, done.summary.sha256);
  },
);

archiveTest('every key of an archived show expires but its header (I9)', async (t, show, archives) => {
  await archives.archive(show);
  const keys = (await client.keys(`${fixture.prefix}*`)).filter((key) => key.includes(`{${show}}`));
  t.ok(keys.length > 8, 'keys.ts has every one');
  for (const key of keys) if (key !== time.key(show, 'show')) t.ok((await client.pttl(key)) > 0, `${key} expires`);
  t.equal(await client.pttl(time.key(show, 'show')), -1);
  unwrap(await store.purgeShow(show));
  const left = (await client.keys(`${fixture.prefix}*`)).filter((key) => key.includes(`{${show}}`));
  t.same(left, [time.key(show, 'show')]);
});

archiveTest('an archived show is listed with its summary, and refused to requests', async (t, show, archives) => {
  const done = unwrap(await archives.archive(show));
  const listed = unwrap(await store.listShows()).shows.find(({ id }) => id === show);
  t.match(listed, { state: 'archived', archive: done.state === 'archived' ? done.summary : {} });
  t.same(unwrap(await archives.archive(show)), done, 'archiving it again changes nothing');
  const requests: Record<string, () => Promise<unknown>> = {
    load: () => store.load(show),
    get: () => store.getShow(show),
    update: () => store.updateShow(show, { title: 'x' }, HOST),
    end: () => store.endShow(show, HOST),
    sales: () => store.listSales(show),
    reserve: () => reserve(show, 'eve'),
    reservation: () => store.getReservation(show, 'r1'),
    chat: () => store.recentChat(show),
    verify: () => store.verify(show),
    tick: () => store.tick(show),
    counts: () => store.reportCounts(show, 'n', 1, 0),
    create: () => store.createShow({ id: show, title: 'Show', brands: [{ id: 'b', name: 'Brand' }] }, HOST),
  };
  for (const [name, request] of Object.entries(requests))
    t.equal(outcome((await request()) as never), 'show_archived', name);
  t.notOk(unwrap(await store.liveShows()).includes(show));
});

test('a planned or live show and open holds are refused, and nothing changes', async (t) => {
  const archives = archivesOf(store, temporaryFolder(t));
  const show = await openShow();
  t.match(await archives.archive(show), { ok: false, error: { code: 'illegal_move', details: { state: 'planned' } } });
  unwrap(await store.startShow(show, HOST));
  t.match(await archives.archive(show), { ok: false, error: { code: 'illegal_move', details: { state: 'live' } } });
  const held = await hold(show, 'ann');
  unwrap(await store.endShow(show, HOST));
  const refusal = { code: 'illegal_move', details: { state: 'ended', nextDueAt: Number } };
  t.match(await archives.archive(show), { ok: false, error: refusal });
  t.equal(outcome(await confirm(show, held)), 'ok', 'the hold may still be confirmed');
  t.equal(outcome(await archives.archive('ghost')), 'show_not_found');
});

test('holds that are due expire, and sales that a dead process left open end, before the archive', async (t) => {
  const archives = archivesOf(store, temporaryFolder(t));
  const show = await openShow();
  const { id } = await hold(show, 'ann');
  unwrap(await store.startShow(show, HOST));
  await client.hset(time.key(show, 'show'), 'state', 'ended');
  await time.passDeadline(show, id);
  await fixture.skipCommitCheck(show);
  t.match(await archives.archive(show), { ok: true, value: { summary: { violations: 0, totals: { orders: 0 } } } });
});

archiveTest('while a show is archived it can be read, and nothing changes it (I6)', async (t, show) => {
  const frozen = unwrap(await store.freezeShow(show, 'someone'));
  if (frozen.step !== 'frozen') throw new Error(frozen.step);
  t.equal(unwrap(await store.getShow(show)).state, 'ended');
  t.same(unwrap(await store.verify(show)).violations, []);
  const before = await fixture.recordsOf(show);
  t.equal(outcome(await store.updateShow(show, { title: 'x' }, HOST)), 'show_archived');
  t.equal(outcome(await reserve(show, 'eve')), 'show_archived');
  t.same(await fixture.recordsOf(show), before);
  t.same(unwrap(await store.freezeShow(show, 'another')), { step: 'busy' }, 'one process at a time');
  t.equal(outcome(await store.condemnShow(show)), 'overloaded', 'it is not deleted meanwhile');
  unwrap(await store.thawShow(show, frozen.show.token));
  t.equal(outcome(await store.updateShow(show, { title: 'x' }, HOST)), 'ok');
  // No job would archive it later, so a request is refused.
  for (const field of ['erasing', 'frozen']) {
    await client.hset(time.key(show, 'show'), field, String(store.now() + 5_000));
    t.equal(outcome(await store.freezeShow(show, 'someone')), 'overloaded', field);
    await client.hdel(time.key(show, 'show'), field);
  }
});

archiveTest('two processes archive a show at once, and one archive is complete', async (t, show, archives, folder) => {
  const others = archivesOf(await connectAnother(), folder);
  const results = await Promise.all([archives.archive(show), others.archive(show), archives.archive(show)]);
  t.ok(results.every(({ ok }) => ok));
  t.match(await others.archive(show), { ok: true, value: { state: 'archived' } });
  t.same((await verifyArchive(join(folder, show))).violations, []);
  t.same(readdirSync(folder), [show]);
});

archiveTest('what a killed run left is replaced by the next one (I8)', async (t, show, archives, folder) => {
  mkdirSync(join(folder, `${show}.killed.partial`));
  writeFileSync(join(folder, `${show}.killed.partial`, 'ledger.jsonl.gz'), 'half');
  // It had frozen the show, and its lease ended.
  unwrap(await store.freezeShow(show, 'killed'));
  await client.hset(time.key(show, 'show'), 'lease', '0');
  t.match(await archives.archive(show), { ok: true, value: { state: 'archived' } });
  t.same(readdirSync(folder), [show]);
});

archiveTest(
  'a run that is killed after the rename leaves an archive that the next run keeps',
  async (t, show, _, folder) => {
    await new Promise<void>((renamed) => {
      const finishArchive = (): Promise<never> => {
        renamed();
        return new Promise(() => {});
      };
      void archivesOf({ ...store, finishArchive }, folder).archive(show);
    });
    const first = readFileSync(join(folder, show, 'manifest.json'), 'utf8');
    await client.hset(time.key(show, 'show'), 'owner', 'dead', 'lease', '0');
    t.match(await archivesOf(store, folder).archive(show), { ok: true, value: { state: 'archived' } });
    t.equal(readFileSync(join(folder, show, 'manifest.json'), 'utf8'), first);
  },
);

archiveTest('if Redis lost the freeze, the archive of before is replaced', async (t, show, archives, folder) => {
  const dying = { ...store, finishArchive: async () => ({ ok: true, value: null }) as const };
  t.equal(outcome(await archivesOf(dying, folder).archive(show)), 'overloaded');
  const header = time.key(show, 'show');
  await client.hset(header, 'state', 'ended', 'run', String(await client.hget(header, 'run_before')));
  const done = unwrap(await archives.archive(show));
  t.equal((await verifyArchive(join(folder, show))).sha256, done.state === 'archived' && done.summary.sha256);
});

archiveTest('a folder that cannot be written leaves the show as it was', async (t, show, _, folder) => {
  writeFileSync(join(folder, 'file'), '');
  const refusal = { ok: false, error: { code: 'archive_failed', message: /is not a folder\. Set ARCHIVE_DIR/ } };
  t.match(await archivesOf(store, join(folder, 'file')).archive(show), refusal);
  t.equal(outcome(await store.updateShow(show, { title: 'x' }, HOST)), 'ok');
});

archiveTest('a show whose books are wrong is archived with what is wrong', async (t, show, archives, folder) => {
  await client.hset(time.key(show, 'stock'), 'sale/M', pack([9, 1, 1, 1, 0, 1000, 0, 'p']));
  await client.xadd(time.key(show, 'ledger'), '*', 'e', Buffer.from([0xc1]));
  await client.hdel(time.key(show, 'reservations'), (await client.hkeys(time.key(show, 'reservations')))[0] ?? '');
  const done = unwrap(await archives.archive(show));
  t.match(done, { state: 'archived', summary: { violations: /^[3-9]$/ } });
  const { violations } = await verifyArchive(join(folder, show));
  for (const found of [/cannot be read/, /sale\/?.*M: the live books/, /reservation \S+ is missing/])
    t.ok(
      violations.some((violation) => found.test(violation)),
      String(found),
    );
});

test('a show with sales and products that cannot be read is archived, as they are in Redis (I9)', async (t) => {
  const folder = temporaryFolder(t);
  const archives = archivesOf(store, folder);
  const show = await openShow();
  await fixture.newSale(show, { id: 'torn', units: { S: 2 } });
  await fixture.newSale(show, { id: 'open', units: { S: 2 } });
  await fixture.skipCommitCheck(show);
  for (const [key, field] of [
    ['sales', 'open'],
    ['stock', 'torn/S'],
    ['products', 'p'],
  ] as const)
    await client.hset(time.key(show, key), field, Buffer.from([0xc1]));
  await client.hset(time.key(show, 'show'), 'state', 'ended', 'ended', String(Date.now()));
  t.notOk((await archives.archive(show)).ok, 'what is open may be repaired');
  await client.hset(time.key(show, 'show'), 'ended', String(Date.now() - LIMITS.archiveStuckMs - 1));
  t.match(await archives.archive(show), { ok: true, value: { state: 'archived', summary: { show } } });
  const { violations, sales } = await verifyArchive(join(folder, show));
  for (const record of ['sale open', 'sale torn', 'stock torn/S', 'stock open/S', 'product p'])
    t.ok(
      violations.some((violation) => violation.includes(`the record of ${record} cannot be read`)),
      `${record}: ${violations.join()}`,
    );
  t.same(pluck(sales, 'id'), ['sale']);
});

archiveTest('a row that is none of its file is named in a sentence', async (t, show, archives, folder) => {
  await archives.archive(show);
  const junk = ['null', '[]', '7', '"x"', '{}', '{"raw":"x"}', '{"at":1,"entries":[]}', '{"kind":"sale"}'];
  junk.push('{"id":"x","lines":[null]}', '{"kind":"sale","sale":{"id":"s","skus":[null]}}', '{"kind":"show"}');
  for (const name of ['ledger', 'orders', 'events', 'summary']) {
    const file = join(folder, show, `${name}.jsonl.gz`);
    const original = readFileSync(file);
    for (const row of junk) {
      writeFileSync(file, gzipSync(`${row}\n`));
      const message = `${name}.jsonl.gz cannot be read: line 1 is no row of this file`;
      await t.rejects(verifyArchive(join(folder, show)), { message }, `${name} ${row}`);
    }
    writeFileSync(file, original);
  }
  t.same((await verifyArchive(join(folder, show))).violations, []);
});

archiveTest('an archive that was changed does not verify', async (t, show, archives, folder) => {
  await archives.archive(show);
  const file = join(folder, show, 'orders.jsonl.gz');
  const original = readFileSync(file);
  const orders = rowsOf(file);
  const write = (rows: unknown[]): void =>
    writeFileSync(file, gzipSync(rows.map((row) => `${JSON.stringify(row)}\n`).join('')));
  write(orders.slice(1));
  const missing = (await verifyArchive(join(folder, show))).violations;
  for (const found of [/orders\.jsonl\.gz: sha256/, /order \S+ is missing/, /totals: orders/])
    t.ok(
      missing.some((violation) => found.test(violation)),
      String(found),
    );
  write(orders.map((order) => ({ ...order, amount: 1 })));
  t.match((await verifyArchive(join(folder, show))).violations.join(), /order \S+ differs from the ledger/);
  writeFileSync(file, original.subarray(0, original.length - 12));
  await t.rejects(verifyArchive(join(folder, show)), /orders\.jsonl\.gz cannot be read/);
  writeFileSync(join(folder, show, 'manifest.json'), '{"format":99}');
  await t.rejects(verifyArchive(join(folder, show)), /format 99/);
});

archiveTest(
  'a deleted show leaves no key of it and no file, in any state but live',
  async (t, show, archives, folder) => {
    await archives.archive(show);
    t.equal(outcome(await archives.remove(show)), 'ok');
    t.notOk(existsSync(join(folder, show)));
    const left = async (): Promise<string[]> =>
      (await client.keys(`${fixture.prefix}*`)).filter((key) => key.includes(`{${show}}`));
    t.same(await left(), []);
    for (const index of ['shows', 'live', 'retention'])
      t.notOk((await client.keys(`${fixture.prefix}${index}`)).length > 0 && (await inIndex(index, show)), index);
    t.equal(outcome(await archives.remove(show)), 'show_not_found');

    unwrap(await store.createShow({ id: show, title: 'Again' }, HOST));
    unwrap(await store.startShow(show, HOST));
    t.match(await archives.remove(show), { ok: false, error: { code: 'illegal_move', details: { state: 'live' } } });
    unwrap(await store.endShow(show, HOST));
    t.equal(outcome(await archives.remove(show)), 'ok', 'an ended one');
    t.same(await left(), []);
  },
);

const inIndex = async (index: string, show: string): Promise<boolean> =>
  index === 'live'
    ? (await client.sismember(`${fixture.prefix}live`, show)) === 1
    : (await client.zscore(`${fixture.prefix}${index}`, show)) !== null;

test('an ended show with an open hold is not deleted: its buyer may be at the checkout', async (t) => {
  const show = await openShow();
  await hold(show, 'ann');
  unwrap(await store.endShow(show, HOST));
  const archives = archivesOf(store, temporaryFolder(t));
  t.match(await archives.remove(show), { ok: false, error: { code: 'illegal_move', message: /force=true/ } });
  t.match(await store.getShow(show), { ok: true, value: { state: 'ended' } });
});
