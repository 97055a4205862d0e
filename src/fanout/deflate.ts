/** Compresses a broadcast, once for all viewers with the variant `msgpack.deflate`. */
import { deflateRawSync } from 'node:zlib';
import { DEFLATE_MARK, INFLATED_BYTES_MAX } from '../protocol/limits.ts';

/** Shorter messages do not shrink enough to be worth the client's inflating. */
const DEFLATE_BYTES_MIN = 160;
const MARK = Uint8Array.of(DEFLATE_MARK);

/** Returns the marked, deflated message, or the message if it is short, long or does not shrink. */
export function deflateMessage(message: Uint8Array): Uint8Array {
  if (message.length < DEFLATE_BYTES_MIN || message.length > INFLATED_BYTES_MAX) return message;
  const body = deflateRawSync(message);
  return body.length + 1 < message.length ? Buffer.concat([MARK, body]) : message;
}
