/** Jobs and a store on a redis-server, which stops after the test. */
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Test } from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import type { SaleBooks, SaleSpec } from '../../src/domain/sale.ts';
import { createJobs } from '../../src/jobs/index.ts';
import { ok } from '../../src/protocol/codes.ts';
import { type ConnectedStore, connectJobs, connectStore } from '../../src/redis/index.ts';
import { createLogger, type Logger } from '../../src/telemetry/logger.ts';
import { byHost, HOST, pluck, unwrap } from '../support/store-fixture.ts';

const silent = createLogger({ level: 'silent' });

type Change = (store: ConnectedStore) => ConnectedStore;
/** The sweep finds no show: only planned jobs open and close sales. */
export const withoutSweep: Change = (real) => ({ ...real, liveShows: async () => ok([]) });

export async function setUp(
  t: Test,
  change: Change = (store) => store,
  retention?: () => Promise<void>,
  logger: Logger = silent,
) {
  const redis = await startRedis({ appendfsync: 'always' });
  const keyPrefix = `t-${randomUUID().slice(0, 8)}:`;
  const store = await connectStore({ redis: redis.target, keyPrefix, logger });
  const connect = () => connectJobs(redis.target, false);
  const ends = retention === undefined ? {} : { retention };
  const jobs = createJobs({ store: change(store), connect, keyPrefix, logger, ...ends });
  const queue = new Queue('clock', { connection: { path: redis.socketPath }, prefix: `${keyPrefix}{jobs}` });
  queue.on('error', () => {});
  t.teardown(async () => {
    await jobs.stop();
    await queue.close();
    await store.close();
    await redis.stop();
  });
  return { redis, store, jobs, queue };
}

export async function planShow(store: ConnectedStore, window: Partial<SaleSpec>, key = 'k1'): Promise<SaleBooks> {
  await store.createShow({ id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] }, HOST);
  await store.putProduct('gala', { id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE' }] }, HOST);
  const skus = [{ sku: 'TEE', product: 'tee', price: 100, quantity: 3 }];
  const sale = { id: `drop-${key}`, title: 'Drop', currency: 'EUR', skus, ...window };
  return unwrap(await store.createSale('gala', sale, byHost(key)));
}

/** Reads the event log and not the sale, because reading a sale may open it. */
export async function eventTypes(store: ConnectedStore): Promise<string[]> {
  const { epoch } = unwrap(await store.load('gala')).snapshot;
  return pluck(unwrap(await store.eventsAfter('gala', epoch, 0)) ?? [], 'type');
}
