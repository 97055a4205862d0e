import t from 'tap';
import { ChatLane } from '../../src/fanout/chat-lane.ts';
import { LIMITS } from '../../src/limits.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { idRange, idsOf } from './chat-fixture.ts';
import { batch, laneFixture, missed, sampled, texts } from './lane-fixture.ts';

/** A lane, and `pushBytes`, which adds about that many bytes of chat in messages of 115 bytes. */
function setUp() {
  const fixture = laneFixture();
  const lane = new ChatLane(fixture.options);
  const pushed = { count: 0 };
  const pushBytes = (bytes: number): void => {
    const big = batch(pushed.count + 1, Math.ceil(bytes / 115), ` ${'x'.repeat(100)}`);
    lane.push(big);
    pushed.count += big.count;
  };
  return { ...fixture, lane, pushed, pushBytes };
}

t.test('batches of several nodes leave in one frame per tick, in the order of the log', async (t) => {
  const { clock, sent, lane } = setUp();
  lane.push(batch(1, 2));
  clock.write();
  t.equal(sent.length, 1, 'the first one at once');
  for (const each of [batch(3, 1), batch(4, 2), batch(4, 2)]) lane.push(each);
  t.equal(sent.length, 1);
  clock.advance(LIMITS.tickMinMs);
  t.equal(sent.length, 2);
  t.same(texts(sent), ['m1', 'm2', 'm3', 'm4', 'm5'], 'a batch that arrives twice is sent once');
  t.equal(lane.sentCount, 5);
  lane.catchUp([batch(4, 2), batch(6, 1)], 6);
  clock.advance(LIMITS.tickMinMs);
  t.equal(texts(sent).at(-1), 'm6');
  lane.catchUp([batch(10, 1)], 10);
  clock.advance(LIMITS.tickMinMs);
  t.equal(missed(sent), 3, 'what the log no longer has is reported as missed');
});

t.test('more chat than fits into a flush leaves in several, each when the one before is written', async (t) => {
  const { clock, sent, lane, pushed, pushBytes } = setUp();
  clock.writeMs = 30;
  const flushBytes = LIMITS.flushFramesMax * LIMITS.frameOutBytesTarget;
  for (let i = 0; i < 5; i += 1) pushBytes(flushBytes / 2);
  let sentCount = texts(sent.splice(0)).length;
  const framesPerFlush: number[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    const beforeMs = clock.time;
    clock.write();
    t.ok(clock.time - beforeMs <= 30, 'no wait between flushes');
    framesPerFlush.push(sent.length);
    sentCount += texts(sent.splice(0)).length;
  }
  clock.advance(LIMITS.tickMaxMs);
  sentCount += texts(sent.splice(0)).length;
  t.equal(sentCount, pushed.count);
  t.equal(Math.max(...framesPerFlush), LIMITS.flushFramesMax, `also in JSON: ${framesPerFlush.join(', ')}`);
  t.equal(clock.armed, 0);

  for (let i = 0; i < 3; i += 1) pushBytes(flushBytes);
  sent.length = 0;
  lane.flushNow();
  t.equal(lane.sentCount, pushed.count, 'flushNow sends everything');
  t.equal(missed(sent), 0);
});

t.test('chat faster than it is written is refused; of other nodes it is missed (C-11.1, C-11.2)', async (t) => {
  const { clock, sent, lane, pushed, pushBytes } = setUp();
  clock.writeMs = 1_000;
  pushBytes(50_000);
  t.notOk(lane.isBehind);
  let refusedAfterMs = 0;
  for (let second = 1; second <= 8; second += 1) {
    for (let i = 0; i < 4; i += 1) pushBytes(50_000);
    clock.write();
    if (lane.isBehind && refusedAfterMs === 0) refusedAfterMs = clock.time - 1_000;
  }
  const overdueMs = refusedAfterMs - LIMITS.chatWaitMaxMs;
  t.ok(overdueMs > 0 && overdueMs <= 2_000, `${refusedAfterMs} ms`);
  for (let turn = 0; turn < 100 && lane.isBehind; turn += 1) clock.write();
  t.notOk(lane.isBehind, 'accepted again after it has caught up');
  clock.advance(3_000);
  clock.write();
  const ids = texts(sent).map((text) => Number.parseInt(text.slice(1), 10));
  t.equal(ids.length + missed(sent), pushed.count, 'all messages were sent or reported as missed');
  t.ok(missed(sent) > 0 && ids.length > 0, `${missed(sent)} missed`);
  const inOrder = ids.toSorted((a, b) => a - b);
  t.same(ids, inOrder);
});

t.test('shown and missed messages add up at each frame (C-9.1, C-9.2, C-9.3)', async (t) => {
  const { clock, sent, lane } = setUp();
  lane.reset([batch(1, 3)], 10);
  lane.push(sampled(11, 10, [2, 7]));
  clock.write();
  t.match(sent.at(-1)?.frame, { missed: 6, chat: [[11, 5, [[2], [7]]]] }, 'counted up to the last shown one');
  lane.push(sampled(21, 5, []));
  lane.push(sampled(26, 300, [299]));
  clock.advance(LIMITS.tickMinMs);
  t.same([texts(sent).length, missed(sent)], [3, 325 - 10 - 3]);
  lane.push(sampled(326, 40, [0]));
  clock.advance(LIMITS.tickMinMs);
  t.equal(sent.at(-1)?.frame.missed, undefined, 'later ones may be reported with the next chat');
  clock.advance(LIMITS.missedChatReportMs);
  t.match(sent.at(-1)?.frame, { missed: 39, chat: [[366, Number, []]] }, 'or in a separate frame');
  t.strictSame([lane.sentCount, texts(sent).length + missed(sent)], [365 - 10, 355]);
  lane.push(batch(366, 1));
  clock.advance(LIMITS.tickMinMs);
  t.equal(sent.at(-1)?.frame.missed, undefined, 'once');
  t.equal(clock.armed, 0);
});

t.test('each frame of one flush counts its own missed messages (C-9.1)', async (t) => {
  const { clock, sent, lane } = setUp();
  const indexes = idRange(0, 200).map((i) => 3 * i);
  lane.push(sampled(1, 600, indexes, 'x'.repeat(280)));
  clock.write();
  t.ok(sent.length > 3);
  let id = 0;
  for (const { frame } of sent) {
    const count = (frame.chat ?? []).reduce((sum, [, , items]) => sum + items.length, 0);
    const last = frame.chat?.at(-1)?.[2].at(-1)?.[0] ?? -1;
    t.equal(count + (frame.missed ?? 0), 1 + last - id);
    id = 1 + last;
  }
});

t.test('a removed message is neither sent later nor kept in the history (C-10.2, C-10.3)', async (t) => {
  const { clock, sent, lane } = setUp();
  lane.push(batch(1, 3));
  clock.write();
  lane.push(batch(4, 3));
  lane.push(batch(7, 1));
  const { version } = lane.ring;
  lane.remove(new Set([2, 5, 7, 99]));
  t.not(lane.ring.version, version, 'cached encodings of the history are stale');
  clock.advance(LIMITS.tickMinMs);
  t.same(texts(sent), ['m1', 'm2', 'm3', 'm4', 'm6']);
  clock.advance(LIMITS.missedChatReportMs);
  t.equal(missed(sent), 2);
  t.same(idsOf(lane.ring.history(50)), [1, 3, 4, 6]);
  t.same(idsOf(lane.ring.after(1, 50).pieces), [3, 4, 6]);
  t.equal(lane.ring.after(1, 50).missed, 3);
  lane.remove(new Set([1, 3, 4, 6]));
  t.same(idsOf(lane.ring.history(50)), []);
  lane.push(batch(8, 1));
  clock.advance(LIMITS.tickMinMs);
  t.equal(texts(sent).at(-1), 'm8');
});

t.test('without viewers nothing is encoded, published or scheduled, but the history is kept', async (t) => {
  const { clock, sent, groups, options, lane } = setUp();
  groups.viewers = 0;
  lane.push(sampled(1, 10, []));
  t.equal(clock.armed, 0);
  lane.push(batch(11, 3));
  clock.write();
  t.equal(sent.length, 0);
  t.same(options.encodes, newEncodeCounts());
  t.equal(lane.ring.lastId, 13);
  groups.viewers = 1;
  lane.push(batch(14, 1));
  clock.advance(LIMITS.tickMinMs);
  t.equal(lane.sentCount, 14);
});
