/** What works through a target: commands, the relay and jobs, each on its own connection. */
import type { Test } from 'tap';
import type { RedisTarget } from '../../src/domain/redis-target.ts';
import { createJobs } from '../../src/jobs/index.ts';
import { ok } from '../../src/protocol/codes.ts';
import type { ShowEvent } from '../../src/protocol/messages.ts';
import { connectJobs, connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { listen } from '../support/listen.ts';
import { byHost, HOST, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const SHOW = 'gala';
const isSale = (sale: unknown, id: string): boolean => (sale as { id?: string } | undefined)?.id === id;
const logger = createLogger({ level: 'silent' });

/** Starts a store that receives the relay, and jobs, which close with the test. */
export async function startWhole(t: Test, redis: RedisTarget, keyPrefix = 'whole:') {
  const store = await connectStore({ redis, keyPrefix, logger });
  const connect = () => connectJobs(redis, store.redisCapabilities()?.isCluster ?? false);
  // Only a planned job opens a sale: the sweep finds no show.
  const jobs = createJobs({ store: { ...store, liveShows: async () => ok([]) }, connect, keyPrefix, logger });
  t.teardown(async () => {
    await jobs.stop();
    await store.close();
  });
  await jobs.start();
  unwrap(await store.createShow({ id: SHOW, title: 'Gala', brands: [{ id: 'b', name: 'B' }] }, HOST));
  unwrap(await store.putProduct(SHOW, { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, HOST));
  const { received } = await listen(store, SHOW);
  let announced = 0;

  /** Resolves when an announcement arrives over the relay; what a failover loses is repeated. */
  async function relays(timeoutMs = 10_000): Promise<void> {
    const before = received.length;
    const isReceived = async (): Promise<boolean> => {
      await store.announce(SHOW, 'hello', HOST, byHost(`announce-${announced++}`));
      return received.slice(before).some((message) => message.kind === 'commit' && message.commit.events.length > 0);
    };
    await until(isReceived, 'the relay brings an announcement', timeoutMs);
  }

  /** Plans a sale; resolves when a job has opened it. */
  async function opensSale(id: string, timeoutMs = 10_000): Promise<void> {
    const skus = [{ sku: 'S', product: 'p', price: 100, quantity: 3 }];
    const sale = { id, title: 'Drop', currency: 'EUR', opensInMs: 300, durationMs: 60_000, skus };
    await jobs.planSale(SHOW, unwrap(await store.createSale(SHOW, sale, byHost(id))));
    // Reads the event log, because reading the sale would open it.
    const isOpened = async (): Promise<boolean> => {
      const loaded = await store.load(SHOW);
      const epoch = loaded.ok ? loaded.value.snapshot.epoch : '';
      const events = await store.eventsAfter(SHOW, epoch, 0);
      const isOpening = ({ type, data }: ShowEvent): boolean => type === 'sale.opened' && isSale(data['sale'], id);
      return events.ok && (events.value ?? []).some(isOpening);
    };
    await until(isOpened, `a job opens ${id}`, timeoutMs);
  }
  return { store, jobs, relays, opensSale };
}
