/**
 * MessagePack instead of JSON: smaller messages. Install `@msgpack/msgpack` beside the SDK.
 *
 *     const client = connect({ url, show, token, codec: msgpack });
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import { asMessage, bytesOf, type ClientCodec } from './codec.ts';

const encoder = new Encoder({ ignoreUndefined: true });
const decoder = new Decoder();

/** MessagePack, for the option `codec`. Plain MessagePack, not compressed. */
export const msgpack: ClientCodec = {
  variant: 'msgpack',
  encode: (message) => encoder.encode(message),
  decode: (data) => asMessage(decoder.decode(bytesOf(data))),
};
