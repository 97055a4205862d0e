/** Jobs and a store on a redis-server, which stops after the test. */
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Test } from 'tap';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import type { SaleBooks, SaleSpec } from '../../src/domain/sale.ts';
import { createJobs, type Jobs } from '../../src/jobs/index.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

const logger = createLogger({ level: 'silent' });
export const actor = 'host:test';

export interface JobsFixture {
  redis: RedisServer;
  store: ConnectedStore;
  jobs: Jobs;
  queue: Queue;
  keyPrefix: string;
}

export async function setUp(
  t: Test,
  change: (store: ConnectedStore) => ConnectedStore = (store) => store,
): Promise<JobsFixture> {
  const redis = await startRedis({ appendfsync: 'always' });
  const keyPrefix = `t-${randomUUID().slice(0, 8)}:`;
  const store = await connectStore({ url: redis.url, keyPrefix, logger });
  const jobs = createJobs({ store: change(store), connection: { url: redis.url }, keyPrefix, logger });
  const queue = new Queue('clock', { connection: { path: redis.socketPath }, prefix: `{${keyPrefix}jobs}` });
  queue.on('error', () => {});
  t.teardown(async () => {
    await jobs.stop();
    await queue.close();
    await store.close();
    await redis.stop();
  });
  return { redis, store, jobs, queue, keyPrefix };
}

export async function planShow(store: ConnectedStore, window: Partial<SaleSpec>, key = 'k1'): Promise<SaleBooks> {
  await store.createShow({ id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] }, actor);
  await store.putProduct('gala', { id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE' }] }, actor);
  const made = await store.createSale(
    'gala',
    {
      id: `drop-${key}`,
      title: 'Drop',
      currency: 'EUR',
      skus: [{ sku: 'TEE', product: 'tee', price: 100, quantity: 3 }],
      ...window,
    },
    { key, actor },
  );
  if (!made.ok) throw new Error(JSON.stringify(made.error));
  return made.value;
}

/** Reads the event log and not the sale, because reading a sale may open it. */
export async function eventTypes(store: ConnectedStore): Promise<string[]> {
  const loaded = await store.load('gala');
  if (!loaded.ok) throw new Error(loaded.error.message);
  const events = await store.eventsAfter('gala', loaded.value.snapshot.epoch, 0);
  return events.ok && events.value ? events.value.map(({ type }) => type) : [];
}
