import t from 'tap';
import { until } from '../support/until.ts';
import { roomFixture } from './room-fixture.ts';

t.test('events do not wait for the ticks of chat and state (E-1.3)', async (t) => {
  // The clock does not advance, so ticks never end.
  const { store, show, sent, getOrOpen } = await roomFixture(t);
  await store.startShow(show, 'test');
  const { room, opening } = getOrOpen();
  await opening;
  room.enter({ variant: 'json', send: () => {} }, 'ann');
  room.groups.join('json');
  const chat = (text: string): void =>
    room.chat({ user: 'ann', name: 'Ann', text, mark: 0, at: store.now() }, () => {});
  const isSent = (text: string): boolean => sent.some((frame) => frame.includes(text));
  chat('first');
  await until(() => isSent('first'), 'the first message is sent at once');
  chat('second');
  await store.announce(show, 'hello', 'test');
  await until(() => isSent('hello'), 'the event is sent');
  t.notOk(isSent('second'), 'the second message waits for its tick');
});
