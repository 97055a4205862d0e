/** Parts of a comparison: dialects, the search for the highest rate, missing programs. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { RawSocket } from '../../bench/generator/websocket.ts';
import { createDialect, type DialectSpec } from '../../bench/peers/dialects.ts';
import { dueMicrosOf, MESSAGE_BYTES, messageBytes, messageText, numberOf } from '../../bench/peers/message.ts';
import { findProgram, hasLibrary, startForeignProgram } from '../../bench/peers/processes.ts';
import { findSustained, type Step } from '../../bench/peers/search.ts';
import { deflateMessage } from '../../src/fanout/deflate.ts';
import { packValue } from '../../src/protocol/codec.ts';

t.test('a message carries its number and due time', async (t) => {
  const bytes = messageBytes(4_294_967, 9_876_543_210_123);
  t.equal(bytes.length, MESSAGE_BYTES);
  t.equal(numberOf(bytes, 0), 4_294_967);
  t.equal(dueMicrosOf(bytes, 0), 9_876_543_210_123);
  t.equal(messageText(1, 2).trim().length, MESSAGE_BYTES, 'no spaces that a server would trim');
});

/** Feeds frames; returns what was counted, checked and sent back. */
function receive(spec: DialectSpec, frames: readonly Buffer[]) {
  const received = { ready: 0, count: 0, numbers: [] as number[], written: 0, failed: '' };
  const dialect = createDialect(spec, {
    ready: () => received.ready++,
    messages: (count) => (received.count += count),
    message: (number) => received.numbers.push(number),
    write: () => received.written++,
    fail: (why) => (received.failed = why),
  });
  dialect.onOpen();
  for (const frame of frames) dialect.onFrame(frame);
  return received;
}

t.test('a frame of impossible size closes the connection', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      socket.write(Buffer.from([0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]));
    });
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const target = { host: '127.0.0.1', port, path: '/', protocols: [] };
  const code = await new Promise<number>((onClose) => new RawSocket(target, { onMessage() {}, onClose }));
  t.equal(code, 1009);
});

t.test('messages are counted and decoded in every dialect', async (t) => {
  const messages = [7, 8, 9].map((number) => messageBytes(number, 1));
  const all = { ready: 1, count: 3, numbers: [7, 8, 9] };
  t.match(receive({ kind: 'plain' }, messages), all);
  const packed = Buffer.concat(messages.map((message) => Buffer.concat([message, Buffer.alloc(16)])));
  t.match(receive({ kind: 'packed', messageBytes: 76 }, [packed]), all);
  const texts = messages.map((message) => message.toString('latin1'));
  const events = ['0{"sid":"x"}', '40{"sid":"y"}', '2', ...texts.map((text) => `42["m","${text}"]`)];
  const socketio = events.map((text) => Buffer.from(text));
  t.match(receive({ kind: 'socketio' }, socketio), { ...all, written: 2 });
  const chat = packValue({ t: 'frame', at: 1, chat: [[1, 1, texts.map((text, i) => [i, 0, 'ann', text])]] });
  const stampede = [Buffer.from(packValue({ t: 'welcome' })), Buffer.from(chat)];
  t.match(receive({ kind: 'stampede', variant: 'msgpack' }, stampede), all);
  const deflated = receive({ kind: 'stampede', variant: 'msgpack.deflate' }, [Buffer.from(deflateMessage(chat))]);
  t.match(deflated, { count: 3, numbers: [7, 8, 9] });
});

t.test('the NATS stream is decoded with any frame boundaries', async (t) => {
  const message = (number: number): string => `MSG room 1 60\r\n${messageText(number, 1)}\r\n`;
  const messages = `${message(1)}${message(2)}PING\r\n${message(3)}${message(4)}`;
  const failed = "-ERR 'Slow Consumer'";
  const stream = Buffer.from(`INFO {"a":1}\r\nPONG\r\n${messages}${failed}\r\n`, 'latin1');
  for (const size of [1, 5, 17, 60, 77, 1_000]) {
    const frames: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) frames.push(stream.subarray(at, at + size));
    const received = receive({ kind: 'nats', subject: 'room' }, frames);
    t.match(received, { ready: 1, count: 4, numbers: [1, 2, 3, 4], written: 3, failed }, `frames of ${size} bytes`);
  }
});

t.test('the search finds the highest rate that holds, and steps back if it does not hold for long', async (t) => {
  const search = (limit: number, steady = limit) => {
    const probe = async (perSecond: number): Promise<Step> => ({ perSecond, held: perSecond <= limit });
    const confirm = async (perSecond: number): Promise<Step> => ({ perSecond, held: perSecond <= steady });
    return findSustained({ startPerSecond: 100, probe, confirm });
  };
  const { best, steps } = await search(1_000);
  t.ok(best !== null && best.perSecond > 900 && best.perSecond <= 1_000, `found ${best?.perSecond}`);
  t.ok(steps.length < 20);
  const unsteady = await search(1_000, 600);
  t.ok(unsteady.best !== null && unsteady.best.perSecond <= 600 && unsteady.best.perSecond > 450);
  const low = await search(20);
  t.ok(low.best !== null && low.best.perSecond <= 20, 'goes down from a start that is too high');
  t.equal((await search(0)).best, null);
  let runs = 0;
  const stalled = await findSustained({
    startPerSecond: 100,
    probe: async (perSecond) => ({ perSecond, held: ++runs !== 3 && perSecond <= 1_000 }),
    confirm: async (perSecond) => ({ perSecond, held: true }),
  });
  t.ok((stalled.best?.perSecond ?? 0) > 900, 'one stall of the machine does not decide');
});

t.test('missing programs are detected before the start, and a failed start has its output', async (t) => {
  t.equal(findProgram('no-such-server'), null);
  t.ok(findProgram('node'));
  t.notOk(hasLibrary('no-such-library'));
  const args = ['-e', 'console.error("no luck"); process.exit(3)'];
  const failing = { name: 'failing', command: process.execPath, args, port: 1 };
  await t.rejects(startForeignProgram(failing), /code 3\nno luck/);
});
