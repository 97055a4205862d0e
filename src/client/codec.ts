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
  // A binary frame is not valid JSON.
  decode: (data) => asMessage(JSON.parse(data as string)),
};

export function asMessage(value: unknown): ServerMessage {
  if (typeof (value as { t?: unknown } | null)?.t !== 'string') throw new TypeError('It has no type.');
  return value as ServerMessage;
}
