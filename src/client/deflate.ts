/**
 * MessagePack with compressed broadcasts: the smallest messages. Install `@msgpack/msgpack` and
 * `fflate` beside the SDK.
 *
 *     const client = connect({ url, show, token, codec: deflate });
 */
import { inflateSync } from 'fflate';
import { DEFLATE_MARK, INFLATED_BYTES_MAX } from '../protocol/limits.ts';
import { bytesOf, type ClientCodec } from './codec.ts';
import { msgpack } from './msgpack.ts';

/** Used again for each message: decoding copies what it keeps. fflate writes no further. */
const inflated = new Uint8Array(INFLATED_BYTES_MAX + 1);

function inflate(body: Uint8Array): Uint8Array {
  const message = inflateSync(body, { out: inflated });
  if (message.length > INFLATED_BYTES_MAX) throw new RangeError(`It has more than ${INFLATED_BYTES_MAX} bytes.`);
  return message;
}

/** MessagePack, of which the server compresses broadcasts, for the option `codec`. */
export const deflate: ClientCodec = {
  ...msgpack,
  variant: 'msgpack.deflate',
  decode: (data) => {
    const bytes = bytesOf(data);
    return msgpack.decode(bytes[0] === DEFLATE_MARK ? inflate(bytes.subarray(1)) : bytes);
  },
};
