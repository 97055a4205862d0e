import t from 'tap';
import { ChatLane } from '../../src/fanout/chat-lane.ts';
import { StateLane } from '../../src/fanout/state-lane.ts';
import { LIMITS } from '../../src/limits.ts';
import type { SaleStateView, SaleView } from '../../src/protocol/messages.ts';
import { batch, laneFixture } from './lane-fixture.ts';

const open = { id: 's', state: 'open', opensAt: 1, closesAt: 2 } as const;
const sale = (rev: number, left: Record<string, number>): SaleStateView => ({ ...open, rev, left });

t.test('the newest value of each thing is sent, in one frame per tick (S-1.1, S-1.3)', async (t) => {
  const { clock, sent, options } = laneFixture();
  const lane = new StateLane(options);
  lane.pushSales([sale(1, { a: 9 })]);
  clock.write();
  for (let rev = 2; rev < 50; rev += 1) lane.pushSales([sale(rev, rev % 2 ? { a: 100 - rev } : { b: rev })]);
  lane.pushSales([sale(3, { a: -1 })]);
  lane.pushCounts({ viewers: 1, peak: 1, hearts: 0, unique: 1 });
  const counts = { viewers: 2, peak: 2, hearts: 5, unique: 2 };
  lane.pushCounts(counts);
  t.equal(sent.length, 1);
  clock.advance(LIMITS.stateTickMs);
  t.equal(sent.length, 2);
  t.same(sent[1]?.frame.state, { ...counts, sales: [sale(49, { a: 51, b: 48 })] });
  lane.pushSales([sale(50, { a: 0 })]);
  lane.supersede({ id: 's', rev: 51 } as SaleView);
  clock.advance(LIMITS.stateTickMs);
  t.equal(sent.length, 2, 'not after an event with the whole sale');
});

t.test('state is flushed along with chat, which is written to the same viewers', async (t) => {
  const { clock, sent, options } = laneFixture();
  const state = new StateLane(options);
  const chat = new ChatLane({ ...options, beforeFlush: () => state.flushAlong() });
  const counts = (viewers: number): void => state.pushCounts({ viewers, peak: viewers, hearts: 0, unique: 0 });
  const stateFrame = (viewers: number): unknown => ({ topic: 'ej0/show', frame: { state: { viewers } } });
  counts(1);
  clock.write();
  t.match(sent.splice(0), [stateFrame(1)]);
  counts(2);
  chat.push(batch(1, 1));
  t.match(sent.splice(0), [{ topic: 'cj0/show' }], 'not before its shortest pause is over');
  clock.write();
  chat.push(batch(2, 1));
  clock.advance(LIMITS.stateTickMs);
  t.match(sent.splice(0), [{ topic: 'cj0/show' }, stateFrame(2)]);

  // Writes take long: without chat the state would wait for the longest tick.
  clock.writeMs = 200;
  counts(3);
  clock.advance(LIMITS.stateTickMs);
  counts(4);
  clock.advance(LIMITS.stateTickMs);
  t.match(sent.splice(0), [stateFrame(3)]);
  chat.push(batch(3, 1));
  t.match(sent.splice(0), [stateFrame(4), { topic: 'cj0/show' }], 'in the same turn');
  clock.advance(LIMITS.stateTickMaxMs);
  t.same(sent, []);
});
