/** One ARCHIVE_DIR and two installations: a show with the same id takes no archive of another. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createErasures, verifyArchive } from '../../src/archive/index.ts';
import { archiveFolderKeeper } from '../../src/config/index.ts';
import type { ShowIdentity } from '../../src/domain/archive.ts';
import { createRetention } from '../../src/jobs/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { filesNaming } from '../support/every-value.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('own:');
const { test, store, client, time } = fixture;
const other = await fixture.connectAnother({ keyPrefix: 'own2:' });

const REFUSED = {
  ok: false,
  error: {
    code: 'archive_conflict',
    message:
      /^The folder \S+ is the archive of another show, "Show"\. Nothing was changed\. .*move it out of ARCHIVE_DIR/,
    details: { folder: String },
  },
};
const MISSING = {
  ok: false,
  error: {
    code: 'archive_failed',
    message: /are not in \S+\. Nothing was deleted\. Put them there, or set ARCHIVE_DIR/,
  },
};
let shows = 0;
const newShow = (): string => `same-${++shows}`;

/** An ended show with this id in one of the installations. */
async function ended(show: string, into: typeof other = store): Promise<void> {
  unwrap(await into.createShow({ id: show, title: 'Show' }, HOST));
  unwrap(await into.startShow(show, HOST));
  unwrap(await into.endShow(show, HOST));
}

function warnings(): { readonly lines: string[]; readonly logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { lines, logger: createLogger({ level: 'warn', destination }) };
}

test('two installations with one ARCHIVE_DIR lose no archive of a show with the same id', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  const { lines, logger } = warnings();
  const mine = archivesOf(store, folder);
  const others = archivesOf(other, folder, { logger });
  await ended(show);
  await ended(show, other);
  t.match(await mine.archive(show), { ok: true, value: { state: 'archived' } });
  const before = readFileSync(join(folder, show, 'manifest.json'), 'utf8');
  t.match(await others.archive(show), REFUSED);
  t.match(await others.archive(show), REFUSED, 'a repeat too');
  t.match(await others.remove(show), REFUSED);
  t.equal(unwrap(await other.getShow(show)).state, 'ended', 'the show stays in Redis');
  t.equal(readFileSync(join(folder, show, 'manifest.json'), 'utf8'), before);
  t.same(readdirSync(folder), [show], 'nothing partial remains');
  t.equal(lines.length, 1, 'it is logged once');

  renameSync(join(folder, show), join(folder, 'away'));
  t.match(await others.archive(show), { ok: true, value: { state: 'archived' } });
  t.match(await mine.remove(show), REFUSED, 'nor does the owner delete what took its place');
  t.match(await others.remove(show), { ok: true });
  t.same(readdirSync(folder), ['away']);
  t.same((await verifyArchive(join(folder, 'away'))).violations, []);
  t.match(await mine.remove(show), MISSING, 'its archive is away');
  t.match(await mine.remove(show, { force: true }), { ok: true, value: { files: 'missing' } });
});

/** A show of which Redis knows nothing, and its archive, which was put back. */
async function putBack(folder: string, show: string): Promise<void> {
  const archives = archivesOf(store, folder);
  await ended(show);
  unwrap(await archives.archive(show));
  renameSync(join(folder, show), join(folder, 'away'));
  unwrap(await archives.remove(show, { force: true }));
  renameSync(join(folder, 'away'), join(folder, show));
}

test('an archive that was put back after its show was deleted is named, and not replaced or deleted', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  const archives = archivesOf(store, folder);
  await putBack(folder, show);
  const message = new RegExp(
    `^The folder ${join(folder, show)} is .*, and there is no show ${show} in Redis\\. Nothing`,
  );
  const named = { ok: false, error: { code: 'archive_conflict', message, details: { folder: join(folder, show) } } };
  t.match(await archives.remove(show), named);
  t.match(await archives.remove(show, { force: true }), named, 'force does not delete it either');
  await ended(show);
  t.match(await archives.archive(show), REFUSED);
  t.match(await archives.remove(show), REFUSED);
  t.same((await verifyArchive(join(folder, show))).violations, []);

  t.same(unwrap(await archives.remove(show, { force: true })), { files: 'none' }, 'by force the new show is deleted');
  t.match(await archives.remove(show), named, 'and the folder stays');
  rmSync(join(folder, show), { recursive: true });
  t.equal(outcome(await archives.remove(show)), 'show_not_found');
});

test('a deletion that was killed is finished beside an archive that was put back', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  await putBack(folder, show);
  await ended(show);
  unwrap(await store.condemnShow(show));
  await client.zadd('own:retention', 1, show);
  const { logger } = warnings();
  await createRetention({ store, archives: archivesOf(store, folder), retentionMs: 0, logger })();
  t.equal(await client.exists(time.key(show, 'show')), 0);
  t.same(readdirSync(folder), [show]);
});

test('an error of the disk becomes a sentence that says what to do', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  await ended(show);
  const meanings = {
    EROFS: 'its file system is read-only. Mount it writable, or set',
    EACCES: 'this user may not write there. Give the user of this process the permission to read and write it, or set',
    ENOSPC: 'its disk is full. Free some space, or set',
    EDQUOT: 'its disk quota is used up. Raise the quota or free some space, or set',
    ENOENT: 'it does not exist. Check the path, and that its disk is mounted, or set',
    ENOTDIR: 'it is not a folder. Set',
  };
  for (const [code, meaning] of Object.entries(meanings)) {
    const prepareFolder = (): never => {
      throw Object.assign(new Error(`${code}: raw, mkdir '${folder}'`), { code, syscall: 'mkdir' });
    };
    const problem = `The archive folder ${folder} cannot be used: ${meaning} ARCHIVE_DIR to a writable folder.`;
    t.match(await archivesOf(store, folder, { prepareFolder }).archive(show), {
      ok: false,
      error: { code: 'archive_failed', message: `The show was not archived, and is as before. ${problem}` },
    });
  }
});

test('a show that another installation made in the same millisecond is another show', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  await ended(show);
  const { createdAt } = unwrap(await store.identityOf(show)) as ShowIdentity;
  await ended(show, other);
  await client.hset(`own2:{${show}}:show`, 'created', String(createdAt));
  t.equal(unwrap(await other.identityOf(show))?.createdAt, createdAt);
  unwrap(await archivesOf(store, folder).archive(show));
  t.match(await archivesOf(other, folder).archive(show), REFUSED);
});

test('an archived show is not deleted where its files are not, unless by force', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  const [never, file] = [newShow(), join(folder, 'file')];
  writeFileSync(file, '');
  await ended(show);
  await ended(never);
  unwrap(await archivesOf(store, folder).archive(show));
  const { lines, logger } = warnings();
  for (const path of [temporaryFolder(t), join(folder, 'nowhere'), file]) {
    const others = archivesOf(store, path, { logger });
    t.match(await others.remove(show), MISSING);
    t.match(await others.remove(show), MISSING, 'a repeat too');
  }
  t.equal(outcome(await store.getShow(show)), 'show_archived');
  t.same((await verifyArchive(join(folder, show))).violations, []);
  t.equal(lines.length, 0);
  const others = archivesOf(store, file, { logger });
  t.same(unwrap(await others.remove(never)), { files: 'none' }, 'a show that was never archived needs no folder');
  t.same(unwrap(await others.remove(show, { force: true })), { files: 'missing' });
  t.equal(outcome(await store.getShow(show)), 'show_not_found');
  t.same((await verifyArchive(join(folder, show))).violations, [], 'the files stay where they are');
  t.equal(lines.length, 1);
  t.match(lines[0], new RegExp(`"show":"${show}".*files of its archive were not found`));
});

test('an archive that appears while its show is deleted is not left behind', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  await ended(show);
  const slow: typeof store = {
    ...store,
    condemnShow: async (...args) => {
      unwrap(await archivesOf(store, folder).archive(show));
      return store.condemnShow(...args);
    },
  };
  t.match(await archivesOf(slow, temporaryFolder(t)).remove(show), MISSING);
  t.same(unwrap(await archivesOf(store, folder).remove(show)), { files: 'deleted' });
});

test('a deletion that was killed is finished by any process, after each of its steps (I8)', async (t) => {
  const never = new Promise<never>(() => {});
  const dying: Record<string, (died: () => void, show: string) => typeof store> = {
    'the show is condemned': (died) => ({
      ...store,
      condemnShow: async (...args) => {
        unwrap(await store.condemnShow(...args));
        died();
        return never;
      },
    }),
    'the files are deleted': (died) => ({
      ...store,
      deleteShow: () => {
        died();
        return never;
      },
    }),
  };
  for (const [step, storeOf] of Object.entries(dying))
    for (const isElsewhere of [false, true]) {
      const [folder, show] = [temporaryFolder(t), newShow()];
      await ended(show);
      unwrap(await archivesOf(store, folder).archive(show));
      await new Promise<void>((died) => void archivesOf(storeOf(died, show), folder).remove(show));
      const left = () => readdirSync(folder).filter((name) => name.startsWith(`${show}.`) || name === show);
      if (step === 'the files are deleted') t.same(left(), []);
      // Killed while it deleted them.
      else if (!isElsewhere) renameSync(join(folder, show), join(folder, `${show}.killed.partial`));
      const { logger } = warnings();
      await client.zadd('own:retention', 1, show);
      const archives = archivesOf(store, isElsewhere ? join(folder, 'nowhere') : folder, { logger });
      await createRetention({ store, archives, retentionMs: 0, logger })();
      t.equal(outcome(await store.getShow(show)), 'show_not_found', `${step}, elsewhere: ${isElsewhere}`);
      t.equal(await client.exists(time.key(show, 'show')), 0);
      t.equal(await client.zscore('own:retention', show), null);
      if (!isElsewhere) t.same(left(), []);
    }
});

test('a show whose record has another type is deleted also if the first try was killed', async (t) => {
  const show = newShow();
  await ended(show);
  await client.set(time.key(show, 'show'), 'junk');
  unwrap(await store.condemnShow(show));
  t.same(unwrap(await archivesOf(store, temporaryFolder(t)).remove(show)), { files: 'none' });
  t.equal(await client.exists(time.key(show, 'show')), 0);
});

test('a folder that is no archive, or cannot be read, is not deleted', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  await ended(show);
  mkdirSync(join(folder, show));
  writeFileSync(join(folder, show, 'photo.jpg'), 'mine');
  const archives = archivesOf(store, folder);
  t.match(await archives.archive(show), {
    ok: false,
    error: { code: 'archive_conflict', message: /is no archive \(it has no manifest\.json\)/ },
  });
  writeFileSync(join(folder, show, 'manifest.json'), '{');
  t.match(await archives.remove(show), {
    ok: false,
    error: { message: /cannot be read \(manifest.json is not JSON\)/ },
  });
  t.ok(readdirSync(join(folder, show)).includes('photo.jpg'));
});

test('a show of an earlier release, without origin, continues its interrupted archive', async (t) => {
  const [folder, show] = [temporaryFolder(t), newShow()];
  await ended(show);
  await client.hdel(time.key(show, 'show'), 'origin');
  const dying = { ...store, finishArchive: async () => ({ ok: true, value: null }) as const };
  t.equal(outcome(await archivesOf(dying, folder).archive(show)), 'overloaded');
  const header = time.key(show, 'show');
  await client.hset(header, 'state', 'ended', 'run', String(await client.hget(header, 'run_before')));
  t.match(await archivesOf(store, folder).archive(show), { ok: true, value: { state: 'archived' } });
  t.match(await archivesOf(store, folder).remove(show), { ok: true });
  t.same(readdirSync(folder), []);
});

test('a user is erased from each archive in the folder, also from those that Redis does not list', async (t) => {
  const [folder, show, listed] = [temporaryFolder(t), newShow(), newShow()];
  /** An archive whose ledger names Ann. */
  const archived = async (id: string, into: typeof other = store): Promise<void> => {
    unwrap(await into.createShow({ id, title: 'Show' }, HOST));
    unwrap(await into.startShow(id, HOST));
    await into.reserve(id, [{ user: 'ann-lee', key: 'k', sale: 'none', lines: [{ sku: 'S', qty: 1 }] }]);
    unwrap(await into.endShow(id, HOST));
    unwrap(await archivesOf(into, folder).archive(id));
  };
  await archived(show);
  renameSync(join(folder, show), join(folder, `${show}.before`));
  unwrap(await archivesOf(store, folder).remove(show, { force: true }));
  await archived(listed);
  renameSync(join(folder, listed), join(temporaryFolder(t), 'away'));
  await archived(listed, other);
  t.equal(filesNaming(folder, ['ann-lee']).length, 2);
  for (const name of ['lost+found', 'empty.old']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'notes'), '');
  const { logger, lines } = warnings();
  const report = unwrap(await createErasures({ store, folder, logger }).erase('ann-lee'));
  t.match(report, { state: 'incomplete', archives: 2 });
  t.match(lines.join(''), /a user was erased incompletely.*repeated/);
  const rest = report.remaining.filter((each) => readdirSync(folder).includes(each.show ?? ''));
  t.match(rest, [{ show: listed, reason: 'archive_missing' }], 'the archive of another show is in its place');
  t.same(filesNaming(folder, ['ann-lee']), []);
  for (const name of [`${show}.before`, listed]) t.same((await verifyArchive(join(folder, name))).violations, []);
  t.same(readdirSync(folder).sort(), ['empty.old', listed, 'lost+found', 'notes', `${show}.before`].sort());
});

test('an erasure says which archive is missing, and is done when it was put back', async (t) => {
  const [root, show] = [temporaryFolder(t), newShow()];
  const folder = join(root, 'archive');
  await ended(show);
  unwrap(await archivesOf(store, folder).archive(show));
  const { logger } = warnings();
  const erase = async (path: string) => {
    const { state, remaining } = unwrap(await createErasures({ store, folder: path, logger }).erase('bea'));
    return { state, rest: remaining.filter((rest) => rest.show === show) };
  };
  t.match(await erase(join(root, 'nowhere')), { state: 'incomplete', rest: [{ reason: 'archive_missing' }] });
  t.same((await erase(folder)).rest, []);
  writeFileSync(join(root, 'file'), '');
  t.match(await createErasures({ store, folder: join(root, 'file'), logger }).erase('cid'), {
    ok: false,
    error: {
      code: 'archive_failed',
      message: /^The archive folder .* cannot be used: it is not a folder\. Set ARCHIVE_DIR/,
    },
  });
});

test('a folder without the mark of earlier archives takes none: its disk may not be mounted (I9)', async (t) => {
  const installation = await fixture.connectAnother({ keyPrefix: 'mark:' });
  const [folder, mountPoint] = [temporaryFolder(t), temporaryFolder(t)];
  const marker = '.stampede-archive';
  const { lines, logger } = warnings();
  const prepared = (path: string) => archivesOf(installation, path, { prepareFolder: archiveFolderKeeper(), logger });
  const [first, second] = [newShow(), newShow()];
  for (const show of [first, second]) await ended(show, installation);
  await prepared(folder).checkFolder();
  unwrap(await prepared(folder).archive(first));
  t.same(readdirSync(folder).sort(), [marker, first].sort());
  await prepared(folder).checkFolder();
  t.same(lines, [], 'nothing is wrong');

  const started = prepared(mountPoint);
  await started.checkFolder();
  t.match(lines, [/shows cannot be archived/], 'it is logged at the start');
  t.match(lines[0], /Mount its disk, or set ARCHIVE_DIR/);
  const message = new RegExp(`is as before\\. .* make the file: touch ${join(mountPoint, marker)}$`);
  t.match(await started.archive(second), { ok: false, error: { code: 'archive_failed', message } });
  t.equal(unwrap(await installation.getShow(second)).state, 'ended');
  t.same(readdirSync(mountPoint), []);
  writeFileSync(join(mountPoint, marker), '');
  t.match(await started.archive(second), { ok: true });

  // A deletion that died is repeated while the disk is away.
  const away = temporaryFolder(t);
  unwrap(await installation.condemnShow(first));
  for (const path of [away, join(away, 'gone')])
    t.equal(outcome(await prepared(path).remove(first, { force: true, isRepeat: true })), 'archive_failed', path);
  t.same(unwrap(await prepared(folder).remove(first, { force: true, isRepeat: true })), { files: 'deleted' });
  t.same(readdirSync(folder), [marker]);
  t.equal(outcome(await installation.getShow(first)), 'show_not_found');
});
