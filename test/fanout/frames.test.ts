import { decode as msgpackDecode } from '@msgpack/msgpack';
import t from 'tap';
import { ChatPiece } from '../../src/domain/chat-piece.ts';
import { MessagePackWriter, valueEnds, writeChatItem } from '../../src/domain/message-pack.ts';
import { chatFrames, EventEntry, newEncodeCounts, type OutgoingFrame, splicedFrame } from '../../src/fanout/frames.ts';
import { ChatRing, EventRing } from '../../src/fanout/rings.ts';
import { LIMITS } from '../../src/limits.ts';
import { inflate } from '../../src/protocol/codec.ts';
import type { ChatGroup, Frame } from '../../src/protocol/messages.ts';

const WORDS =
  'ban hum lol omg want this one pls size M how much is it love the red one mine 5 dollars shipping to berlin? wow cute haha yes no back in stock'.split(
    ' ',
  );

/**
 * Invented chat of the shape of recorded chat: 10-character names, 17 characters of text on
 * average.
 */
function chatter(count: number, seed = 7): Array<[string, string]> {
  let state = seed;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  const users = Array.from({ length: 200 }, () =>
    Array.from({ length: 10 }, () => '0123456789abcdef'[random(16)]).join(''),
  );
  return Array.from({ length: count }, () => [
    users[random(200)] ?? '',
    Array.from({ length: 1 + random(7) }, () => WORDS[random(WORDS.length)])
      .join(' ')
      .slice(0, 60),
  ]);
}

function piece(messages: ReadonlyArray<readonly [string, string]>, firstId = 1, at = 1_795_399_320_000): ChatPiece {
  const writer = new MessagePackWriter();
  for (const [i, [name, text]] of messages.entries()) writeChatItem(writer, i, i * 10, name, text, i % 7 === 3 ? 1 : 0);
  return new ChatPiece(firstId, at, messages.length, writer.take());
}

const readJson = (frame: OutgoingFrame): Frame & { chat: ChatGroup[] } =>
  JSON.parse(Buffer.from(frame.in('json')).toString());
const readPacked = (frame: OutgoingFrame): unknown => msgpackDecode(frame.in('msgpack'));

t.test('every variant says the same, and is encoded once', async (t) => {
  const counts = newEncodeCounts();
  const messages = [
    ...chatter(40),
    ['ünï', '😀 "quoted" \\ text'] as const,
    ['x'.repeat(64), 'y'.repeat(280)] as const,
  ];
  const frame = splicedFrame(
    {
      at: 1_795_399_320_496,
      epoch: 'e"1',
      events: [new EventEntry({ offset: 2 ** 33, at: 5, type: 'announcement', data: { text: 'hé' } })],
      state: { viewers: 3, sales: [] },
      chat: [piece(messages, 70_000), piece(messages, 70_042)],
      missed: 300,
    },
    counts,
  );
  const json = readJson(frame);
  t.strictSame(readPacked(frame), json);
  t.strictSame(msgpackDecode(await inflate(frame.in('msgpack.deflate'))), json);
  t.equal(json.chat[1]?.[2][40]?.[3], '😀 "quoted" \\ text');
  for (let i = 0; i < 10; i += 1) frame.in(i % 2 ? 'json' : 'msgpack.deflate');
  t.same(counts, { json: 1, msgpack: 1, 'msgpack.deflate': 1 });
});

t.test('chat is compact: bytes per message at 20 messages a frame', async (t) => {
  const counts = newEncodeCounts();
  const messages = chatter(2_000);
  const textBytes = messages.reduce((sum, [, text]) => sum + text.length, 0) / messages.length;
  let packed = 0;
  let deflated = 0;
  for (let from = 0; from < messages.length; from += 20) {
    const [frame] = chatFrames(
      [piece(messages.slice(from, from + 20), 1_000 + from)],
      1_795_399_320_496,
      false,
      counts,
    );
    packed += frame?.in('msgpack').length ?? 0;
    deflated += frame?.in('msgpack.deflate').length ?? 0;
  }
  const perMessage = (bytes: number): number => bytes / messages.length;
  t.comment(
    `text ${textBytes.toFixed(1)}, MessagePack ${perMessage(packed).toFixed(1)}, deflated ${perMessage(deflated).toFixed(1)} bytes a message`,
  );
  t.ok(perMessage(packed) <= textBytes + 21, 'at most 21 bytes more than the text alone');
  t.ok(perMessage(deflated) <= textBytes + 11, 'compressed at most 11 more');
});

t.test('frames stay below their byte target, in every variant in use, and lose nothing', async (t) => {
  const counts = newEncodeCounts();
  const long = Array.from({ length: 500 }, (_, i): [string, string] => [`user${i}`, `${i} `.padEnd(280, 'ä')]);
  const pieces = [piece(long, 1), piece(chatter(30), 501), piece(long, 531)];
  const ids: number[] = [];
  const frames = chatFrames(pieces, 1, true, counts);
  for (const frame of frames) {
    t.ok(frame.in('msgpack').length <= LIMITS.frameOutBytesTarget);
    t.ok(frame.in('json').length <= LIMITS.frameOutBytesTarget);
    t.same(readPacked(frame), readJson(frame));
    for (const [firstId, , items] of readJson(frame).chat) for (const [i] of items) ids.push(firstId + i);
  }
  t.same(
    ids,
    Array.from({ length: 1_030 }, (_, i) => i + 1),
  );
  t.ok(frames.length > 20 && frames.length < 60, String(frames.length));
});

t.test('items are found without decoding; bytes that are none are refused', async (t) => {
  const messages = chatter(10);
  const { items } = piece(messages);
  t.equal(valueEnds(items, 10).at(-1), items.length);
  for (const bad of [
    items.subarray(0, items.length - 1),
    Uint8Array.of(0xc1),
    Uint8Array.of(0xdc, 0xff, 0xff),
    new Uint8Array(),
  ]) {
    t.throws(() => valueEnds(bad, 10), RangeError);
  }
});

t.test('R-6: the chat ring: history, and what came after an id', async (t) => {
  const ring = new ChatRing();
  for (let i = 0; i < 20; i += 1) ring.push(piece(chatter(10, i), i * 10 + 1));
  const idsOf = (pieces: ChatPiece[]): number[] =>
    pieces.flatMap((p) =>
      readJson(splicedFrame({ at: 1, chat: [p] }, newEncodeCounts())).chat.flatMap(([first, , items]: ChatGroup) =>
        items.map(([i]) => first + i),
      ),
    );
  t.same(
    idsOf(ring.history(25)),
    Array.from({ length: 25 }, (_, i) => 176 + i),
  );
  t.same(ring.after(200, 500), { pieces: [], missed: 0 });
  t.same(
    idsOf(ring.after(183, 500).pieces),
    Array.from({ length: 17 }, (_, i) => 184 + i),
  );
  const capped = ring.after(100, 30);
  t.same(
    idsOf(capped.pieces),
    Array.from({ length: 30 }, (_, i) => 171 + i),
  );
  t.equal(capped.missed, 70);
  for (let i = 20; i < 20 + LIMITS.chatRingBatches; i += 1) ring.push(piece(chatter(10, i), i * 10 + 1));
  const far = ring.after(100, Number.MAX_SAFE_INTEGER);
  t.equal(far.missed, 100, 'what the ring forgot is counted');
  t.equal(idsOf(far.pieces).length, LIMITS.chatRingBatches * 10);
});

t.test('the event ring serves exactly what it can', async (t) => {
  const ring = new EventRing();
  ring.reset(100);
  t.same(ring.after(100), []);
  t.equal(ring.after(99), null, 'before its time');
  t.equal(ring.after(101), null, 'from the future');
  for (let offset = 101; offset <= 100 + 3 * LIMITS.eventRingEntries; offset += 1)
    ring.push({ offset, at: 0, type: 'announcement', data: {} });
  const last = 100 + 3 * LIMITS.eventRingEntries;
  t.equal(ring.after(last - 5)?.[0]?.event.offset, last - 4);
  t.ok((ring.after(last - LIMITS.eventRingEntries)?.length ?? 0) === LIMITS.eventRingEntries);
  t.equal(ring.after(150), null, 'forgotten');
});

t.test('an event in the ring keeps its own bytes and no buffer around them', async (t) => {
  const bytes = new EventEntry({ offset: 1, at: 5, type: 'announcement', data: { text: 'back in stock' } }).msgpack();
  t.equal(bytes.buffer.byteLength, bytes.length);
});
