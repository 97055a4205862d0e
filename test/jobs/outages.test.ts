import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { until } from '../support/until.ts';
import { eventTypes, planShow, setUp } from './harness.ts';

t.test('jobs start when Redis appears, survive its crash and stop within their bound', async (t) => {
  const { store, jobs, redis } = await setUp(t);
  const back = redis.crashAndRestart({ downMs: 1_000 });
  await sleep(200);
  const started = jobs.start();
  await back;
  await started;
  t.equal(store.trouble(), null);
  await planShow(store, { opensInMs: 100, durationMs: 60_000 }, 'k1');
  const openings = async () => (await eventTypes(store)).filter((type) => type === 'sale.opened').length;
  await until(async () => (await openings()) === 1, 'the first opening');

  await redis.crashAndRestart({ downMs: 300 });
  await until(async () => store.trouble() === null, 'the store to be back');
  await planShow(store, { opensInMs: 100, durationMs: 60_000 }, 'k2');
  await until(async () => {
    const loaded = await store.load('gala');
    return loaded.ok && loaded.value.snapshot.sales.every(({ state }) => state === 'open');
  }, 'the second opening');

  redis.signal('SIGSTOP');
  const stopping = performance.now();
  await jobs.stop();
  t.ok(performance.now() - stopping < LIMITS.jobStopMs + 2_000);
  redis.signal('SIGCONT');
});
