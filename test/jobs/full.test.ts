/** BullMQ needs memory for its jobs. While Redis is full, the engine does their work without it. */
import t from 'tap';
import { createLogger } from '../../src/telemetry/logger.ts';
import { pluck, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';
import { eventTypes, planShow, setUp } from './harness.ts';

t.test('while Redis is full, jobs open sales and run the retention, also if they start then (I9)', async (t) => {
  let retentions = 0;
  const retention = async (): Promise<void> => {
    retentions += 1;
  };
  const records: Array<Record<string, unknown>> = [];
  const destination = { write: (line: string) => void records.push(JSON.parse(line)) };
  const logger = createLogger({ level: 'info', destination });
  const { store, jobs, redis, queue } = await setUp(t, undefined, retention, logger);
  const openings = async () => (await eventTypes(store)).filter((type) => type === 'sale.opened').length;
  const fill = (maxmemory: string) => redis.admin.config('SET', 'maxmemory', maxmemory);
  await planShow(store, { opensInMs: 500, durationMs: 600_000 }, 'k1');
  await planShow(store, { opensInMs: 1_000, durationMs: 600_000 }, 'k2');

  await fill('1mb');
  let isStarted = false;
  const started = jobs.start().then(() => {
    isStarted = true;
  });
  await until(async () => (await openings()) === 2, 'sales to open on a full Redis');
  await until(async () => retentions > 0, 'the retention');
  t.notOk(isStarted, 'BullMQ cannot start');
  await fill('0');
  await started;

  await planShow(store, { opensInMs: 1_000, durationMs: 600_000 }, 'k3');
  await fill('1mb');
  const before = retentions;
  await until(async () => (await openings()) === 3, 'a sale to open while jobs run');
  await until(async () => retentions > before, 'the retention, again');
  await fill('0');
  await until(async () => store.trouble() === null, 'the end of it to be noticed');
  const at = Date.now();
  const hasSwept = async (): Promise<boolean> =>
    (await queue.getCompleted()).some(({ name, finishedOn = 0 }) => name === 'sweep' && finishedOn > at);
  await until(hasSwept, 'BullMQ to sweep again');
  t.same(new Set(pluck(unwrap(await store.listSales('gala')), 'state')), new Set(['open']));
  t.notOk(
    records.some((record) => 'err' in record),
    'no stack is logged',
  );
  const said = records.filter(({ state }) => state === 'full');
  const begins = {
    msg: 'Redis is full',
    code: 'redis_full',
    remedy: /^Raise maxmemory.* set MAXMEMORY.*redis\.sock CONFIG SET/,
  };
  const ends = { msg: 'Redis can be used again' };
  t.match(said, [begins, ends, begins, ends], 'its begin with what to do, and its end');
  t.equal(said.length, 4);
});
