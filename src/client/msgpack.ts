/**
 * MessagePack instead of JSON: smaller messages. Install `@msgpack/msgpack` beside the SDK.
 *
 *     const client = connect({ url, show, token, codec: msgpack });
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import { asMessage, type ClientCodec } from './codec.ts';

const encoder = new Encoder({ ignoreUndefined: true });
const decoder = new Decoder();

/** MessagePack, for the option `codec`. Plain MessagePack, not compressed. */
export const msgpack: ClientCodec = {
  variant: 'msgpack',
  encode: (message) => encoder.encode(message),
  decode: (data) => {
    if (!(data instanceof ArrayBuffer) && !(data instanceof Uint8Array))
      throw new TypeError('The server sent a text frame, expected binary.');
    return asMessage(decoder.decode(data));
  },
};
