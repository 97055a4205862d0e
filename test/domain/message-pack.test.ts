import { decodeMulti } from '@msgpack/msgpack';
import fc from 'fast-check';
import t from 'tap';
import { MessagePackWriter, valueEnds, writeChatItem } from '../../src/domain/message-pack.ts';

t.test('texts of all lengths and alphabets read back as any MessagePack library reads them', async (t) => {
  const lengths = [0, 1, 10, 31, 32, 33, 99, 100, 101, 127, 128, 255, 256, 70_000];
  const texts = lengths.flatMap((length) => ['a', '€', '😀'].map((text) => text.repeat(length)));
  texts.push(...lengths.map((length) => `${'a'.repeat(Math.max(0, length - 1))}é`));
  const writer = new MessagePackWriter();
  for (const text of texts) writer.string(text);
  t.same([...decodeMulti(writer.take())], texts);
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 120 })), (some) => {
      for (const text of some) writer.string(text).number(7);
      const bytes = writer.take();
      t.equal(valueEnds(bytes, 2 * some.length).at(-1) ?? 0, bytes.length);
      return JSON.stringify([...decodeMulti(bytes)]) === JSON.stringify(some.flatMap((text) => [text, 7]));
    }),
  );
});

t.test('numbers at the edges of their formats', async (t) => {
  const numbers = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
  const writer = new MessagePackWriter();
  for (const number of numbers) writer.number(number);
  const bytes = writer.take();
  t.same([...decodeMulti(bytes)], numbers);
  t.equal(valueEnds(bytes, numbers.length).at(-1), bytes.length);
});

t.test('the ends of chat items are found without decoding; other bytes are rejected', async (t) => {
  const writer = new MessagePackWriter();
  for (let i = 0; i < 10; i += 1) writeChatItem(writer, i, i * 10, 'ann', `text ${i}`, i % 2);
  const items = writer.take();
  t.equal(valueEnds(items, 10).at(-1), items.length);
  const cutShort = items.subarray(0, items.length - 1);
  for (const bad of [cutShort, Uint8Array.of(0xc1), Uint8Array.of(0xdc, 0xff, 0xff), new Uint8Array()])
    t.throws(() => valueEnds(bad, 10), RangeError);
});
