import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { eventTypes, planShow, setUp, until } from './harness.ts';

t.test('jobs start when Redis appears, survive its crash and stop within their bound', async (t) => {
  const { store, jobs, redis } = await setUp(t);
  const back = redis.crashAndRestart({ downMs: 1_000 });
  await sleep(200);
  const began = performance.now();
  await jobs.start();
  t.ok(performance.now() - began < 4_000, 'start returns while Redis is away');
  await back;
  await until('the store to be back', async () => store.trouble() === null);
  await planShow(store, { opensInMs: 100, durationMs: 60_000 }, 'k1');
  await until(
    'the first opening',
    async () => (await eventTypes(store)).filter((type) => type === 'sale.opened').length === 1,
  );

  await redis.crashAndRestart({ downMs: 300 });
  await until('the store to be back', async () => store.trouble() === null);
  await planShow(store, { opensInMs: 100, durationMs: 60_000 }, 'k2');
  await until('the second opening', async () => {
    const sale = await store.load('gala');
    return sale.ok && sale.value.snapshot.sales.every(({ state }) => state === 'open');
  });

  redis.signal('SIGSTOP');
  const stopping = performance.now();
  await jobs.stop();
  t.ok(performance.now() - stopping < LIMITS.jobStopMs + 2_000);
  redis.signal('SIGCONT');
});
