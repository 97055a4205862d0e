/** The SDK with compressed broadcasts: from the real gateway, and what the codec refuses. */
import { deflateRawSync } from 'node:zlib';
import { encode } from '@msgpack/msgpack';
import t from 'tap';
import { deflate } from '../../src/client/deflate.ts';
import type { StampedeClient } from '../../src/client/index.ts';
import { msgpack } from '../../src/client/msgpack.ts';
import { DEFLATE_MARK, INFLATED_BYTES_MAX } from '../../src/protocol/limits.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { until } from '../support/until.ts';

const textsOf = ({ model }: StampedeClient): string[] => model.chat.map(({ text }) => text);
const isCompressed = (data: unknown): boolean => new Uint8Array(data as ArrayBuffer)[0] === DEFLATE_MARK;
const compressed = (message: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(DEFLATE_MARK), deflateRawSync(message)]);

t.test('broadcasts arrive compressed, with the content that they have in JSON (M-4.1, M-4.2, C-3)', async (t) => {
  const engine = await startLiveEngine(t);
  const received: boolean[] = [];
  const codec: typeof deflate = {
    ...deflate,
    decode: (data) => {
      received.push(isCompressed(data));
      return deflate.decode(data);
    },
  };
  const [ana, bo] = [await engine.join('ana'), await engine.join('bo', { codec })];
  for (const who of [ana, bo]) t.ok((await who.chat('hello 👋 '.repeat(25))).ok);
  await until(() => [ana, bo].every(({ model }) => model.chat.length === 2), 'chat reaches both');
  t.same(textsOf(bo), textsOf(ana));
  const skus = [{ sku: 'TEE-M', product: 'tee', price: 1990, quantity: 3 }];
  const sale = { id: 'flash', title: 'Drop', currency: 'EUR', perBuyer: 2, holdMs: 15_000, durationMs: 60_000 };
  await engine.office.createSale(SHOW, { ...sale, opensInMs: 0, skus }, 'k-sale');
  await until(() => bo.model.sales.get('flash')?.state === 'open', 'the sale opens');
  t.ok((await bo.reserve({ sale: 'flash', lines: [{ sku: 'TEE-M', qty: 1 }] })).ok);
  await until(() => [ana, bo].every(({ model }) => model.sales.get('flash')?.skus[0]?.left === 2), 'units left');
  t.same(bo.model.sales.get('flash'), ana.model.sales.get('flash'));
  t.match(bo.stats, { connects: 1, gaps: 0 });
  t.ok(received.includes(true), 'some are compressed');
  t.ok(received.includes(false), 'short ones are not');
});

t.test('a message that inflates to more than 1 MiB is refused, the largest is read (M-4.4)', async (t) => {
  const frame = (chars: number): Uint8Array => encode({ t: 'frame', at: 1, filler: 'a'.repeat(chars) });
  const overhead = frame(2 ** 17).length - 2 ** 17;
  const chars = INFLATED_BYTES_MAX - overhead;
  t.match(deflate.decode(compressed(frame(chars))), { t: 'frame', filler: /^a+$/ });
  t.throws(() => deflate.decode(compressed(frame(chars + 1))), /more than 1048576 bytes/);
  t.throws(() => deflate.decode(compressed(Buffer.alloc(64 * 2 ** 20, 'a'))), /more than 1048576 bytes/);
  const stored = Buffer.concat([Uint8Array.of(DEFLATE_MARK), deflateRawSync(frame(chars + 1), { level: 0 })]);
  t.throws(() => deflate.decode(stored), 'also without compression');
  const bomb = compressed(Buffer.alloc(2 ** 28, 'a'));
  const since = performance.now();
  t.throws(() => deflate.decode(bomb), /more than 1048576 bytes/);
  t.ok(performance.now() - since < 1_000, 'it stops at the limit');
});

t.test('a list that claims more items than the message has bytes is refused', async (t) => {
  const claims = Buffer.from('dd01c9c380'.repeat(2), 'hex'); // lists of 30 million items
  t.throws(() => msgpack.decode(claims), /length exceeded/);
  t.throws(() => msgpack.decode(Buffer.from('dfffffffff', 'hex')), /length exceeded/);
});

t.test('what is not a message is refused, and the next one is read', async (t) => {
  const message = { t: 'frame', at: 1, events: [] } as const;
  const bytes = compressed(encode(message));
  for (const wrong of [
    '{"t":"ok"}',
    Uint8Array.of(1),
    Uint8Array.of(1, 255, 255),
    bytes.subarray(0, -4),
    encode([1]),
  ]) {
    t.throws(() => deflate.decode(wrong));
    t.same(deflate.decode(bytes), message);
  }
  t.same(deflate.decode(new Uint8Array(bytes).buffer), message, 'as WebSocket of browsers delivers it');
  t.same(deflate.encode({ t: 'react', n: 1 }), encode({ t: 'react', n: 1 }), 'requests are plain (M-4.3)');
});
