/** Folders that an engine gets as DATA_DIR: each works, or is refused in one sentence. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getuid } from 'node:process';
import t from 'tap';
import { prepareFolder } from '../../src/config/index.ts';
import { mounted, needsMount } from '../support/mounted.ts';
import { holdsIn } from '../support/until.ts';
import { clientOf, dataFolder, pidOf, startElsewhere } from './embedded-fixture.ts';

t.jobs = 4;

t.test('a folder that cannot be used is refused in one sentence', async (t) => {
  const parent = dataFolder(t);
  writeFileSync(join(parent, 'file'), '');
  symlinkSync(join(parent, 'nowhere', 'deeper'), join(parent, 'dangling'));
  symlinkSync(join(parent, 'loop'), join(parent, 'loop'));
  const refused: readonly [string, RegExp][] = [
    ['/proc/x/data', /it cannot be created there/],
    ['/sys/x', /this user may not write there/],
    [join(parent, 'file'), /it is not a folder/],
    [join(parent, 'file', 'data'), /it is not a folder/],
    [join(parent, 'dangling'), /it cannot be created there/],
    [join(parent, 'loop'), /its path has a loop of symbolic links/],
    [join(parent, 'x'.repeat(300)), /its path is too long/],
  ];
  for (const [folder, reason] of refused) {
    t.throws(() => prepareFolder(folder), { message: reason }, folder);
    t.throws(() => prepareFolder(folder), {
      message: /^The data folder \/\S+ cannot be used: .*\. (?:\w.*, or s|S)et DATA_DIR to a writable folder\.$/,
    });
  }
});

t.test('a folder of another user, or with a file of another user, is refused in one sentence', async (t) => {
  const [closed, mixed] = [dataFolder(t), dataFolder(t)];
  const uid = getuid?.() === 0 ? { uid: 65_534 } : {};
  chmodSync(closed, 0o500);
  for (const folder of [mixed, dirname(mixed), dirname(dirname(mixed))]) chmodSync(folder, 0o777);
  writeFileSync(join(mixed, 'engine.lock'), '', { mode: 0o400 });
  t.match((await startElsewhere(t, closed, uid)).said, /data folder .* cannot be used: this user may not write there/);
  t.match(
    (await startElsewhere(t, mixed, uid)).said,
    /cannot use \S+ \(EACCES: .*engine\.lock'\)\. .*check the owner and the mode/,
  );
});

t.test('a read-only file system is refused in one sentence', { ...needsMount }, async (t) => {
  const folder = dataFolder(t);
  const { said } = await startElsewhere(t, folder, { wrap: mounted('ro', dirname(folder)) });
  t.match(said, /cannot be used: its file system is read-only/);
});

t.test('a full disk is refused in one sentence', { ...needsMount }, async (t) => {
  const folder = dataFolder(t);
  const full = mounted('size=64k,nr_inodes=5', dirname(folder));
  t.match((await startElsewhere(t, folder, { wrap: full })).said, /The disk of \S+ is full or fails: free some space/);
});

t.test('blanks, quotes, umlauts and a path longer than that of a socket work, also for TMPDIR', async (t) => {
  const names = ['mit Leerzeichen und Ümläuten', `it's "quoted" \\ $HOME`, 'long/'.repeat(40)];
  for (const name of names) {
    const folder = dataFolder(t, name);
    const TMPDIR = join(folder, 'tmp');
    mkdirSync(TMPDIR);
    const { said } = await startElsewhere(t, folder, { env: { TMPDIR } });
    t.match(said, /\/redis\.sock$/);
    const redis = clientOf(t, said);
    await redis.set('name', name);
    const pid = await pidOf(redis);
    process.kill(pid, 'SIGKILL');
    t.ok(await holdsIn(10_000, async () => (await pidOf(redis)) !== pid));
    t.equal(await redis.get('name'), name);
  }
});

t.test('a disk that gets full ends the engine (always) or refuses writes', { ...needsMount }, async (t) => {
  for (const appendfsync of ['always', 'everysec'] as const) {
    const folder = dataFolder(t);
    const wrap = mounted('size=1m', dirname(folder));
    const engine = await startElsewhere(t, folder, { wrap, appendfsync });
    // Only the engine sees that file system.
    const redis = clientOf(t, `/proc/${engine.pid}/root${engine.said}`);
    await redis.set('unit', 'held');
    let refusal = '';
    const fill = async (): Promise<boolean> => {
      await Promise.race([redis.append('big', 'x'.repeat(400_000)), engine.ended]).catch((error) => {
        refusal = String(error);
      });
      return appendfsync === 'everysec' ? /MISCONF/.test(refusal) : engine.child.exitCode !== null;
    };
    t.ok(await holdsIn(60_000, fill), `${appendfsync}: ${refusal}`);
    if (appendfsync === 'everysec') t.equal(await redis.get('unit'), 'held', 'the server runs on');
    else t.match(engine.output(), /6 times in a minute\. Last, it ended with exit code 1.* The disk of \S+ is full/);
  }
});
