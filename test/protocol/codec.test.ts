import { decode as peerDecode, encode as peerEncode } from '@msgpack/msgpack';
import fc from 'fast-check';
import t from 'tap';
import { deflateMessage } from '../../src/fanout/deflate.ts';
import { CODECS, inflate, isDeflated, LIMITS, packValue, unpackValues } from '../../src/protocol/index.ts';

const name = fc.string().filter((key) => key !== '__proto__');
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

t.test('another MessagePack library reads what this one writes, and the reverse (M-3.1)', async (t) => {
  fc.assert(
    fc.property(plain, (value) => {
      t.strictSame(peerDecode(packValue(value)), value);
      const decoded = CODECS.msgpack.decode(peerEncode(value));
      if (!decoded.ok) throw new Error(decoded.error.message);
      t.strictSame(decoded.value, value);
    }),
    { numRuns: 60 },
  );
});

t.test('large numbers, absent fields, characters of every width (M-3.2, M-2.1)', async (t) => {
  const message = { t: 'sync', id: 2 ** 40, at: 1795399320496.25, text: 'aé€😀', none: undefined } as const;
  t.strictSame(peerDecode(packValue(message)), { t: 'sync', id: 2 ** 40, at: 1795399320496.25, text: 'aé€😀' });
  const uint64 = peerEncode({ n: 2 ** 53 - 1 });
  t.strictSame(CODECS.msgpack.decode(uint64), { ok: true, value: { n: 2 ** 53 - 1 } }, 'a 64-bit integer is a number');
});

t.test('compression is marked by the first byte and used only if it saves bytes (M-4.1, M-4.2, M-4.3)', async (t) => {
  const event = { type: 'announcement', data: { text: 'hello' } };
  const long = packValue({
    t: 'frame',
    at: 1,
    events: Array.from({ length: 20 }, (_, offset) => ({ offset, ...event })),
  });
  const deflated = deflateMessage(long);
  t.ok(isDeflated(deflated));
  t.ok(deflated.length < long.length);
  t.same(Buffer.from(await inflate(deflated)), Buffer.from(long));
  const short = packValue({ t: 'ok', id: 1, at: 1 });
  t.equal(deflateMessage(short), short);
  t.notOk(isDeflated(short));
  t.match(CODECS['msgpack.deflate'].decode(deflated), { ok: false }, 'the server takes plain messages only');
  await t.rejects(inflate(Uint8Array.of(1, 255, 255, 255)));
});

t.test('a message above 1 MiB is sent plain (M-4.4)', async (t) => {
  const largest = new Uint8Array(LIMITS.inflatedBytesMax);
  t.ok(isDeflated(deflateMessage(largest)));
  const larger = new Uint8Array(LIMITS.inflatedBytesMax + 1);
  t.equal(deflateMessage(larger), larger);
});

t.test('decoding never throws', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (bytes, text) => {
      for (const codec of Object.values(CODECS)) {
        t.type(codec.decode(bytes).ok, 'boolean');
        t.type(codec.decode(text).ok, 'boolean');
      }
    }),
    { numRuns: 150 },
  );
});

t.test('decoding uses only the bytes of the message and shares none of them', async (t) => {
  t.ok(CODECS.msgpack.decode(packValue({ text: 'x'.repeat(200), more: [1, 2, 3] })).ok);
  const [cut, two] = [packValue({ text: 'cut' }).subarray(0, 5), Buffer.concat([packValue(1), packValue(2)])];
  for (const bytes of [new Uint8Array(), cut, two, Uint8Array.of(0xc1)])
    t.notOk(CODECS.msgpack.decode(bytes).ok, 'bytes of an earlier message are not read');
  const binary = CODECS.msgpack.decode(packValue({ bin: Buffer.from('first') }));
  CODECS.msgpack.decode(packValue({ bin: Buffer.from('other') }));
  t.same(binary.ok && Buffer.from((binary.value as { bin: Uint8Array }).bin).toString(), 'first');
  const large = { text: 'y'.repeat(20_000) };
  t.strictSame(CODECS.msgpack.decode(packValue(large)), { ok: true, value: large });
});

t.test('consecutive values', async (t) => {
  const values = [[1, 'a'], [], [2, 'b', null]];
  t.strictSame(unpackValues(Buffer.concat(values.map(packValue))), values);
  t.strictSame(unpackValues(new Uint8Array()), []);
});
