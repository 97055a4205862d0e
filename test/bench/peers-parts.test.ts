/**
 * The parts of a comparison by themselves: frames wherever TCP cut them, each server's way of
 * packing messages, the search for the highest rate, what is missing.
 */
import t from 'tap';
import { createDialect, type DialectSpec } from '../../bench/peers/dialects.ts';
import { dueMicrosOf, MESSAGE_BYTES, messageBytes, messageText, numberOf } from '../../bench/peers/message.ts';
import { findProgram, hasLibrary, startForeignProgram } from '../../bench/peers/processes.ts';
import { findSustained, type Step } from '../../bench/peers/search.ts';
import { FrameReader, OPCODE } from '../../bench/peers/websocket-frames.ts';
import { deflateMessage } from '../../src/fanout/deflate.ts';
import { packValue } from '../../src/protocol/codec.ts';

function serverFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([0x80 | opcode, length])
      : length < 65_536
        ? Buffer.from([0x80 | opcode, 126, length >> 8, length & 255])
        : Buffer.alloc(10);
  if (head.length === 10) {
    head[0] = 0x80 | opcode;
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

t.test('frames come out whole wherever the stream is cut', async (t) => {
  const payloads = [0, 1, 125, 126, 300, 65_535, 65_536, 70_000].map((length) => Buffer.alloc(length, length & 255));
  const stream = Buffer.concat(payloads.map((payload) => serverFrame(OPCODE.binary, payload)));
  for (const size of [1, 2, 3, 7, 64, 1_000, 65_537, stream.length]) {
    const lengths: number[] = [];
    let right = true;
    const reader = new FrameReader((opcode, bytes, from, to) => {
      const wanted = payloads[lengths.length];
      right &&=
        opcode === OPCODE.binary && wanted !== undefined && bytes.compare(wanted, 0, wanted.length, from, to) === 0;
      lengths.push(to - from);
    });
    // One buffer for every read, as in life: what is kept must have been copied.
    const shared = Buffer.alloc(size);
    for (let at = 0; at < stream.length; at += size) {
      const length = stream.copy(shared, 0, at, Math.min(stream.length, at + size));
      reader.push(shared, length);
    }
    t.ok(right && lengths.length === payloads.length, `cut every ${size} bytes`);
  }
  t.throws(() => new FrameReader(() => {}).push(Buffer.from([0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0])), /out of step/);
});

t.test('a message carries its number and its moment', async (t) => {
  const bytes = messageBytes(4_294_967, 9_876_543_210_123);
  t.equal(bytes.length, MESSAGE_BYTES);
  t.equal(numberOf(bytes, 0), 4_294_967);
  t.equal(dueMicrosOf(bytes, 0), 9_876_543_210_123);
  t.equal(messageText(1, 2).trim().length, MESSAGE_BYTES, 'nothing a server would trim');
});

/** Feeds payloads, cut into frames as given; answers what was counted, looked at, and sent back. */
function listenTo(spec: DialectSpec, frames: readonly Buffer[]) {
  const heard = { ready: 0, count: 0, numbers: [] as number[], written: 0, failed: '' };
  const dialect = createDialect(spec, {
    ready: () => heard.ready++,
    messages: (count) => {
      heard.count += count;
    },
    message: (number) => heard.numbers.push(number),
    write: () => heard.written++,
    fail: (why) => {
      heard.failed = why;
    },
  });
  dialect.onOpen();
  for (const frame of frames) dialect.onFrame(OPCODE.binary, frame, 0, frame.length);
  return heard;
}

t.test('messages are counted and read in every dialect', async (t) => {
  const messages = [7, 8, 9].map((number) => messageBytes(number, 1));
  t.match(listenTo({ kind: 'plain' }, messages), { ready: 1, count: 3, numbers: [7, 8, 9] });
  const packed = Buffer.concat(messages.map((message) => Buffer.concat([message, Buffer.alloc(16)])));
  t.match(listenTo({ kind: 'packed', messageBytes: 76 }, [packed]), { ready: 1, count: 3, numbers: [7, 8, 9] });
  const socketio = [
    '0{"sid":"x"}',
    '40{"sid":"y"}',
    '2',
    ...messages.map((message) => `42["m","${message.toString('latin1')}"]`),
  ].map((text) => Buffer.from(text));
  t.match(listenTo({ kind: 'socketio' }, socketio), { ready: 1, count: 3, numbers: [7, 8, 9], written: 2 });
  const chat = {
    t: 'frame',
    at: 1,
    chat: [[1, 1, messages.map((message, i) => [i, 0, 'ann', message.toString('latin1')])]],
  };
  const stampede = [Buffer.from(packValue({ t: 'welcome' })), Buffer.from(packValue(chat))];
  t.match(listenTo({ kind: 'stampede', variant: 'msgpack' }, stampede), { ready: 1, count: 3, numbers: [7, 8, 9] });
  t.match(listenTo({ kind: 'stampede', variant: 'msgpack.deflate' }, [Buffer.from(deflateMessage(packValue(chat)))]), {
    count: 3,
    numbers: [7, 8, 9],
  });
});

t.test('the stream of NATS is read wherever its frames are cut', async (t) => {
  const stream = Buffer.from(
    `INFO {"a":1}\r\nPONG\r\n${[1, 2, 3, 4].map((number) => `MSG room 1 60\r\n${messageText(number, 1)}\r\n${number === 2 ? 'PING\r\n' : ''}`).join('')}-ERR 'Slow Consumer'\r\n`,
    'latin1',
  );
  for (const size of [1, 5, 17, 60, 77, 1_000]) {
    const frames = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) =>
      stream.subarray(i * size, (i + 1) * size),
    );
    const heard = listenTo({ kind: 'nats', subject: 'room' }, frames);
    t.match(
      heard,
      { ready: 1, count: 4, numbers: [1, 2, 3, 4], written: 3, failed: "-ERR 'Slow Consumer'" },
      `frames of ${size} bytes`,
    );
  }
});

t.test(
  'the search finds the highest rate that holds, and steps back from one that holds only for a moment',
  async (t) => {
    const search = (limit: number, steady = limit) => {
      const look =
        (bound: number) =>
        async (perSecond: number): Promise<Step> => ({ perSecond, held: perSecond <= bound });
      return findSustained({ startPerSecond: 100, probe: look(limit), confirm: look(steady) });
    };
    const { best, steps } = await search(1_000);
    t.ok(best !== null && best.perSecond > 900 && best.perSecond <= 1_000, `found ${best?.perSecond}`);
    t.ok(steps.length < 20);
    const unsteady = await search(1_000, 600);
    t.ok(unsteady.best !== null && unsteady.best.perSecond <= 600 && unsteady.best.perSecond > 450);
    const low = await search(20);
    t.ok(low.best !== null && low.best.perSecond <= 20, 'goes down from a start that is too high');
    t.equal((await search(0)).best, null);
    let looks = 0;
    const stalled = await findSustained({
      startPerSecond: 100,
      probe: async (perSecond) => ({ perSecond, held: ++looks !== 3 && perSecond <= 1_000 }),
      confirm: async (perSecond) => ({ perSecond, held: true }),
    });
    t.ok((stalled.best?.perSecond ?? 0) > 900, 'one stall of the machine decides nothing');
  },
);

t.test('what is not installed is known before it is started, and what does not start is said', async (t) => {
  t.equal(findProgram('no-such-server'), null);
  t.ok(findProgram('node'));
  t.notOk(hasLibrary('no-such-library'));
  await t.rejects(
    startForeignProgram({
      name: 'nothing',
      command: process.execPath,
      args: ['-e', 'console.error("no luck"); process.exit(3)'],
      port: 1,
    }),
    /code 3\nno luck/,
  );
});
