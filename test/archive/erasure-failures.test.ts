/** Erasures that meet unreadable records, failures, and shows that are left for later. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { writeExport } from '../../src/archive/export-file.ts';
import { createErasures } from '../../src/archive/index.ts';
import type { ExaminedShow, RecordExaminer, RecordPage } from '../../src/domain/transfer.ts';
import { ok } from '../../src/protocol/codes.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { erasuresOn, logger, nameOf } from '../support/erasures.ts';
import { keysNaming } from '../support/every-value.ts';
import { byHost, HOST, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('err:');
const { test, store, client, time, hold, confirm, openShow } = fixture;
const { newUser, erasuresOf, erase, letRetry, say } = erasuresOn(fixture);

test('an unreadable batch of chat is dropped, and stops neither later shows nor other users', async (t) => {
  const [user, other] = [newUser(), newUser()];
  const folder = temporaryFolder(t);
  const shows = [await openShow(), await openShow(), await openShow()];
  for (const show of shows) for (const one of [user, other]) unwrap(await confirm(show, await hold(show, one)));
  for (const show of shows) await fixture.skipCommitCheck(show);
  for (const show of shows) await say(show, [user, other]);
  const [show = ''] = shows;
  const chat = time.key(show, 'chat');
  const [[, fields = []] = []] = (await client.xrangeBuffer(chat, '-', '+')) as unknown as Array<[Buffer, Buffer[]]>;
  await client.call('XADD', chat, '*', ...fields.with(1, Buffer.from('junk')));
  await client.call('XADD', chat, '*', ...fields.with(3, Buffer.from([0xc1, 0xc1])));
  const remaining = [{ show, reason: 'unreadable', retried: false }];
  t.match(await erase(folder, user), { state: 'incomplete', shows: 3, reservations: 3, messages: 3, remaining });
  t.match(await erase(folder, other), { state: 'done', shows: 3, reservations: 3, messages: 3 });
  t.same(await keysNaming(client, fixture.prefix, [user, nameOf(user), other, nameOf(other)]), []);
});

test('a user whose erasure fails or is planned in an unreadable record does not stop others', async (t) => {
  const [broken, junk, user] = [newUser(), newUser(), newUser()];
  const folder = temporaryFolder(t);
  const show = await openShow();
  for (const one of [broken, junk, user]) unwrap(await confirm(show, await hold(show, one)));
  await fixture.skipCommitCheck(show);
  const eraseResponses: typeof store.eraseResponses = async (one) => {
    if (one === broken) throw new Error('broken');
    return store.eraseResponses(one);
  };
  const failing = createErasures({ folder, logger, store: { ...store, eraseResponses } });
  t.match(await failing.erase(broken), { ok: false, error: { code: 'internal' } });
  await client.hset(`${fixture.prefix}erasures`, junk, 'junk');
  t.match(unwrap(await failing.erase(user)), { state: 'done', reservations: 1 });
  t.match(unwrap(await failing.report(junk)), { state: 'done', reservations: 1 }, 'the record is made again');
  const { triedAt } = unwrap(await store.planErasure(broken));
  t.ok(triedAt > 0, 'the failed one is tried again after a pause');
  await letRetry(broken);
  await erasuresOf(folder).runPlanned();
  t.match(unwrap(await store.erasureOf(broken)), { state: 'done', reservations: 1 });
});

test('a key of the eraser without an expiry is of no process, and stops no erasure', async (t) => {
  const [user, folder] = [newUser(), temporaryFolder(t)];
  const eraser = `${fixture.prefix}eraser`;
  await client.set(eraser, 'junk');
  t.match(await erase(folder, user), { state: 'done' });
  t.equal(await client.exists(eraser), 0);
  await client.lpush(eraser, 'junk');
  t.match(await erase(folder, newUser()), { state: 'done' }, 'of any type');
  await client.set(eraser, 'other', 'PX', 60_000);
  t.equal(unwrap(await store.takeEraser('mine')), false, 'another process has it');
  await client.del(eraser);
});

test('a retry reads only the shows that are left; the mark of another erasure names no user', async (t) => {
  const [user, unknown] = [newUser(), newUser()];
  const folder = temporaryFolder(t);
  const [held, other] = [await openShow(), await openShow()];
  const reservation = await hold(held, user);
  unwrap(await confirm(other, await hold(other, user)));
  const read: string[] = [];
  const eraseInShow: typeof store.eraseInShow = (id, erased) => {
    read.push(id);
    return store.eraseInShow(id, erased);
  };
  const erasures = createErasures({ folder, logger, store: { ...store, eraseInShow } });
  t.match(unwrap(await erasures.erase(user)), { state: 'waiting', shows: 1 });
  for (const show of [held, other]) await fixture.skipCommitCheck(show);
  t.ok(read.includes(other));
  read.length = 0;
  await letRetry(user);
  await erasures.runPlanned();
  t.same(read, [held]);
  t.match(unwrap(await erasures.report(user)), {
    state: 'waiting',
    shows: 1,
    remaining: [{ show: held, reason: 'hold_open' }],
  });
  unwrap(await confirm(held, reservation));
  t.match(unwrap(await erasures.erase(user)), { state: 'done', shows: 2, reservations: 2, remaining: { length: 0 } });
  await client.hset(time.key(other, 'show'), 'erasing', String(store.now()), 'eraser', 'erased-another.run');
  t.match(await erase(folder, unknown), { state: 'done', shows: 0 });
  await client.hdel(time.key(other, 'show'), 'erasing', 'eraser');
});

test('a response is erased if a value is the user, and not if a field or a text has that word', async (t) => {
  const show = await openShow();
  const responses = { by: { token: 'x' }, text: { text: 'a "token" b' }, own: { users: [{ user: 'token' }] } };
  const record = async (name: string, payload: unknown): Promise<void> => {
    unwrap(await store.once(show, byHost(name), ['body'], async () => ok({ payload })));
  };
  for (const [name, payload] of Object.entries(responses)) await record(name, payload);
  t.match(await erase(temporaryFolder(t), 'token'), { state: 'done', commands: 1 });
});

test('the report of an erasure does not wait for a show that was deleted, and counts it', async (t) => {
  const [user, folder] = [newUser(), temporaryFolder(t)];
  const [retried, asked] = [await openShow(), await openShow()];
  for (const show of [retried, asked]) {
    await hold(show, user);
    unwrap(await store.endShow(show, HOST));
    await fixture.skipCommitCheck(show);
  }
  t.match(await erase(folder, user), { state: 'waiting', remaining: [{ reason: 'hold_open' }, {}] });
  const remove = async (show: string) => unwrap(await archivesOf(store, folder).remove(show, { force: true }));
  await remove(retried);
  await letRetry(user);
  await erasuresOf(folder).runPlanned();
  const remaining = [{ show: asked, reason: 'hold_open' }];
  t.match(unwrap(await store.erasureOf(user)), { state: 'waiting', shows: 1, remaining });
  await remove(asked);
  t.match(await erase(folder, user), { state: 'done', shows: 2, remaining: { length: 0 } });
});

test('an archive that is deleted with its show while a user is erased is not reported as missing', async (t) => {
  const [user, folder] = [newUser(), temporaryFolder(t)];
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, user)));
  unwrap(await store.endShow(show, HOST));
  await fixture.skipCommitCheck(show);
  const archives = archivesOf(store, folder);
  unwrap(await archives.archive(show));
  const archiveOf: typeof store.archiveOf = async (id) => {
    const summary = await store.archiveOf(id);
    if (id === show) unwrap(await archives.remove(show));
    return summary;
  };
  const erasures = createErasures({ folder, logger, store: { ...store, archiveOf } });
  const { remaining } = unwrap(await erasures.erase(user));
  t.notOk(remaining.some((rest) => rest.show === show));
});

test('without ARCHIVE_DIR an archive is missing, and nothing is retried', async (t) => {
  const user = newUser();
  const folder = temporaryFolder(t);
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, user)));
  unwrap(await store.endShow(show, HOST));
  await fixture.skipCommitCheck(show);
  unwrap(await archivesOf(store, folder).archive(show));
  const report = await erase(join(folder, 'none'), user);
  t.equal(report.state, 'incomplete');
  t.match(
    report.remaining.find((rest) => rest.show === show),
    { reason: 'archive_missing', retried: false },
  );
});

test('archiving keeps the folder that an erasure writes, and deleting the show removes it', async (t) => {
  const folder = temporaryFolder(t);
  const show = await openShow();
  unwrap(await store.endShow(show, HOST));
  await fixture.skipCommitCheck(show);
  for (const kind of ['run', 'run.erasure']) mkdirSync(join(folder, `${show}.${kind}.partial`));
  unwrap(await archivesOf(store, folder).archive(show));
  t.same(readdirSync(folder).sort(), [show, `${show}.run.erasure.partial`].sort());
  unwrap(await archivesOf(store, folder).remove(show));
  t.same(readdirSync(folder), []);
});

test('two exports to one path do not write to one file', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'show');
  const names: string[] = [];
  // Of an export to another path, which has the same start.
  const other = `show.gz.${randomUUID()}.partial`;
  writeFileSync(join(folder, other), '');
  async function* pages(): AsyncGenerator<RecordPage> {
    for (let turn = 0; turn < 200 && readdirSync(folder).length < 3; turn++) await setImmediate();
    names.push(...readdirSync(folder));
    yield { key: 'show', records: [['a', 'b']] } as unknown as RecordPage;
  }
  const show = { show: 's', state: 'ended', violations: [] } as unknown as ExaminedShow;
  const examiner = { add: (page: RecordPage) => page, finish: () => show } as unknown as RecordExaminer;
  const head = { show: 's', state: 'ended', exportedAt: 1, engine: 'test' } as const;
  await Promise.allSettled([writeExport(path, head, pages(), examiner), writeExport(path, head, pages(), examiner)]);
  t.equal(new Set(names).size, 3);
  t.same(readdirSync(folder).sort(), ['show', other]);
});
