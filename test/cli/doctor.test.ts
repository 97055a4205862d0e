/** `stampede doctor` as a command: exit codes, the table and the JSON object. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { run, serve, temporaryFolder } from './program.ts';

t.jobs = 2;

t.test('exit code 0: every check passed; --json has a stable shape', async (t) => {
  const redis = await startRedis();
  t.teardown(redis.stop);
  const env = { REDIS_URL: redis.url, KEY_PREFIX: 'shop:' };
  const [table, json] = await Promise.all([run(['doctor'], env), run(['doctor', '--json'], env)]);
  t.equal(table.code, 0, table.stdout);
  t.match(table.stdout, /^stampede doctor: unix:.*, KEY_PREFIX shop:$/m);
  t.match(table.stdout, /^ {2}ok {3}persistence {4}appendfsync everysec/m);
  t.match(table.stdout, /^ {2}\S+ +archive-folder \S+archive can be written, a folder in it can be renamed/m);
  t.match(table.stdout, /^ {2}I1 conservation {5}holds/m);
  t.match(table.stdout, /^\d+ passed, (?:1 warning|(?!1 )\d+ warnings), 0 failed, 0 skipped$/m);
  t.ok(table.stdout.split('\n').every((line) => line.length <= 100));
  t.equal(json.code, 0);
  const report = JSON.parse(json.stdout) as { checks: object[]; promises: object[] };
  t.match(report, {
    ...{ version: 1, redis: redis.url, keyPrefix: 'shop:', server: /^\w+ \d/, isCluster: false, exitCode: 0 },
    checks: [{ id: 'connection', state: 'passed', found: String, remedy: null }],
    promises: [{ id: 'I1', name: 'conservation', state: 'holds', text: String }],
    capacity: { decisionsPerSecond: Number, batchRequests: 32, batchMs: Number },
  });
  t.equal(report.promises.length, 10);
  t.match(table.stdout, /^ {2}I10 two releases +holds/m);
  t.same(await redis.admin.keys('*'), []);
});

t.test('exit codes 1, 2 and 3: a check failed, wrong usage, Redis cannot be reached', async (t) => {
  const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
  t.teardown(redis.stop);
  await redis.admin.set('shop:archives', '1');
  const unmarked = temporaryFolder(t);
  const [evicting, moved, wrong, unreachable] = await Promise.all([
    run(['doctor'], { REDIS_URL: redis.url, ARCHIVE_DIR: '/proc/archive' }),
    run(['doctor'], { REDIS_URL: redis.url, ARCHIVE_DIR: unmarked, KEY_PREFIX: 'shop:' }),
    run(['doctor', '--jsn'], { REDIS_URL: redis.url }),
    run(['doctor', '--json'], { REDIS_URL: `unix://${temporaryFolder(t)}/no.sock` }),
  ]);
  t.equal(evicting.code, 1);
  t.match(evicting.stdout, /^ {2}FAIL start {10}maxmemory-policy is allkeys-lru/m);
  t.match(evicting.stdout, /^ {2}FAIL archive-folder \/proc\/archive cannot be used/m);
  t.match(evicting.stdout, /^ {2}I1 conservation {5}BROKEN/m);
  t.match(moved.stdout, /^ {2}FAIL archive-folder The archive folder \S+ does not have the archives of this/m);
  t.match(moved.stdout, /-> Mount its disk, or set ARCHIVE_DIR/);
  t.match(wrong, { code: 2, stderr: /--jsn/ });
  t.equal(unreachable.code, 3);
  t.match(JSON.parse(unreachable.stdout), {
    checks: [{ id: 'connection', state: 'failed' }],
    capacity: null,
    exitCode: 3,
  });
});

t.test('with an embedded Redis: alone, beside a running engine, and without a usable folder', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  mkdirSync(dataDir);
  const alone = await run(['doctor', '--data-dir', dataDir]);
  t.equal(alone.code, 0, alone.stdout + alone.stderr);
  t.match(alone.stdout, /^ {2}ok {3}data-folder/m);
  const engine = await serve(t, ['--data-dir', dataDir]);
  const beside = await run(['doctor', '--data-dir', dataDir]);
  t.equal(beside.code, 0, beside.stdout + beside.stderr);
  const response = await fetch(`${engine.ready.control}/readyz`);
  t.equal(response.status, 200, 'the engine is not disturbed');
  const nowhere = await run(['doctor', '--data-dir', '/proc/self/status']);
  t.equal(nowhere.code, 3);
  t.match(nowhere.stdout, /^ {2}FAIL data-folder/m);
});
