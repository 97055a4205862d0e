/** Encodings of messages. Those that need a library are separate entry points. */
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

/** Returns the bytes of a binary frame. Throws for a text frame. */
export function bytesOf(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new TypeError('The server sent a text frame, expected binary.');
}

export function asMessage(value: unknown): ServerMessage {
  if (typeof (value as { t?: unknown } | null)?.t !== 'string') throw new TypeError('It has no type.');
  return value as ServerMessage;
}
