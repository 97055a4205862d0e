/** The embedded Redis is killed or damaged: it comes back with its data, or says why not. */
import { appendFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { EmbeddedRedis } from '../../src/redis/index.ts';
import { holdsIn, until } from '../support/until.ts';
import { clientOf, dataFolder, embeddedHere, familyOf, pidOf, socketOf, startHere } from './embedded-fixture.ts';

t.jobs = 8;

const msgs = (logged: Record<string, unknown>[], msg: string) => logged.filter((record) => record.msg === msg);
/** The server has ended, or ends now. */
const leavesNothing = (embedded: EmbeddedRedis): Promise<boolean> => {
  const socket = socketOf(embedded);
  return holdsIn(3_000, () => familyOf(socket).servers.length === 0);
};
const appendOnlyFile = (folder: string, type = '.incr.aof'): string => {
  const aof = join(folder, 'appendonlydir');
  return join(aof, readdirSync(aof).find((name) => name.endsWith(type)) ?? '');
};

t.test('a killed server is back on the same socket with its data, and the log has one line (I8)', async (t) => {
  const { embedded, redis, logged } = await startHere(t, dataFolder(t));
  await redis.set('unit', 'held');
  for (let start = 2; start <= 3; start++) {
    const pid = await pidOf(redis);
    process.kill(pid, 'SIGKILL');
    await until(async () => (await pidOf(redis)) !== pid, 'another server');
    t.equal(await redis.get('unit'), 'held');
    const restarts = () => msgs(logged, 'embedded Redis restarted');
    await until(() => restarts().length === start - 1, 'the log line');
    const line = restarts().at(-1) ?? {};
    t.equal(embedded.restarts, start - 1);
    t.match(line, { level: 40, ended: 'killed by SIGKILL, perhaps out of memory', start });
    t.ok(Number(line.downMs) < 10_000, `was down for ${line.downMs} ms`);
  }
  const warnings = logged.filter(({ level, msg }) => Number(level) >= 40 && msg !== 'embedded Redis restarted');
  t.same(warnings, [], 'nothing else is a warning');
});

t.test('a server that an operator ends is started again', async (t) => {
  const { redis, logged } = await startHere(t, dataFolder(t));
  const pid = await pidOf(redis);
  process.kill(pid, 'SIGTERM');
  await until(async () => (await pidOf(redis)) !== pid, 'another server');
  await until(() => msgs(logged, 'embedded Redis restarted').length > 0, 'the log line');
  t.match(msgs(logged, 'embedded Redis restarted'), [{ ended: /^exit code 0/ }]);
});

t.test('a server whose socket is removed is replaced, with its data (I8)', async (t) => {
  const { embedded, redis, logged } = await startHere(t, dataFolder(t));
  await redis.set('unit', 'held');
  const pid = await pidOf(redis);
  rmSync(socketOf(embedded));
  await until(async () => (await pidOf(redis)) !== pid, 'another server');
  t.equal(await redis.get('unit'), 'held');
  t.ok(existsSync(socketOf(embedded)), 'new clients can connect');
  t.match(msgs(logged, 'embedded Redis: its socket was removed, so it is restarted'), { length: 1 });
});

t.test('a server that ends six times within a minute is given up with a reason', async (t) => {
  const { embedded, redis } = await startHere(t, dataFolder(t));
  let last = 0;
  for (let ends = 1; ends <= 6; ends++) {
    await until(async () => (await pidOf(redis)) !== last, `server ${ends}`);
    last = await pidOf(redis);
    process.kill(last, 'SIGKILL');
  }
  t.match(await embedded.failed, /ended 6 times in a minute\. Last, it was killed by SIGKILL.* memory of this host/);
  t.ok(await leavesNothing(embedded), 'no process is left');
});

t.test('a server that is killed before its first reply is started again', async (t) => {
  const { embedded } = embeddedHere(t, dataFolder(t));
  const starting = embedded.start();
  await until(() => familyOf(socketOf(embedded)).servers.length > 0, 'the start');
  for (const pid of familyOf(socketOf(embedded)).servers) process.kill(pid, 'SIGKILL');
  await starting;
  t.equal(await clientOf(t, socketOf(embedded)).ping(), 'PONG');
});

t.test('stop ends a server that waits for its restart, one that starts and one that is frozen', async (t) => {
  const waiting = await startHere(t, dataFolder(t));
  process.kill(await pidOf(waiting.redis), 'SIGKILL');
  await until(() => waiting.redis.status !== 'ready', 'the end of the server');
  await waiting.embedded.stop();
  t.ok(await leavesNothing(waiting.embedded), 'no process is left');

  const early = embeddedHere(t, dataFolder(t)).embedded;
  const starting = early.start();
  await Promise.all([t.rejects(starting, /was stopped/), early.stop()]);
  t.ok(await leavesNothing(early), 'no process is left');

  const frozen = await startHere(t, dataFolder(t));
  process.kill(await pidOf(frozen.redis), 'SIGSTOP');
  await frozen.embedded.stop();
  t.ok(await leavesNothing(frozen.embedded), 'no process is left');
});

t.test('a server that is frozen is not replaced', async (t) => {
  const { redis, logged } = await startHere(t, dataFolder(t));
  const pid = await pidOf(redis);
  process.kill(pid, 'SIGSTOP');
  await new Promise((done) => setTimeout(done, 2_000));
  process.kill(pid, 'SIGCONT');
  t.equal(await pidOf(redis), pid);
  t.same(msgs(logged, 'embedded Redis restarted'), []);
});

t.test('a guard that is killed is replaced', async (t) => {
  const { embedded, redis } = await startHere(t, dataFolder(t));
  const pid = await pidOf(redis);
  const guards = () => familyOf(socketOf(embedded)).guards;
  const [guard = 0] = guards();
  process.kill(guard, 'SIGKILL');
  const isReplaced = (): boolean => guards().length === 1 && guards()[0] !== guard;
  t.ok(await holdsIn(3_000, isReplaced), 'another guard');
  t.equal(await pidOf(redis), pid, 'the server runs on');
});

t.test('an append-only file that was cut at its end is loaded, and the log says so', async (t) => {
  const folder = dataFolder(t);
  const { embedded, redis, logged } = await startHere(t, folder);
  await redis.set('unit', 'held');
  const pid = await pidOf(redis);
  process.kill(pid, 'SIGKILL');
  appendFileSync(appendOnlyFile(folder), '*3\r\n$3\r\nSET\r\n$4\r\nlo');
  await until(async () => (await pidOf(redis)) !== pid, 'another server');
  t.equal(await redis.get('unit'), 'held');
  t.equal(await redis.get('lo'), null);
  t.match(logged.filter(({ msg }) => /cut at the end/.test(String(msg)))[0], { level: 40 });
  await embedded.stop();
});

t.test('an append-only file that is damaged ends the engine at once and names redis-check-aof', async (t) => {
  const folder = dataFolder(t);
  const first = await startHere(t, folder);
  for (let i = 0; i < 20; i++) await first.redis.set(`key-${i}`, 'value');
  const file = appendOnlyFile(folder);
  const bytes = readFileSync(file);
  const middle = Math.floor(bytes.length / 2);
  bytes.fill('x', middle, middle + 30);
  writeFileSync(file, bytes);
  process.kill(await pidOf(first.redis), 'SIGKILL');
  const reason = new RegExp(`The data in ${join(folder, 'appendonlydir')} is damaged.*redis-check-aof --fix.*verify`);
  t.match(await first.embedded.failed, reason);
  t.equal(msgs(first.logged, 'embedded Redis ended while it started').length, 1, 'one attempt');
  await first.embedded.stop();
  await t.rejects(embeddedHere(t, folder).embedded.start(), { message: reason }, 'the next start says the same');
});

t.test('data of a newer server are not called damaged', async (t) => {
  const folder = dataFolder(t);
  await (await startHere(t, folder)).embedded.stop();
  const base = appendOnlyFile(folder, '.base.rdb');
  writeFileSync(base, readFileSync(base, 'latin1').replace(/^REDIS\d{4}/, 'REDIS9999'), 'latin1');
  await t.rejects(
    embeddedHere(t, folder).embedded.start(),
    /A newer server wrote the data in .*: install that version/,
  );
});

t.test('a data folder that disappeared is not replaced by an empty one', async (t) => {
  const folder = dataFolder(t);
  const { embedded, redis } = await startHere(t, folder);
  renameSync(join(folder, 'appendonlydir'), join(folder, 'moved'));
  process.kill(await pidOf(redis), 'SIGKILL');
  t.match(await embedded.failed, /append-only file of the embedded Redis is gone from .*Restore it/);
});

t.test('data that cannot be listed after a crash end the engine with the reason', async (t) => {
  const folder = dataFolder(t);
  const { embedded, redis } = await startHere(t, folder);
  renameSync(join(folder, 'appendonlydir'), join(folder, 'moved'));
  writeFileSync(join(folder, 'appendonlydir'), '');
  process.kill(await pidOf(redis), 'SIGKILL');
  t.match(await embedded.failed, /cannot use \S+redis \(ENOTDIR/);
});

t.test('data without their manifest are not replaced by an empty server, at a restart or a start (I8)', async (t) => {
  const folder = dataFolder(t);
  const { embedded, redis } = await startHere(t, folder);
  await redis.set('unit', 'held');
  const manifest = appendOnlyFile(folder, '.manifest');
  const before = readFileSync(appendOnlyFile(folder));
  renameSync(manifest, join(folder, 'kept'));
  process.kill(await pidOf(redis), 'SIGKILL');
  t.match(await embedded.failed, /appendonlydir has data but no manifest .*Restore the whole folder from a backup/);
  await embedded.stop();
  const second = embeddedHere(t, folder).embedded;
  await t.rejects(second.start(), { message: /has data but no manifest/ });
  await second.stop();
  t.same(readFileSync(appendOnlyFile(folder)), before, 'nothing was written');
  renameSync(join(folder, 'kept'), manifest);
  t.equal(await (await startHere(t, folder)).redis.get('unit'), 'held');
});
