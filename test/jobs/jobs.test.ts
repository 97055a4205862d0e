import t from 'tap';
import type { SaleBooks, SaleMove } from '../../src/domain/sale.ts';
import type { MomentData } from '../../src/jobs/moments.ts';
import { byHost, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';
import { eventTypes, planShow, setUp, withoutSweep } from './harness.ts';

const isMoment = (type: string): boolean => type === 'sale.opened' || type === 'sale.ended';

t.test('a sale opens and closes by its planned jobs, once each', async (t) => {
  const { store, jobs } = await setUp(t, withoutSweep);
  const sale = await planShow(store, { opensInMs: 1_200, durationMs: 1_200 });
  await jobs.start();
  await jobs.planSale('gala', sale);
  await jobs.planSale('gala', sale);
  await until(async () => (await eventTypes(store)).includes('sale.ended'), 'the end');
  t.same((await eventTypes(store)).filter(isMoment), ['sale.opened', 'sale.ended']);
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
  const moveAndPlan = async (move: SaleMove): Promise<SaleBooks> => {
    const moved = unwrap(await store.moveSale('gala', sale.id, move, byHost(move.op)));
    await jobs.planSale('gala', moved);
    return moved;
  };
  const planned = async (): Promise<Record<string, number>> => {
    const moments = (await queue.getDelayed()).filter((job) => job.name === 'moment');
    return Object.fromEntries(moments.map((job) => [job.id, (job.data as MomentData).at]));
  };
  await jobs.planSale('gala', sale);
  const first = await planned();
  t.strictSame(first, { 'gala.drop-k1.opens': sale.opensAt, 'gala.drop-k1.closes': sale.closesAt });
  await jobs.planSale('gala', sale);
  t.strictSame(await planned(), first, 'planning again changes nothing');

  const later: SaleMove = { op: 'schedule', opensInMs: 900_000, durationMs: 30_000 };
  const { opensAt, closesAt } = await moveAndPlan(later);
  t.strictSame(await planned(), { 'gala.drop-k1.opens': opensAt, 'gala.drop-k1.closes': closesAt });
  const delay = (await queue.getJob('gala.drop-k1.opens'))?.delay ?? 0;
  t.ok(Math.abs(delay - 900_000) < 5_000);

  await moveAndPlan({ op: 'end' });
  t.strictSame(await planned(), {});
});

t.test('a job that is early on the Redis clock is delayed; late and duplicate ones change nothing', async (t) => {
  const { store, jobs, queue } = await setUp(t, withoutSweep);
  const sale = await planShow(store, { opensInMs: 1_500, durationMs: 60_000 });
  await jobs.start();
  const data: MomentData = { show: 'gala', sale: sale.id, at: sale.opensAt ?? 0 };
  await queue.add('moment', data, { jobId: 'early', delay: 100 });
  await queue.add('moment', { ...data, at: 0 }, { jobId: 'far-too-early' });
  await queue.add('moment', { ...data, show: 'nowhere', at: 0 }, { jobId: 'unknown-show' });
  await until(async () => (await eventTypes(store)).includes('sale.opened'), 'the opening');
  await queue.add('moment', data, { jobId: 'late' });
  await queue.add('moment', data, { jobId: 'double' });
  const open = () => queue.getJobCountByTypes('active', 'wait', 'delayed', 'prioritized');
  await until(async () => (await open()) <= 1, 'all done');
  t.equal((await queue.getFailed()).length, 0);
  t.same((await eventTypes(store)).filter(isMoment), ['sale.opened']);
  const { openedAt } = unwrap(await store.getSale('gala', sale.id));
  t.ok((openedAt ?? 0) >= data.at, 'not before its moment');
});
