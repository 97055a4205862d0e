/** A room with a clock that does not advance: ticks of chat and state never end. */

import { pino } from 'pino';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { rateOf } from '../../src/domain/token-bucket.ts';
import { Broadcaster } from '../../src/fanout/broadcaster.ts';
import { newEncodeCounts } from '../../src/fanout/frames.ts';
import { connectStore } from '../../src/redis/index.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { until } from '../gateway/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

t.test('events do not wait for the ticks of chat and state (E-1.3)', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const store = await connectStore({ url: redis.url });
  t.teardown(() => store.close());
  const created = await store.createShow({ title: 'S' }, 'test');
  if (!created.ok) throw new Error(created.error.message);
  const show = created.value.id;
  await store.startShow(show, 'test');
  const clock = new ManualClock();
  const sent: string[] = [];
  const publish = (_topic: string, bytes: Uint8Array): void => {
    sent.push(Buffer.from(bytes).toString());
  };
  const rooms = new Rooms({
    node: 'n',
    store,
    log: store,
    clock,
    encodes: newEncodeCounts(),
    logger: pino({ level: 'silent' }),
    rates: { chat: rateOf(3), requests: rateOf(20) },
    broadcaster: new Broadcaster({ publish, onFrame: () => {} }, clock),
    onGone: () => {},
  });
  t.teardown(() => rooms.closeAll());
  const opened = rooms.getOrOpen(show);
  if (!opened.ok) throw new Error(opened.error.message);
  await opened.value.opening;
  const { room } = opened.value;
  room.enter({ variant: 'json', send: () => {} }, 'ann');
  room.groups.join('json');
  const chat = (text: string): Promise<unknown> =>
    new Promise((resolve) => room.chat({ user: 'ann', name: 'Ann', text, mark: 0, at: store.now() }, resolve));
  await chat('first');
  await until(() => sent.some((frame) => frame.includes('first')), 'the first message is sent at once');
  void chat('second');
  await store.announce(show, 'hello', 'test');
  await until(() => sent.some((frame) => frame.includes('hello')), 'the event is sent');
  t.notOk(
    sent.some((frame) => frame.includes('second')),
    'the second message waits for its tick',
  );
});
