import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { roomFixture } from './room-fixture.ts';

t.test('a room is opened once, lingers after its last viewer, and closes completely', async (t) => {
  const { redis, clock, encodes, rooms, getOrOpen } = await roomFixture(t);
  const { room, opening } = getOrOpen();
  t.equal(getOrOpen().room, room);
  t.match(await opening, { ok: true });
  t.equal(rooms.size, 1);
  t.equal(getOrOpen().opening, null, 'an open room needs no wait');

  const connection = { variant: 'json' as const, send: () => {} };
  const member = room.enter(connection, 'ann');
  t.equal(room.viewers, 1);
  clock.advance(LIMITS.roomLingerMs * 2);
  t.equal(rooms.size, 1, 'it has a viewer');
  room.leave(connection, member);
  rooms.closeWhenUnused(room);
  clock.advance(LIMITS.roomLingerMs - 1);
  t.equal(rooms.size, 1, 'it lingers');
  clock.advance(2);
  t.equal(rooms.size, 0);
  await sleep(100);
  const channels = (await redis.client().call('PUBSUB', 'SHARDCHANNELS')) as string[];
  // The store listens to itself on one more.
  t.same(
    channels.filter((name) => !name.includes('{check-')),
    [],
    'unsubscribed',
  );
  t.equal(clock.armed, 0, 'no timer is left');
  t.same(encodes, newEncodeCounts(), 'nothing was encoded without subscribers');

  t.match(await getOrOpen('nosuchshow').opening, { ok: false, error: { code: 'show_not_found' } });
  t.equal(rooms.size, 0, 'a room that could not be opened is dropped');
});
