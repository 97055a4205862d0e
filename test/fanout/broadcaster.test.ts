import t from 'tap';
import { BroadcastGroups } from '../../src/fanout/broadcast-groups.ts';
import { Broadcaster } from '../../src/fanout/broadcaster.ts';
import type { OutgoingFrame } from '../../src/fanout/frames.ts';
import { LIMITS } from '../../src/limits.ts';
import { ManualClock } from '../support/manual-clock.ts';

const PER_TURN = LIMITS.publishViewersPerTurn;
const frame = (text: string): OutgoingFrame => ({ in: () => Buffer.from(text) }) as unknown as OutgoingFrame;

function setUp() {
  const clock = new ManualClock();
  const sent: string[] = [];
  const counted: string[] = [];
  const publish = (topic: string, bytes: Uint8Array) => sent.push(`${topic} ${Buffer.from(bytes).toString()}`);
  const onFrame = (lane: string, variant: string, bytes: number) => counted.push(`${lane} ${variant} ${bytes}`);
  const broadcaster = new Broadcaster({ publish, onFrame }, clock);
  const room = (show: string, viewers: number): BroadcastGroups => {
    const groups = new BroadcastGroups(show, broadcaster);
    for (let i = 0; i < viewers; i += 1) groups.join('msgpack');
    return groups;
  };
  const nextTurn = (): string[] => {
    clock.write();
    return sent.splice(0);
  };
  return { clock, sent, counted, room, broadcaster, nextTurn };
}

t.test('a small room is written to at once, a large one group by group, one per turn', async (t) => {
  const { sent, counted, room, nextTurn } = setUp();
  room('small', 3).publish('chat', frame('a'));
  t.same(sent.splice(0), ['cm0/small a']);
  nextTurn();
  room('large', 2 * PER_TURN + 1).publish('chat', frame('b'));
  t.same(sent.splice(0), ['cm0/large b']);
  t.same([nextTurn(), nextTurn(), nextTurn()], [['cm1/large b'], ['cm2/large b'], []]);
  t.same(counted, ['chat msgpack 1', 'chat msgpack 1'], 'a frame counts once for all groups');
});

t.test('a group gets its frames in order and in one turn; events and state pass queued chat', async (t) => {
  const { sent, room, nextTurn } = setUp();
  const large = room('large', 3 * PER_TURN);
  const other = room('other', 3);
  large.publish('chat', frame('1'));
  large.publish('main', frame('2'));
  other.publish('chat', frame('3'));
  other.publish('main', frame('4'));
  t.same(sent.splice(0), ['cm0/large 1', 'em0/large 2'], 'the event shares the write of this turn');
  t.same(nextTurn(), ['cm1/large 1', 'em1/large 2']);
  t.same(nextTurn(), ['cm2/large 1', 'em2/large 2']);
  t.same(nextTurn(), ['cm0/other 3', 'em0/other 4']);
});

t.test('a viewer who joins a group gets nothing that was published before', async (t) => {
  const { sent, room } = setUp();
  const large = room('large', PER_TURN + 1);
  large.publish('chat', frame('1'));
  t.same(sent.splice(0), ['cm0/large 1']);
  t.equal(large.join('msgpack').topics.chat, 'cm1/large', 'a group with a queued frame');
  t.same(sent, ['cm1/large 1']);
});

t.test('afterWrites waits for all groups', async (t) => {
  const { clock, room, broadcaster } = setUp();
  room('large', 2 * PER_TURN).publish('chat', frame('1'));
  let written = 0;
  broadcaster.afterWrites(() => written++);
  clock.write();
  t.equal(written, 0);
  clock.write();
  t.equal(written, 1);
});
