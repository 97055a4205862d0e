import t from 'tap';
import type { MomentData } from '../../src/jobs/moments.ts';
import { until } from '../support/until.ts';
import { actor, eventTypes, planShow, setUp } from './harness.ts';

t.test('a sale opens and closes by its planned jobs, once each', async (t) => {
  // No sweep here: only the planned moments may do it.
  const { store, jobs } = await setUp(t, (real) => ({ ...real, liveShows: async () => ({ ok: true, value: [] }) }));
  const sale = await planShow(store, { opensInMs: 1_200, durationMs: 1_200 });
  await jobs.start();
  await jobs.planSale('gala', sale);
  await jobs.planSale('gala', sale);
  await until(async () => (await eventTypes(store)).includes('sale.ended'), 'the end');
  const types = await eventTypes(store);
  t.equal(types.filter((type) => type === 'sale.opened').length, 1);
  t.equal(types.filter((type) => type === 'sale.ended').length, 1);
});

t.test('the sweep opens a sale without planned jobs', async (t) => {
  const { store, jobs } = await setUp(t);
  await jobs.start();
  await planShow(store, { opensInMs: 200, durationMs: 60_000 });
  await until(async () => (await eventTypes(store)).includes('sale.opened'), 'the opening');
  t.pass('opened');
});

t.test('a changed window replaces the planned jobs, an ended sale removes them', async (t) => {
  const { store, jobs, queue } = await setUp(t);
  const sale = await planShow(store, { opensInMs: 600_000, durationMs: 60_000 });
  await jobs.start();
  const planned = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await queue.getDelayed())
        .filter((job) => job.name === 'moment')
        .map((job) => [job.id, (job.data as MomentData).at]),
    );
  await jobs.planSale('gala', sale);
  const first = await planned();
  t.strictSame(first, { 'gala.drop-k1.opens': sale.opensAt, 'gala.drop-k1.closes': sale.closesAt });
  await jobs.planSale('gala', sale);
  t.strictSame(await planned(), first, 'planning again changes nothing');

  const moved = await store.moveSale(
    'gala',
    sale.id,
    { op: 'schedule', opensInMs: 900_000, durationMs: 30_000 },
    { key: 'k2', actor },
  );
  if (!moved.ok) throw new Error(moved.error.message);
  await jobs.planSale('gala', moved.value);
  t.strictSame(await planned(), {
    'gala.drop-k1.opens': moved.value.opensAt,
    'gala.drop-k1.closes': moved.value.closesAt,
  });
  const delay = (await queue.getJob('gala.drop-k1.opens'))?.delay ?? 0;
  t.ok(Math.abs(delay - 900_000) < 5_000);

  const ended = await store.moveSale('gala', sale.id, { op: 'end' }, { key: 'k3', actor });
  if (!ended.ok) throw new Error(ended.error.message);
  await jobs.planSale('gala', ended.value);
  t.strictSame(await planned(), {});
});

t.test('a job that is early on the Redis clock is delayed; late and duplicate ones change nothing', async (t) => {
  const { store, jobs, queue } = await setUp(t, (real) => ({
    ...real,
    liveShows: async () => ({ ok: true, value: [] }),
  }));
  const sale = await planShow(store, { opensInMs: 1_500, durationMs: 60_000 });
  await jobs.start();
  const data: MomentData = { show: 'gala', sale: sale.id, at: sale.opensAt ?? 0 };
  await queue.add('moment', data, { jobId: 'early', delay: 100 });
  await queue.add('moment', { ...data, at: 0 }, { jobId: 'far-too-early' });
  await queue.add('moment', { ...data, show: 'nowhere', at: 0 }, { jobId: 'unknown-show' });
  await until(async () => (await eventTypes(store)).includes('sale.opened'), 'the opening');
  await queue.add('moment', data, { jobId: 'late' });
  await queue.add('moment', data, { jobId: 'double' });
  await until(
    async () => (await queue.getJobCountByTypes('active', 'wait', 'delayed', 'prioritized')) <= 1,
    'all done',
  );
  t.equal((await queue.getFailed()).length, 0);
  const types = await eventTypes(store);
  t.equal(types.filter((type) => type === 'sale.opened').length, 1);
  t.ok(
    ((await store.getSale('gala', sale.id)) as { value: { openedAt: number } }).value.openedAt >= data.at,
    'not before its moment',
  );
});
