/** Encodings of messages. MessagePack is a separate entry point, because it needs a library. */
import type { ClientMessage, ServerMessage, Variant } from '../protocol/messages.ts';

/** Encodes what the client sends, and decodes what it receives. */
export interface ClientCodec {
  readonly variant: Variant;
  encode(message: ClientMessage): string | Uint8Array;
  /** Throws on anything that is not a message. */
  decode(data: unknown): ServerMessage;
}

export const jsonCodec: ClientCodec = {
  variant: 'json',
  encode: (message) => JSON.stringify(message),
  decode: (data) => {
    if (typeof data !== 'string') throw new TypeError('The server sent a binary frame, expected text.');
    return asMessage(JSON.parse(data));
  },
};

export function asMessage(value: unknown): ServerMessage {
  if (typeof value !== 'object' || value === null || typeof (value as { t?: unknown }).t !== 'string')
    throw new TypeError('The server sent a frame that is not a message.');
  return value as ServerMessage;
}
