/** The MessagePack variant: smaller frames. A separate module, because it loads a library. */
import { CODECS } from '../protocol/codec.ts';
import { asMessage, type ClientCodec } from './codec.ts';

export const msgpackCodec: ClientCodec = {
  variant: 'msgpack',
  encode: (message) => CODECS.msgpack.encode(message),
  decode: (data) => {
    if (!(data instanceof ArrayBuffer) && !(data instanceof Uint8Array))
      throw new TypeError('The server sent a text frame, expected binary.');
    const decoded = CODECS.msgpack.decode(data instanceof Uint8Array ? data : new Uint8Array(data));
    if (!decoded.ok) throw new TypeError(decoded.error.message);
    return asMessage(decoded.value);
  },
};
