/** Foreign entries and records in Redis: they cost one show, and never a folder elsewhere (I9). */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createErasures } from '../../src/archive/index.ts';
import { createRetention } from '../../src/jobs/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { HOST, outcome, pluck, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('dam:');
const { test, store, client, time, openShow, hold, confirm } = fixture;
const logger = createLogger({ level: 'silent' });
const headerOf = (show: string): string => time.key(show, 'show');

test('an id that Redis returns never names a folder outside ARCHIVE_DIR (I9)', async (t) => {
  const root = temporaryFolder(t);
  const [folder, victim] = [join(root, 'archive'), join(root, 'victim')];
  for (const path of [folder, victim]) mkdirSync(path);
  writeFileSync(join(victim, 'file'), 'x');
  const foreign = ['../victim', '..', '', '.', 'a{b}', 'n\nl', `${'x'.repeat(300)}`, '../archive'];
  for (const id of foreign) {
    await client.hset(headerOf(id), 'run', 'x', 'state', 'deleting');
    for (const index of ['retention', 'shows']) await client.zadd(`dam:${index}`, 1, id);
    await client.sadd('dam:live', id);
  }
  const bytes = Buffer.from([0xff, 0x2f, 0xfe]);
  await client.zadd('dam:retention', 1, bytes);
  const archives = archivesOf(store, folder);
  for (let i = 0; i < 2; i++) await createRetention({ store, archives, retentionMs: 1, logger })();
  for (const id of foreign) {
    t.equal(outcome(await archives.remove(id)), 'show_not_found');
    t.equal(outcome(await archives.archive(id)), 'show_not_found');
  }
  const erasures = createErasures({ store, folder, logger });
  unwrap(await erasures.erase('ann'));
  await erasures.stop();
  t.same(readdirSync(root).sort(), ['archive', 'victim']);
  t.ok(existsSync(join(victim, 'file')));
  t.equal(await client.zcard('dam:retention'), 0, 'foreign entries are dropped');
  t.same(unwrap(await store.liveShows()), []);
  t.same(unwrap(await store.showIds()), []);
  const show = await openShow();
  t.same(pluck(unwrap(await store.listShows({ limit: 1 })).shows, 'id'), [show]);
  t.equal(unwrap(await store.listShows({ limit: 1 })).next, null);
  await client.del('dam:shows', 'dam:live');
});

test('a show whose record has another type is not listed, and the others are', async (t) => {
  const [broken, other, junk] = [await openShow(), await openShow(), await openShow()];
  await client.set(headerOf(broken), 'junk');
  await client.hset(headerOf(junk), 'view', 'junk');
  t.same(pluck(unwrap(await store.listShows()).shows, 'id'), [other]);
  for (const show of [broken, junk]) await fixture.skipCommitCheck(show);
});

const endedShow = async (): Promise<string> => {
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, 'ann')));
  unwrap(await store.endShow(show, HOST));
  await fixture.skipCommitCheck(show);
  return show;
};
const keysOf = async (show: string): Promise<string[]> =>
  (await client.keys('dam:*')).filter((key) => key.includes(`{${show}}`));

/** By what is damaged: whether the show can still be archived. */
const DAMAGES: Array<[name: string, isArchived: boolean, damage: (show: string) => Promise<unknown>]> = [
  ...(['rev 5abc', 'live_sales 0x', 'ended never', 'frozen junk', 'erasing junk', 'created junk'] as const).map(
    (what) => damageOf(what, true),
  ),
  ...(['format abc', 'view junk'] as const).map((what) => damageOf(what, false)),
  ['the record of another type', false, (show) => client.set(headerOf(show), 'junk')],
  ...['ledger', 'log', 'due', 'products', 'sales', 'stock', 'reservations'].map((name): (typeof DAMAGES)[number] => [
    `${name} of another type`,
    true,
    async (show) => {
      await client.del(time.key(show, name));
      await client.set(time.key(show, name), 'junk');
    },
  ]),
];
function damageOf(what: string, isArchived: boolean): (typeof DAMAGES)[number] {
  const [field = '', value = ''] = what.split(' ');
  return [what, isArchived, (show) => client.hset(headerOf(show), field, value)];
}

for (const [name, isArchived, damage] of DAMAGES)
  test(`an ended show whose records are damaged (${name}) has an end (I9)`, async (t) => {
    const archives = archivesOf(store, temporaryFolder(t));
    const show = await endedShow();
    await damage(show);
    await client.zadd('dam:retention', 1, show);
    const archived = await archives.archive(show);
    t.equal(archived.ok, isArchived, JSON.stringify(archived));
    t.match(archived, isArchived ? { value: { state: 'archived' } } : { error: { message: /delete the show/ } });
    t.equal(outcome(await archives.remove(show)), 'ok');
    t.same(await keysOf(show), []);
    t.equal(await client.zscore('dam:retention', show), null);
  });

test('a live show is deleted only if its record cannot be read', async (t) => {
  const archives = archivesOf(store, temporaryFolder(t));
  for (const [field, isDeleted] of [
    ['', false],
    ['rev', true],
    ['offset', true],
    ['view', true],
    ['format', true],
  ] as const) {
    const show = await openShow();
    unwrap(await store.startShow(show, HOST));
    await fixture.skipCommitCheck(show);
    if (field !== '') await client.hset(headerOf(show), field, 'junk');
    t.equal(outcome(await archives.remove(show)), isDeleted ? 'ok' : 'illegal_move', field);
  }
});

test('a full Redis archives and deletes shows, by request and when they are due (I9)', async (t) => {
  const archives = archivesOf(store, temporaryFolder(t));
  const [asked, deleted, due] = [await endedShow(), await endedShow(), await endedShow()];
  await client.zadd('dam:retention', 1, due);
  await client.config('SET', 'maxmemory', '1mb');
  t.match(await archives.archive(asked), { ok: true, value: { state: 'archived' } });
  t.equal(outcome(await archives.remove(deleted)), 'ok');
  t.equal(outcome(await archives.remove(asked)), 'ok', 'an archived one too');
  await createRetention({ store, archives, retentionMs: 0, logger })();
  t.equal(await client.hget(headerOf(due), 'state'), 'archived');
  t.same(await keysOf(deleted), []);
  await client.config('SET', 'maxmemory', '0');
});

test('before a show is frozen, a job plans to go on if this process ends (I8)', async (t) => {
  const show = await endedShow();
  await client.zadd('dam:retention', store.now() + 3_600_000, show);
  unwrap(await store.freezeShow(show, 'dead'));
  const inMs = Number(await client.zscore('dam:retention', show)) - store.now();
  t.ok(inMs <= LIMITS.archiveLeaseMs, `looked at in ${inMs} ms`);
});
