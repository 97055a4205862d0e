import fc from 'fast-check';
import t from 'tap';
import { encodeFor } from '../../src/fanout/frames.ts';
import { encodeReply, replyMessage } from '../../src/gateway/replies.ts';
import { fail, ok } from '../../src/protocol/codes.ts';

const id = fc.oneof(fc.maxSafeInteger(), fc.nat(), fc.string({ minLength: 1, maxLength: 64 }));
const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const result = fc.oneof(
  count.map((chat) => ok({ chat })),
  count.map((chat) => ok({ chat, leftOut: true })),
  fc.record({ place: count }).map((data) => ok(data)),
  fc.constant(ok(undefined)),
  fc.constant(fail('rate_limited', 'Wait.', { retryAfterMs: 5 })),
);

t.test('hand-written replies equal those of the MessagePack library (M-3.1)', async (t) => {
  const variant = fc.constantFrom('json', 'msgpack', 'msgpack.deflate');
  const property = fc.property(id, fc.maxSafeNat(), result, variant, (id, at, result, variant) => {
    t.same(encodeReply(variant, id, at, result), encodeFor(variant, replyMessage(id, at, result)));
  });
  fc.assert(property, { numRuns: 300 });
});
