/** Foreign entries and records in Redis: they cost one show, and never a folder elsewhere (I9). */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createErasures } from '../../src/archive/index.ts';
import { createRetention } from '../../src/jobs/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { outcome, pluck, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('dam:');
const { test, store, client, time, openShow } = fixture;
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
