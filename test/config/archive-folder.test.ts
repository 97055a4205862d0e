/** An ARCHIVE_DIR that cannot be used is found at the start, and by `doctor`. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { archiveFolderKeeper } from '../../src/config/index.ts';
import { mounted, needsMount } from '../support/mounted.ts';
import { programArguments } from '../support/root.ts';
import { findingsOf } from './archive-folder-findings.ts';

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-config-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

t.test('a process that archives refuses a set ARCHIVE_DIR, and warns of the default', async (t) => {
  const folder = temporaryFolder(t);
  const [file, link] = [join(folder, 'file'), join(folder, 'link')];
  writeFileSync(file, '');
  symlinkSync(join(folder, 'nowhere'), link);
  const refused: Array<[path: string, reason: RegExp]> = [
    [file, /file cannot be used: it is not a folder\. Allowed: a writable folder; it is created/],
    [join(file, 'archive'), /archive cannot be used: it is not a folder/],
    [link, /link cannot be used: it cannot be created there/],
    [join(folder, 'gone', 'archive'), /archive cannot be used: the folder \S+gone does not exist/],
    ['/proc/archive', /: it cannot be created there/],
    ['/sys/archive', /: this user may not write there/],
  ];
  for (const [path, reason] of refused) {
    for (const found of [
      findingsOf({ ARCHIVE_DIR: path }),
      findingsOf({}, [`--archive-dir=${path}`]),
      findingsOf({ ARCHIVE_DIR: path, ROLES: 'jobs' }),
    ]) {
      t.match(found, { errors: [/^(ARCHIVE_DIR|--archive-dir): /], warnings: { length: 0 } }, path);
      t.match(found, { errors: [reason], doctor: { state: 'failed', found: /The engine does not start\.$/ } });
    }
    const served = { errors: { length: 0 }, warnings: { length: 0 }, doctor: { state: 'skipped' } };
    t.match(findingsOf({ ARCHIVE_DIR: path, ROLES: 'gateway' }), served, 'a gateway does not need it');
  }
  const warning =
    /^ARCHIVE_DIR: is not set, and \S+file.archive cannot be used: it is not a folder\. Ended shows stay in/;
  const found = { state: 'warning', found: /^ARCHIVE_DIR is not set, and .*\. Ended shows stay in Redis\.$/ };
  t.match(findingsOf({ DATA_DIR: file }), { errors: { length: 0 }, warnings: [warning], doctor: found });
  t.same(readdirSync(folder).sort(), ['file', 'link']);
});

t.test('a folder that exists or can be made is accepted, and nothing stays in it', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'existing'));
  const isGood = { errors: { length: 0 }, warnings: { length: 0 }, doctor: { state: /passed|warning/ } };
  for (const name of ['existing', 'missing'])
    t.match(findingsOf({ ARCHIVE_DIR: join(folder, name) }), { ...isGood, doctor: { found: / are free on its disk/ } });
  t.match(findingsOf({ DATA_DIR: join(folder, 'not', 'yet') }), isGood, 'the default may be made with its parents');
  t.same(readdirSync(folder), ['existing']);
  t.same(readdirSync(join(folder, 'existing')), []);
});

t.test('a read-only, a full and a small disk', { ...needsMount }, async (t) => {
  const folder = temporaryFolder(t);
  const findingsOn = (options: string): ReturnType<typeof findingsOf> => {
    const [command = '', ...first] = mounted(options, folder);
    const words = [...first, process.execPath, ...programArguments('test/config/archive-folder-findings'), folder];
    const { stdout, stderr } = spawnSync(command, words, { encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as ReturnType<typeof findingsOf>;
  };
  t.match(findingsOn('ro'), { errors: [/its file system is read-only/], doctor: { state: 'failed' } });
  t.match(findingsOn('size=64k,nr_inodes=1'), {
    errors: { length: 0 },
    warnings: [/its disk is full\. Ended shows stay in Redis until there is space\.$/],
    doctor: { state: 'failed' },
  });
  t.match(findingsOn('size=8m'), {
    errors: { length: 0 },
    doctor: { state: 'warning', found: /: 0\.0 GiB are free on its disk/, remedy: /^Free some space/ },
  });
});

t.test('doctor --read-only reads permissions only', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  const { doctor } = findingsOf({ ARCHIVE_DIR: folder }, [], true);
  t.match(doctor.state, /passed|warning/);
  if (doctor.state === 'passed') t.match(doctor.found, / may be written, and /);
  t.match(findingsOf({ ARCHIVE_DIR: join(folder, 'file') }, [], true), { doctor: { state: 'failed' } });
});

t.test('a folder of archives is made once: when its disk is gone, nothing is written in its place (I9)', async (t) => {
  const folder = join(temporaryFolder(t), 'archive');
  const prepare = archiveFolderKeeper();
  prepare(folder);
  prepare(folder);
  rmSync(folder, { recursive: true });
  t.throws(() => prepare(folder), { message: /it does not exist\. Check the path, and that its disk is mounted/ });
  t.notOk(existsSync(folder));
  mkdirSync(folder);
  prepare(folder);
});
