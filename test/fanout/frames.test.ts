import { decode as msgpackDecode } from '@msgpack/msgpack';
import t from 'tap';
import { chatFrames, EventEntry, type OutgoingFrame, splicedFrame } from '../../src/fanout/frames.ts';
import { LIMITS } from '../../src/limits.ts';
import { type ChatGroup, type Frame, inflate } from '../../src/protocol/index.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { chatPiece, idRange, inventChat, type Message } from './chat-fixture.ts';

const readJson = (frame: OutgoingFrame): Frame & { chat: ChatGroup[] } =>
  JSON.parse(Buffer.from(frame.in('json')).toString());
const readPacked = (frame: OutgoingFrame): unknown => msgpackDecode(frame.in('msgpack'));

t.test('all variants carry the same, and each is encoded once', async (t) => {
  const counts = newEncodeCounts();
  const long: Message = ['x'.repeat(64), 'y'.repeat(280)];
  const messages: Message[] = [...inventChat(40), ['ünï', '😀 "quoted" \\ text'], long];
  const events = [new EventEntry({ offset: 2 ** 33, at: 5, type: 'announcement', data: { text: 'hé' } })];
  const chat = [chatPiece(messages, 70_000), chatPiece(messages, 70_042)];
  const rest = { at: 1_795_399_320_496, epoch: 'e"1', state: { viewers: 3, sales: [] }, missed: 300 };
  const frame = splicedFrame({ ...rest, events, chat }, counts);
  const json = readJson(frame);
  t.strictSame(readPacked(frame), json);
  t.strictSame(msgpackDecode(await inflate(frame.in('msgpack.deflate'))), json);
  t.equal(json.chat[1]?.[2][40]?.[3], '😀 "quoted" \\ text');
  for (let i = 0; i < 10; i += 1) frame.in(i % 2 ? 'json' : 'msgpack.deflate');
  t.same(counts, { json: 1, msgpack: 1, 'msgpack.deflate': 1 });
});

t.test('chat is compact at 20 messages per frame', async (t) => {
  const messages = inventChat(2_000);
  const textBytes = messages.reduce((sum, [, text]) => sum + text.length, 0) / messages.length;
  let packed = 0;
  let deflated = 0;
  for (let from = 0; from < messages.length; from += 20) {
    const piece = chatPiece(messages.slice(from, from + 20), 1_000 + from);
    const [frame] = chatFrames([piece], 1_795_399_320_496, false, newEncodeCounts());
    packed += (frame?.in('msgpack').length ?? 0) / messages.length;
    deflated += (frame?.in('msgpack.deflate').length ?? 0) / messages.length;
  }
  t.ok(packed > textBytes && packed <= textBytes + 21, `${packed - textBytes} bytes more than the text`);
  t.ok(deflated > 0 && deflated <= textBytes + 11, `compressed ${deflated - textBytes} bytes more`);
});

t.test('frames stay below their byte target in all variants in use, and contain all messages', async (t) => {
  const long = idRange(0, 500).map((i): Message => [`user${i}`, `${i} `.padEnd(280, 'ä')]);
  const pieces = [chatPiece(long, 1), chatPiece(inventChat(30), 501), chatPiece(long, 531)];
  const ids: number[] = [];
  const frames = chatFrames(pieces, 1, true, newEncodeCounts());
  for (const frame of frames) {
    t.ok(frame.in('msgpack').length <= LIMITS.frameOutBytesTarget);
    t.ok(frame.in('json').length <= LIMITS.frameOutBytesTarget);
    t.same(readPacked(frame), readJson(frame));
    for (const [firstId, , items] of readJson(frame).chat) for (const [i] of items) ids.push(firstId + i);
  }
  t.same(ids, idRange(1, 1_030));
  t.ok(frames.length > 20 && frames.length < 60, String(frames.length));
});

t.test('a kept event has its own bytes and no buffer around them', async (t) => {
  const bytes = new EventEntry({ offset: 1, at: 5, type: 'announcement', data: { text: 'back in stock' } }).msgpack();
  t.equal(bytes.buffer.byteLength, bytes.length);
});
