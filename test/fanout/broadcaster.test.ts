import t from 'tap';
import { BroadcastGroups } from '../../src/fanout/broadcast-groups.ts';
import { Broadcaster, type Publisher } from '../../src/fanout/broadcaster.ts';
import type { OutgoingFrame } from '../../src/fanout/frames.ts';
import { LIMITS } from '../../src/limits.ts';
import { ManualClock } from '../support/manual-clock.ts';

const PER_TURN = LIMITS.publishViewersPerTurn;
const frame = (text: string): OutgoingFrame => ({ in: () => Buffer.from(text) }) as unknown as OutgoingFrame;

function house(): {
  clock: ManualClock;
  sent: string[];
  counted: string[];
  room(show: string, viewers: number): BroadcastGroups;
  spreader: Broadcaster;
} {
  const clock = new ManualClock();
  const sent: string[] = [];
  const counted: string[] = [];
  const publisher: Publisher = {
    publish: (topic, bytes) => sent.push(`${topic} ${Buffer.from(bytes).toString()}`),
    onFrame: (lane, variant, bytes) => counted.push(`${lane} ${variant} ${bytes}`),
  };
  const spreader = new Broadcaster(publisher, clock);
  const room = (show: string, viewers: number): BroadcastGroups => {
    const groups = new BroadcastGroups(show, spreader);
    for (let i = 0; i < viewers; i += 1) groups.join('msgpack');
    return groups;
  };
  return { clock, sent, counted, room, spreader };
}

t.test('a small room is written to at once; a large one a block of seats a turn', async (t) => {
  const { clock, sent, counted, room } = house();
  room('small', 3).publish('chat', frame('a'));
  t.same(sent, ['cm0/small a']);
  clock.write();
  const large = room('large', 2 * PER_TURN + 1);
  large.publish('chat', frame('b'));
  t.same(sent.splice(0), ['cm0/small a', 'cm0/large b']);
  clock.write();
  t.same(sent.splice(0), ['cm1/large b']);
  clock.write();
  t.same(sent.splice(0), ['cm2/large b']);
  clock.write();
  t.same(sent, [], 'and nothing is left');
  t.same(counted, ['chat msgpack 1', 'chat msgpack 1'], 'a frame counts once, whatever the number of blocks');
});

t.test(
  'a block gets its frames in order, all in its turn; events and state of other rooms go before waiting chat',
  async (t) => {
    const { clock, sent, room } = house();
    const large = room('large', 3 * PER_TURN);
    const other = room('other', 3);
    large.publish('chat', frame('1'));
    large.publish('main', frame('2'));
    other.publish('chat', frame('3'));
    other.publish('main', frame('4'));
    t.same(
      sent.splice(0),
      ['cm0/large 1', 'em0/large 2'],
      'who is written to in this turn gets the event with the same write',
    );
    clock.write();
    t.same(sent.splice(0), ['cm1/large 1', 'em1/large 2']);
    clock.write();
    t.same(sent.splice(0), ['cm2/large 1', 'em2/large 2']);
    clock.write();
    t.same(sent.splice(0), ['cm0/other 3', 'em0/other 4']);
  },
);

t.test('who takes a seat gets nothing that was published before: its neighbours have it by then', async (t) => {
  const { sent, room } = house();
  const large = room('large', PER_TURN + 1);
  large.publish('chat', frame('1'));
  t.same(sent.splice(0), ['cm0/large 1']);
  const seats = large.join('msgpack');
  t.equal(seats.topics.chat, 'cm1/large', 'the seat is in the block that waits');
  t.same(sent, ['cm1/large 1']);
});

t.test('written is what has been published, not what waits', async (t) => {
  const { clock, room, spreader } = house();
  room('large', 2 * PER_TURN).publish('chat', frame('1'));
  let written = 0;
  spreader.afterWrites(() => {
    written += 1;
  });
  clock.write();
  t.equal(written, 0);
  clock.write();
  t.equal(written, 1);
});
