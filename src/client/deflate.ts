/**
 * MessagePack with compressed broadcasts: the smallest messages. Install `@msgpack/msgpack` and
 * `fflate` beside the SDK.
 *
 *     const client = connect({ url, show, token, codec: deflate });
 */
import { Inflate } from 'fflate';
import { DEFLATE_MARK, INFLATED_BYTES_MAX } from '../protocol/limits.ts';
import { bytesOf, type ClientCodec } from './codec.ts';
import { msgpack } from './msgpack.ts';

/** Used again for each message: decoding copies what it keeps. */
const inflated = new Uint8Array(INFLATED_BYTES_MAX);
/** Deflate makes at most 1,032 bytes of one: one step inflates about 1 MiB. */
const STEP_BYTES = 1024;

function inflate(body: Uint8Array): Uint8Array {
  let length = 0;
  const stream = new Inflate((chunk) => {
    if (length + chunk.length > INFLATED_BYTES_MAX)
      throw new RangeError(`It has more than ${INFLATED_BYTES_MAX} bytes.`);
    inflated.set(chunk, length);
    length += chunk.length;
  });
  for (let at = 0; at < body.length; at += STEP_BYTES)
    stream.push(body.subarray(at, at + STEP_BYTES), at + STEP_BYTES >= body.length);
  return inflated.subarray(0, length);
}

/** For the option `codec`: MessagePack, with broadcasts compressed by the server. */
export const deflate: ClientCodec = {
  ...msgpack,
  variant: 'msgpack.deflate',
  decode: (data) => {
    const bytes = bytesOf(data);
    return msgpack.decode(bytes[0] === DEFLATE_MARK ? inflate(bytes.subarray(1)) : bytes);
  },
};
