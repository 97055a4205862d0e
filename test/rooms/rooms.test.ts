import { pino } from 'pino';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { rateOf } from '../../src/domain/token-bucket.ts';
import { Broadcaster } from '../../src/fanout/broadcaster.ts';
import { newEncodeCounts } from '../../src/fanout/frames.ts';
import { LIMITS } from '../../src/limits.ts';
import { connectStore } from '../../src/redis/index.ts';
import type { MemberConnection } from '../../src/rooms/member.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { ManualClock } from '../support/manual-clock.ts';

t.test('a room: opened once for all who ask, lingers, goes, and an empty one costs nothing', async (t) => {
  const redis = await startRedis();
  const store = await connectStore({ url: redis.url });
  t.teardown(async () => {
    await store.close();
    await redis.stop();
  });
  const created = await store.createShow({ title: 'S' }, 'test');
  if (!created.ok) throw new Error(created.error.message);
  const showId = created.value.id;
  const clock = new ManualClock();
  const encodes = newEncodeCounts();
  const rooms = new Rooms({
    node: 'n',
    store,
    log: store,
    clock,
    encodes,
    logger: pino({ level: 'silent' }),
    rates: { chat: rateOf(3), requests: rateOf(20) },
    broadcaster: new Broadcaster({ publish: () => {}, onFrame: () => {} }, clock),
    onGone: () => {},
  });
  const first = rooms.getOrOpen(showId);
  const second = rooms.getOrOpen(showId);
  if (!first.ok || !second.ok) throw new Error('not reached');
  t.equal(first.value.room, second.value.room);
  t.match(await first.value.opening, { ok: true });
  t.equal(rooms.size, 1);
  const again = rooms.getOrOpen(showId);
  t.equal(again.ok && again.value.opening, null, 'now without waiting');

  const { room } = first.value;
  const listener: MemberConnection = { variant: 'json', send: () => {} };
  const member = room.enter(listener, 'ann');
  t.equal(room.viewers, 1);
  clock.advance(LIMITS.roomLingerMs * 2);
  t.equal(rooms.size, 1, 'somebody watches');
  room.leave(listener, member);
  rooms.closeWhenUnused(room);
  clock.advance(LIMITS.roomLingerMs - 1);
  t.equal(rooms.size, 1, 'lingers');
  clock.advance(2);
  t.equal(rooms.size, 0, 'gone');
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.same(await redis.client().call('PUBSUB', 'SHARDCHANNELS'), [], 'and unsubscribed');
  t.equal(clock.armed, 0, 'no timer is left');
  t.same(encodes, newEncodeCounts(), 'nothing was encoded for nobody');

  const unknown = rooms.getOrOpen('nosuchshow');
  t.match(unknown.ok && (await unknown.value.opening), { ok: false, error: { code: 'show_not_found' } });
  t.equal(rooms.size, 0, 'a room that could not be opened is forgotten');
  await rooms.closeAll();
});
