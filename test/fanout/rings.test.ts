import t from 'tap';
import { ChatRing, EventRing } from '../../src/fanout/rings.ts';
import { LIMITS } from '../../src/limits.ts';
import { chatPiece, idRange, idsOf, inventChat } from './chat-fixture.ts';

t.test('the chat ring returns the history, and what came after an id (R-6.1)', async (t) => {
  const ring = new ChatRing();
  const push = (i: number): void => ring.push(chatPiece(inventChat(10, i), i * 10 + 1));
  for (let i = 0; i < 20; i += 1) push(i);
  t.same(idsOf(ring.history(25)), idRange(176, 25));
  t.same(ring.after(200, 500), { pieces: [], missed: 0 });
  t.same(idsOf(ring.after(183, 500).pieces), idRange(184, 17));
  const capped = ring.after(100, 30);
  t.same(idsOf(capped.pieces), idRange(171, 30));
  t.equal(capped.missed, 70);
  for (let i = 20; i < 20 + LIMITS.chatRingBatches; i += 1) push(i);
  const far = ring.after(100, Number.MAX_SAFE_INTEGER);
  t.equal(far.missed, 100, 'what the ring no longer has is counted');
  t.equal(idsOf(far.pieces).length, LIMITS.chatRingBatches * 10);
});

t.test('the event ring returns exactly the events it has', async (t) => {
  const ring = new EventRing();
  ring.reset(100);
  t.same(ring.after(100), []);
  t.equal(ring.after(99), null, 'before the first one');
  t.equal(ring.after(101), null, 'not published yet');
  const last = 100 + 3 * LIMITS.eventRingEntries;
  for (let offset = 101; offset <= last; offset += 1) ring.push({ offset, at: 0, type: 'announcement', data: {} });
  t.equal(ring.after(last - 5)?.[0]?.event.offset, last - 4);
  t.equal(ring.after(last - LIMITS.eventRingEntries)?.length, LIMITS.eventRingEntries);
  t.equal(ring.after(150), null, 'evicted');
});
