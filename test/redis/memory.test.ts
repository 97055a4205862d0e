/** The memory of Redis: its limit, and when it will be full. */
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { connectStore, EmbeddedRedis, examineRedis } from '../../src/redis/index.ts';
import { forecastOf } from '../../src/redis/memory.ts';
import { until } from '../support/until.ts';
import { clientOf, dataFolder, pidOf, socketOf } from './embedded-fixture.ts';

const HOUR_MS = 3_600_000;
const MIB = 2 ** 20;

t.test('a forecast needs a limit, growth and an hour', async (t) => {
  const at = (hoursAgo: number, usedBytes: number) => ({ atMs: 1_000 * HOUR_MS - hoursAgo * HOUR_MS, usedBytes });
  const forecast = (used: number, max: number, ...samples: ReturnType<typeof at>[]) =>
    forecastOf({ usedBytes: used, maxBytes: max }, samples, 1_000 * HOUR_MS);
  const measured = (fullInMs: number | null) => ({ fullInMs, isMeasured: true });
  const unknown = { fullInMs: null, isMeasured: false };
  t.same(forecast(60, 100, at(20, 20), at(1, 59)), measured(20 * HOUR_MS));
  t.same(forecast(110, 100, at(20, 20)), measured(0), 'full already');
  t.same(forecast(60, 0, at(20, 20)), measured(null), 'no limit');
  t.same(forecast(60, 100, at(20, 60)), measured(null), 'no growth');
  t.same(forecast(60, 100, at(0.5, 20)), unknown, 'too early');
  t.same(forecast(60, 100, at(400, 20)), unknown, 'older than a week');
});

t.test('a sample per hour is kept for a week; the store and doctor forecast from them', async (t) => {
  const redis = await startRedis({ args: ['--maxmemory', String(64 * MIB)] });
  t.teardown(() => redis.stop());
  const key = 'memory:memory';
  const hour = Math.floor(Date.now() / HOUR_MS);
  const before = 500_000;
  const sample = (hoursAgo: number) => [String(hour - hoursAgo), `${Date.now() - hoursAgo * HOUR_MS} ${before}`];
  await redis.admin.hset(key, ...sample(24), ...sample(400), 'junk', 'junk');
  const store = await connectStore({ redis: redis.target, keyPrefix: 'memory:' });
  t.teardown(() => store.close());
  await until(() => store.memory()?.fullInMs != null, 'the forecast');
  const { usedBytes = 0, maxBytes = 0, fullInMs: full } = store.memory() ?? {};
  const expectedMs = ((maxBytes - usedBytes) / (usedBytes - before)) * 24 * HOUR_MS;
  t.ok(Math.abs((full ?? 0) / expectedMs - 1) < 0.01, `${full} ms, expected ${expectedMs}`);
  t.same((await redis.admin.hkeys(key)).map(Number).sort(), [hour - 24, hour], 'old ones and junk are removed');
  t.ok((await redis.admin.pttl(key)) > 0, 'the key ends');

  const checkup = await examineRedis({
    ...{ target: redis.target, keyPrefix: 'memory:', scripts: 'auto', publish: 'auto', isReadOnly: true },
    processes: 1,
  });
  const check = checkup.checks.find(({ id }) => id === 'memory');
  t.match(check, { state: 'passed', found: /At the growth of the last week it is full in \d+ days/ });
});

t.test('while Redis is full, the numbers are new', async (t) => {
  const redis = await startRedis({ args: ['--maxmemory', String(16 * MIB)] });
  const store = await connectStore({ redis: redis.target, keyPrefix: 'full:' });
  t.teardown(async () => {
    await store.close();
    await redis.stop();
  });
  await until(() => store.memory() !== null, 'the first numbers');
  await redis.admin.set('big', Buffer.alloc(5 * MIB));
  await redis.admin.config('SET', 'maxmemory', 4 * MIB);
  await store.createShow({ id: 'late', title: 'Late' }, 'test');
  await until(() => store.trouble()?.state === 'full', 'the store notices');
  const isNew = (): boolean => (store.memory()?.usedBytes ?? 0) > 5 * MIB;
  await until(isNew, 'the numbers follow', 5_000);
  await redis.admin.del('big');
  await until(() => store.trouble() === null, 'there is room again');
});

t.test('a full embedded Redis refuses writes, runs on, and takes them again when there is room', async (t) => {
  const embedded = new EmbeddedRedis({ folder: dataFolder(t), node: 'here', maxMemory: { bytes: 32 * MIB } });
  t.teardown(() => embedded.stop());
  await embedded.start();
  const redis = clientOf(t, socketOf(embedded));
  const pid = await pidOf(redis);
  const fill = async (): Promise<boolean> =>
    redis.append('big', 'x'.repeat(2 * MIB)).then(
      () => false,
      (error) => /^OOM/.test(String(error.message)),
    );
  await until(fill, 'it is full');
  t.equal(await pidOf(redis), pid, 'the server runs on');
  await redis.unlink('big');
  await until(async () => (await redis.set('small', '1').catch(() => '')) === 'OK', 'it takes writes');
  t.equal(embedded.restarts, 0);
});
