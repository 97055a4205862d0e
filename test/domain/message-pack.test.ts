/** What is written by hand reads as any MessagePack library reads it. */
import { decodeMulti } from '@msgpack/msgpack';
import fc from 'fast-check';
import t from 'tap';
import { MessagePackWriter, valueEnds } from '../../src/domain/message-pack.ts';

t.test('texts of every length and alphabet, one behind the other', async (t) => {
  const lengths = [0, 1, 10, 31, 32, 33, 99, 100, 101, 127, 128, 255, 256, 70_000];
  const texts = lengths.flatMap((length) => [
    'a'.repeat(length),
    `${'a'.repeat(Math.max(0, length - 1))}é`,
    '€'.repeat(length),
    '😀'.repeat(length),
  ]);
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
  t.same([...decodeMulti(writer.take())], numbers);
});
