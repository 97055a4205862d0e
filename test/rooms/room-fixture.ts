/** Rooms on a real Redis, with a clock that the test advances. */
import { pino } from 'pino';
import type { Test } from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { rateOf } from '../../src/domain/token-bucket.ts';
import { Broadcaster } from '../../src/fanout/broadcaster.ts';
import { connectStore } from '../../src/redis/index.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { ManualClock } from '../support/manual-clock.ts';

export async function roomFixture(t: Test) {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const store = await connectStore({ redis: redis.target });
  t.teardown(() => store.close());
  const created = await store.createShow({ title: 'S' }, 'test');
  if (!created.ok) throw new Error(created.error.message);
  const clock = new ManualClock();
  const encodes = newEncodeCounts();
  const sent: string[] = [];
  const publish = (_topic: string, bytes: Uint8Array): void => void sent.push(Buffer.from(bytes).toString());
  const rooms = new Rooms({
    node: 'n',
    store,
    log: store,
    clock,
    encodes,
    logger: pino({ level: 'silent' }),
    rates: { chat: rateOf(3), requests: rateOf(20) },
    broadcaster: new Broadcaster({ publish, onFrame: () => {} }, clock),
    connectionsPerUserMax: 20,
    onSurplus: () => {},
    onGone: () => {},
  });
  t.teardown(() => rooms.closeAll());
  const getOrOpen = (show = created.value.id) => {
    const found = rooms.getOrOpen(show);
    if (!found.ok) throw new Error(found.error.message);
    return found.value;
  };
  return { redis, store, show: created.value.id, clock, encodes, sent, rooms, getOrOpen };
}
