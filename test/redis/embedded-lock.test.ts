/** One data folder has one engine, however the last one ended. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { holdsIn } from '../support/until.ts';
import {
  clientOf,
  dataFolder,
  embeddedHere,
  endSoon,
  familyOf,
  pidOf,
  socketOf,
  startElsewhere,
  startHere,
} from './embedded-fixture.ts';

t.jobs = 4;

const IN_USE =
  /^The data folder \S+ is in use by another engine \(node \w+, pid \d+ on \S+, since \S+\)\. Stop it, or give/;
const NAMESPACE = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync(NAMESPACE[0] as string, [...NAMESPACE.slice(1), 'true']).status === 0;

async function withData(t: Test, socket: string): Promise<number> {
  const redis = clientOf(t, socket);
  await redis.set('unit', 'held');
  return pidOf(redis);
}

/** Starts an engine that must have the data of the last one. */
async function startsWithData(t: Test, folder: string): Promise<void> {
  const before = performance.now();
  const { redis } = await startHere(t, folder);
  const elapsedMs = Math.round(performance.now() - before);
  t.ok(elapsedMs < 8_000, `the next start took ${elapsedMs} ms`);
  t.equal(await redis.get('unit'), 'held');
}

t.test('a second engine is refused by name, and may start when the first has stopped', async (t) => {
  const folder = dataFolder(t);
  const { embedded } = await startHere(t, folder);
  await t.rejects(embeddedHere(t, folder).embedded.start(), { message: IN_USE });
  await embedded.stop();
  await startHere(t, folder);
});

t.test(
  'engines in two pid namespaces exclude each other',
  { skip: canUnshare ? false : 'needs unshare' },
  async (t) => {
    const folder = dataFolder(t);
    const first = await startElsewhere(t, folder, { wrap: NAMESPACE });
    t.match(first.said, /redis\.sock$/);
    const second = await startElsewhere(t, folder, { wrap: NAMESPACE });
    t.match(second.said, IN_USE);
    t.same(await second.ended, [1, null]);
    await withData(t, first.said);
    process.kill(-first.pid, 'SIGKILL');
    await startsWithData(t, folder);
  },
);

t.test('kill -9 of an engine leaves no server, and the next start works at once (I8)', async (t) => {
  const folder = dataFolder(t);
  const { pid, said } = await startElsewhere(t, folder);
  await withData(t, said);
  const { servers, guards } = familyOf(said);
  t.equal(servers.length + guards.length, 2);
  process.kill(pid, 'SIGKILL');
  await startsWithData(t, folder);
  t.ok(await endSoon([...servers, ...guards]), 'no server and no guard is left');
});

t.test('kill -9 of engine, guard and server at once: the next start works at once (I8)', async (t) => {
  const folder = dataFolder(t);
  const { pid, said } = await startElsewhere(t, folder);
  await withData(t, said);
  const { servers, guards } = familyOf(said);
  for (const each of [pid, ...guards, ...servers]) process.kill(each, 'SIGKILL');
  await startsWithData(t, folder);
});

t.test('a server whose engine and guard were killed is shut down before another starts', async (t) => {
  const folder = dataFolder(t);
  const { pid, said, ended } = await startElsewhere(t, folder);
  const server = await withData(t, said);
  const { guards } = familyOf(said);
  for (const guard of guards) process.kill(guard, 'SIGSTOP');
  process.kill(pid, 'SIGKILL');
  await ended;
  for (const guard of guards) process.kill(guard, 'SIGKILL');
  t.ok(await endSoon(guards));
  t.same(familyOf(said).servers, [server], 'the server is left');
  await startsWithData(t, folder);
  t.ok(await endSoon([server]), 'only the new server runs');
});

t.test('the guard of a killed engine ends a frozen server too', async (t) => {
  const folder = dataFolder(t);
  const { pid, said } = await startElsewhere(t, folder);
  process.kill(await withData(t, said), 'SIGSTOP');
  const { servers, guards } = familyOf(said);
  process.kill(pid, 'SIGKILL');
  const haveEnded = async (): Promise<boolean> => endSoon([...servers, ...guards]);
  t.ok(await holdsIn(20_000, haveEnded), 'no server and no guard is left');
});

t.test('an engine that is killed while its server restarts leaves nothing', async (t) => {
  const folder = dataFolder(t);
  const { pid, said } = await startElsewhere(t, folder);
  const server = await withData(t, said);
  process.kill(server, 'SIGKILL');
  await new Promise((done) => setTimeout(done, 250 + Math.random() * 60));
  process.kill(pid, 'SIGKILL');
  t.ok(await holdsIn(3_000, () => familyOf(said).servers.length === 0), 'no server is left');
  await startsWithData(t, folder);
});

t.test('records of an engine that had a pid of a process of now do not block the start', async (t) => {
  const folder = dataFolder(t);
  const socket = '/tmp/stampede-redis-gone/redis.sock';
  writeFileSync(join(folder, 'engine.json'), JSON.stringify({ pid: process.ppid, node: 'old', socket }));
  writeFileSync(
    join(folder, 'lease.json'),
    JSON.stringify({ enginePid: process.ppid, redisPid: process.ppid, socket }),
  );
  for (const name of ['engine.lock', 'server.lock']) writeFileSync(join(folder, name), String(process.ppid));
  await startHere(t, folder);
  t.match(JSON.parse(readFileSync(join(folder, 'engine.json'), 'utf8')), { node: 'here', pid: process.pid });
});

t.test('a folder that an engine without locks uses is refused', async (t) => {
  const folder = dataFolder(t);
  const { embedded } = await startHere(t, dataFolder(t));
  writeFileSync(join(folder, 'lease.json'), JSON.stringify({ socket: socketOf(embedded) }));
  await t.rejects(embeddedHere(t, folder).embedded.start(), /is in use by another engine/);
});

/** A folder with links to some programs, as the only one on the PATH. */
function onlyPrograms(t: Test, programs: Record<string, string>): { env: { PATH: string }; bin: string } {
  const bin = join(dataFolder(t), 'bin');
  mkdirSync(bin);
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(bin, name), text, { mode: 0o755 });
  return { env: { PATH: bin }, bin };
}
const where = (name: string): string =>
  spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
const link = (name: string): string => `#!/bin/sh\nexec ${where(name)} "$@"\n`;
const SHELL = { sh: link('sh'), cat: link('cat'), sleep: link('sleep'), rm: link('rm') };

t.test('perl locks where flock is missing; without both the start is refused', async (t) => {
  const folder = dataFolder(t);
  const server = { ...SHELL, 'redis-server': link('redis-server') };
  const perl = { env: onlyPrograms(t, { ...server, perl: link('perl') }).env };
  const first = await startElsewhere(t, folder, perl);
  t.match(first.said, /redis\.sock$/);
  t.match((await startElsewhere(t, folder, perl)).said, IN_USE);
  t.match((await startElsewhere(t, folder)).said, IN_USE, 'flock and perl take the same lock');
  t.match(
    (await startElsewhere(t, folder, { env: onlyPrograms(t, server).env })).said,
    /Neither flock nor perl is on the PATH/,
  );
});

t.test('the server is redis-server or valkey-server, of version 7 or newer', async (t) => {
  const flock = { ...SHELL, flock: link('flock') };
  const old = '#!/bin/sh\necho "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64"\n';
  const said = async (programs: Record<string, string>): Promise<string> => {
    const folder = dataFolder(t);
    return (await startElsewhere(t, folder, { env: onlyPrograms(t, { ...flock, ...programs }).env })).said;
  };
  const valkey = link('redis-server');
  const results = await Promise.all([
    said({}),
    said({ 'redis-server': old }),
    said({ 'redis-server': '#!/bin/sh\necho "error while loading shared libraries" >&2; exit 127\n' }),
    said({ 'valkey-server': valkey }),
    said({ 'redis-server': old, 'valkey-server': valkey }),
  ]);
  t.match(results, [
    /did not start: Neither redis-server nor valkey-server is on the PATH\. Install one .* or set REDIS_URL/,
    /redis-server on the PATH is version 6\.0\.16, but 7\.0 or newer is needed\. Install/,
    /redis-server on the PATH does not run: error while loading shared libraries\. Install/,
    /redis\.sock$/,
    /redis\.sock$/,
  ]);
  const { env, bin } = onlyPrograms(t, flock);
  copyFileSync('/dev/null', join(bin, 'redis-server'));
  t.match(
    (await startElsewhere(t, dataFolder(t), { env })).said,
    /redis-server on the PATH does not run: it is not executable/,
  );
});
