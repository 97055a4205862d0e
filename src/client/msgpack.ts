/**
 * The MessagePack variant: smaller frames. Apart from `codec.ts` so that only those who ask for it
 * load the library.
 */
import { CODECS } from '../protocol/codec.ts';
import { asMessage, type ClientCodec } from './codec.ts';

export const msgpackCodec: ClientCodec = {
  variant: 'msgpack',
  encode: (message) => CODECS.msgpack.encode(message),
  decode: (data) => {
    if (!(data instanceof ArrayBuffer) && !(data instanceof Uint8Array)) throw new TypeError('expected a binary frame');
    const decoded = CODECS.msgpack.decode(data instanceof Uint8Array ? data : new Uint8Array(data));
    if (!decoded.ok) throw new TypeError(decoded.error.message);
    return asMessage(decoded.value);
  },
};
