/** Exports and imports: what is refused, what a file must be, what a dead process leaves. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Test } from 'tap';
import { exportShow, importShow } from '../../src/archive/index.ts';
import { pack } from '../../src/redis/records.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { everythingOf } from '../support/show-copy.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';

const [old, next] = [await StoreFixture.open('old:'), await StoreFixture.open('next:')];
const { test, store, client, time, openShow, hold, confirm, reserve } = old;
const HOUR_MS = 60 * 60 * 1000;

const exported = (show: string, path: string, from = store) => exportShow({ store: from, path }, show, '0.0.0-test');
const imported = (path: string, { to = next.store, archiveDir = '/nowhere' } = {}) =>
  importShow({ store: to, path, archiveDir });
const keysThere = (): Promise<string[]> => next.client.keys('*{*');

/** Makes a planned show with an order and an open hold. */
async function soldShow(): Promise<string> {
  const show = await openShow({ perBuyer: 2, units: { S: 3, M: 1 } });
  unwrap(await confirm(show, await hold(show, 'ann', { qty: 2 })));
  await hold(show, 'bob', { sku: 'M' });
  await reserve(show, 'dan', { sku: 'M' });
  return show;
}

async function exportedShow(t: Test): Promise<{ show: string; path: string }> {
  const show = await soldShow();
  const path = join(temporaryFolder(t), 'show.jsonl.gz');
  unwrap(await exported(show, path));
  return { show, path };
}

test('an export does not replace a file that was made meanwhile; of two to one path one succeeds', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'show');
  const [show, other] = [await soldShow(), await soldShow()];
  const onProgress = (): void => writeFileSync(path, 'of another program');
  const late = await exportShow({ store, path, onProgress }, show, '0.0.0-test');
  t.match(late, { ok: false, error: { code: 'already_exists', message: /was made meanwhile/ } });
  t.equal(readFileSync(path, 'utf8'), 'of another program');
  t.same(readdirSync(folder), ['show'], 'nothing partial remains');

  rmSync(path);
  const both = await Promise.all([exported(show, path), exported(other, path)]);
  const [done, ...more] = both.flatMap((each) => (each.ok ? [each.value.head.show] : []));
  t.equal(more.length, 0);
  t.match(await imported(path), { ok: true, value: { head: { show: done } } });
});

test('a live show and one that is being archived are refused; ended and archived ones move', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'show');
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, 'ann')));
  const addresses = { videoUrl: 'https://cdn.example/a.mp4', checkoutUrl: 'https://shop.example/{reservation}' };
  unwrap(await store.updateShow(show, addresses, HOST));
  unwrap(await store.announce(show, 'Thank you', HOST));
  unwrap(await store.startShow(show, HOST));
  t.match(await exported(show, path), { ok: false, error: { code: 'illegal_move', details: { state: 'live' } } });
  t.same(readdirSync(folder), []);
  unwrap(await store.endShow(show, HOST));
  const frozen = unwrap(await store.freezeShow(show, 'job'));
  t.equal(outcome(await exported(show, path)), 'overloaded');
  if (frozen.step === 'frozen') unwrap(await store.thawShow(show, frozen.show.token));
  await client.hset(time.key(show, 'show'), 'erasing', String(Date.now()));
  t.equal(outcome(await exported(show, path)), 'overloaded', 'a user is being erased');
  await client.hdel(time.key(show, 'show'), 'erasing');
  t.match(await exported(show, path), { ok: true, value: { head: { state: 'ended' } } });
  unwrap(await imported(path));
  t.same(await everythingOf(next.store, show, ['ann']), await everythingOf(store, show, ['ann']));
  const { snapshot } = unwrap(await next.store.load(show));
  t.match(snapshot, { show: addresses, announcement: { text: 'Thank you' } });

  unwrap(await next.store.condemnShow(show));
  unwrap(await next.store.deleteShow(show));
  await old.skipCommitCheck(show);
  const done = unwrap(await archivesOf(store, folder).archive(show));
  t.match(await exported(show, join(folder, 'archived')), { ok: true, value: { head: { state: 'archived' } } });
  t.match(
    await imported(path, { archiveDir: folder }),
    { ok: false, error: { code: 'archive_conflict', details: { folder: join(folder, show) } } },
    'an imported show is archived again, and this folder has its place (I9)',
  );
  t.equal(outcome(await next.store.getShow(show)), 'show_not_found');
  unwrap(await imported(join(folder, 'archived'), { archiveDir: folder }));
  const summary = done.state === 'archived' ? done.summary : null;
  t.same(unwrap(await next.store.archiveOf(show)), summary);
  t.equal(outcome(await next.store.getShow(show)), 'show_archived');
  t.match(unwrap(await next.store.listShows()).shows[0], {
    id: show,
    state: 'archived',
    archive: { show },
    ...addresses,
  });
  t.equal(outcome(await exported('ghost', path)), 'already_exists', 'the file exists');
  t.equal(outcome(await exported('ghost', join(folder, 'ghost'))), 'show_not_found');
});

test('a public show is listed on the server to which it moved', async (t) => {
  const path = join(temporaryFolder(t), 'show');
  const show = await openShow();
  unwrap(await store.updateShow(show, { visibility: 'public' }, HOST));
  unwrap(await exported(show, path));
  unwrap(await imported(path));
  t.match(unwrap(await next.store.publicShows()), { 0: { id: show, sales: { length: 1 } }, length: 1 });
});

test('while a show is exported it can be read, and no change is accepted (I6)', async (t) => {
  const show = await soldShow();
  unwrap(await store.freezeExport(show, 'one'));
  const before = await old.recordsOf(show);
  const changes = {
    update: store.updateShow(show, { title: 'x' }, HOST),
    reserve: reserve(show, 'eve'),
    tick: store.tick(show),
    archive: store
      .freezeShow(show, 'job')
      .then((result) => (result.ok ? { ok: false, error: { code: result.value.step } } : result)),
    delete: store.condemnShow(show),
  };
  const refusals = {
    update: 'overloaded',
    reserve: 'overloaded',
    tick: 'overloaded',
    archive: 'illegal_move',
    delete: 'overloaded',
  };
  for (const [name, change] of Object.entries(changes))
    t.equal(outcome((await change) as never), refusals[name as keyof typeof refusals], name);
  t.same(await old.recordsOf(show), before);
  t.equal(unwrap(await store.getShow(show)).state, 'planned');
  t.same(unwrap(await store.verify(show)).violations, []);

  unwrap(await store.freezeExport(show, 'two'));
  t.equal(outcome(await store.renewExport(show, 'one')), 'overloaded', 'a second export takes over');
  t.equal(outcome(await store.renewExport(show, 'two')), 'ok');
  await client.hset(time.key(show, 'show'), 'frozen', '1');
  t.equal(outcome(await reserve(show, 'eve')), 'ok', 'the lease of a dead reader ends');
  t.equal(outcome(await store.thawExport(show, 'two')), 'overloaded', 'and what it read is no export');
});

test('an export during which the show may have changed leaves no file', async (t) => {
  const show = await soldShow();
  const folder = temporaryFolder(t);
  const slow = {
    ...store,
    readRecords: async (...args: Parameters<typeof store.readRecords>) => {
      await client.hset(time.key(show, 'show'), 'frozen', '1');
      return store.readRecords(...args);
    },
  };
  t.match(await exported(show, join(folder, 'show'), slow), { ok: false, error: { code: 'overloaded' } });
  t.same(readdirSync(folder), []);
  t.match(await exported(show, join(folder, 'gone', 'show')), { ok: false, error: { message: /is no folder/ } });
  t.equal(outcome(await store.tick(show)), 'ok');
});

test('an existing show is never replaced', async (t) => {
  const { show, path } = await exportedShow(t);
  unwrap(await imported(path));
  const before = await next.recordsOf(show);
  t.match(await imported(path), { ok: false, error: { code: 'already_exists' } });
  t.same(await next.recordsOf(show), before);
  unwrap(await next.store.condemnShow(show));
  unwrap(await next.store.deleteShow(show));
  t.equal(outcome(await imported(path)), 'ok', 'a deleted one may come back');
});

test('until an import is complete the show exists for no request, and a repeat starts again (I8)', async (t) => {
  const { show, path } = await exportedShow(t);
  const token = unwrap(await next.store.beginImport(show));
  unwrap(await next.store.putRecords(show, token, { key: 'sales', records: [['ghost', 'x']] }));
  unwrap(await next.store.putRecords(show, token, { key: 'due', records: [['1', 'ghost']] }));
  for (const request of ['getShow', 'load', 'listSales', 'verify', 'tick'] as const)
    t.equal(outcome(await next.store[request](show)), 'show_not_found', request);
  t.equal(outcome(await next.store.createShow({ id: show, title: 'Other' }, HOST)), 'already_exists');
  t.notOk(unwrap(await next.store.listShows()).shows.some(({ id }) => id === show));
  unwrap(await imported(path));
  t.equal(outcome(await next.store.putRecords(show, token, { key: 'sales', records: [['ghost', 'x']] })), 'overloaded');
  t.same(await everythingOf(next.store, show, ['ann', 'bob']), await everythingOf(store, show, ['ann', 'bob']));
  t.ok((await keysThere()).every((key) => key.startsWith('next:')));
});

test('what a dead import left is deleted by the job, after an hour (I9)', async (t) => {
  const show = 'left';
  const token = unwrap(await next.store.beginImport(show));
  unwrap(await next.store.putRecords(show, token, { key: 'idem-old', records: [['a', 'b']] }));
  t.match(unwrap(await next.store.retentionOf(show, 0)), { step: 'none' });
  unwrap(await next.store.deleteShow(show));
  t.equal((await next.client.keys(`*{${show}}*`)).length, 2, 'not while it may go on');
  const importAt = Number(await next.client.hget(next.time.key(show, 'show'), 'import_at'));
  const details = { removedAt: importAt + HOUR_MS };
  const message =
    /An import of the show left is under way, or died\. .* import the file again\..* removed within .*Z\.$/;
  const archives = archivesOf(next.store, temporaryFolder(t));
  const said = (code: string) => ({ ok: false, error: { code, message, details } });
  t.match(await next.store.createShow({ id: show, title: 'Other' }, HOST), said('already_exists'));
  for (const force of [false, true]) t.match(await archives.remove(show, { force }), said('illegal_move'));
  t.equal(outcome(await archives.remove('nothing')), 'show_not_found');
  await next.client.hset(next.time.key(show, 'show'), 'import_at', String(Date.now() - HOUR_MS - 1_000));
  t.match(unwrap(await next.store.retentionOf(show, 0)), { step: 'forget' });
  unwrap(await next.store.deleteShow(show));
  t.same(await next.client.keys(`*{${show}}*`), []);
  t.equal(await next.client.zscore('next:retention', show), null);
});

test('an import during which Redis restarted is refused, and leaves nothing', async (t) => {
  const { show, path } = await exportedShow(t);
  const other = {
    ...next.store,
    commitImport: async (...args: Parameters<typeof store.commitImport>) => {
      await next.client.hset(next.time.key(show, 'show'), 'import_run', 'another');
      return next.store.commitImport(...args);
    },
  };
  const refused = await imported(path, { to: other });
  t.match(refused, { ok: false, error: { code: 'overloaded', message: /Redis restarted/ } });
  t.same(await next.client.keys(`*{${show}}*`), []);
});

test('wrong books move as they are, with what is wrong in the manifest', async (t) => {
  const show = await soldShow();
  await old.skipCommitCheck(show);
  await client.hset(time.key(show, 'stock'), 'sale/M', pack([9, 1, 1, 1, 0, 1000, 0, 'p']));
  await client.hset(time.key(show, 'sales'), 'broken', Buffer.from([0xc1]));
  await client.xadd(time.key(show, 'ledger'), '*', 'e', Buffer.from([0xc1]));
  const path = join(temporaryFolder(t), 'show');
  const { manifest } = unwrap(await exported(show, path));
  for (const found of [/cannot be read/, /M: the live books/])
    t.ok(
      manifest.violations.some((violation) => found.test(violation)),
      String(found),
    );
  unwrap(await imported(path));
  t.same(unwrap(await next.store.verify(show)), unwrap(await store.verify(show)));
});

type Row = ReturnType<typeof JSON.parse>;
const rowsIn = (path: string): Row[] =>
  gunzipSync(readFileSync(path))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const textOf = (rows: Row[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const zipped = (rows: Row[]): Buffer => gzipSync(textOf(rows));

test('a file that is not what was exported is refused in one sentence, and nothing is written', async (t) => {
  const { path } = await exportedShow(t);
  const folder = temporaryFolder(t);
  const original = readFileSync(path);
  const rows = rowsIn(path);
  const [head, manifest] = [rows[0], rows.at(-1)];
  const first = rows.findIndex((row) => row[0] === 'ledger');
  const ledger = rows[first];
  const changed = (row: Row): Buffer => zipped(rows.with(first, row));
  const other = await soldShow();
  unwrap(await exported(other, join(folder, 'other')));
  const others = rowsIn(join(folder, 'other'));
  const flipped = (at: number): Buffer => {
    const copy = Buffer.from(original);
    copy[at] = (copy[at] ?? 0) ^ 0x10;
    return copy;
  };
  const files: Record<string, [Buffer, RegExp]> = {
    empty: [Buffer.alloc(0), /is incomplete; export|is empty/],
    'an empty gzip': [gzipSync(''), /is empty/],
    text: [Buffer.from('hello'), /not an export of Stampede/],
    cut: [original.subarray(0, original.length - 20), /is incomplete; export/],
    'cut before the manifest': [zipped(rows.slice(0, -1)), /its end is missing/],
    'without a head': [zipped(rows.slice(1)), /not an exported show/],
    'an archive': [zipped([{ at: '1-0', entries: [] }]), /not an exported show/],
    'a newer format': [zipped([{ ...head, format: 2 }, ...rows.slice(1)]), /format 2; this release knows up to 1/],
    'another manifest': [zipped([...rows.slice(0, -1), others.at(-1)]), /differs from the hash/],
    'another head': [zipped([{ ...head, show: 'x' }, ...rows.slice(1)]), /differs from the hash/],
    'a record is missing': [changed(ledger.slice(0, -1)), /differs from the hash/],
    'a changed value': [
      changed([...ledger.slice(0, -1), [...ledger.at(-1).slice(0, -1), 'x']]),
      /differs from the hash/,
    ],
    'rows behind the manifest': [zipped([...rows, ['sales', ['a', 'b']]]), /goes on behind/],
    'no manifest fields': [zipped([...rows.slice(0, -1), { kind: 'manifest' }]), /manifest is incomplete/],
    'an unknown key': [zipped([head, ['passwords', ['a', 'b']], manifest]), /line 2: passwords is no key/],
    'a record of another shape': [zipped([head, ['sales', ['a']], manifest]), /of sales has another shape/],
    'a number': [zipped([head, ['sales', ['a', 1]], manifest]), /of sales has another shape/],
    'a line that is no page': [zipped([head, 7, manifest]), /line 2 has another shape/],
    'no JSON': [gzipSync(`${JSON.stringify(head)}\n{"a`), /JSON/],
    'a gigantic line': [gzipSync(`${JSON.stringify(head)}\n"${'x'.repeat(40 * 1024 * 1024)}"`), /line 2 is too long/],
    ...Object.fromEntries(
      [12, 60, Math.floor(original.length / 2), original.length - 12].map((at) => [
        `a flipped bit at ${at}`,
        [flipped(at), /./],
      ]),
    ),
  };
  const before = await keysThere();
  for (const [name, [bytes, says]] of Object.entries(files)) {
    const file = join(folder, 'hostile');
    writeFileSync(file, bytes);
    const result = await imported(file);
    t.match(result, { ok: false, error: { code: 'invalid_request', message: /cannot be imported: / } }, name);
    if (!result.ok) t.match(result.error.message, says, name);
    if (!result.ok) t.notMatch(result.error.message, /\n/, name);
  }
  const none = join(folder, 'none');
  const message = `There is no file ${none}. Check its path.`;
  t.match(await imported(none), { ok: false, error: { code: 'not_found', message } });
  t.same(await keysThere(), before, 'nothing was written');
  t.notOk(existsSync(join(folder, 'hostile.partial')));
});
