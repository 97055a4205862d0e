/**
 * MessagePack instead of JSON: smaller messages. Install `@msgpack/msgpack` beside the SDK.
 *
 *     const client = connect({ url, show, token, codec: msgpack });
 */
import { decode, Encoder } from '@msgpack/msgpack';
import { asMessage, bytesOf, type ClientCodec } from './codec.ts';

const encoder = new Encoder({ ignoreUndefined: true });

/** Refuses a list that claims more items than there are bytes: memory is reserved for them. */
function unpack(bytes: Uint8Array): unknown {
  return decode(bytes, { maxArrayLength: bytes.length, maxMapLength: bytes.length });
}

/** MessagePack, for the option `codec`. Plain MessagePack, not compressed. */
export const msgpack: ClientCodec = {
  variant: 'msgpack',
  encode: (message) => encoder.encode(message),
  decode: (data) => asMessage(unpack(bytesOf(data))),
};
