/**
 * The encodings of protocol v1, for both ends. Nothing here needs Node: the same file runs in
 * browsers. What only servers do (compressing a broadcast, splicing bytes) lives in `src/fanout/`.
 */
import { C1, type Options, Packr } from 'msgpackr';
import { fail, type Result } from './codes.ts';
import type { ClientMessage, ServerMessage, Variant } from './messages.ts';

/** A text frame (string) or a binary frame (bytes). */
export type WireData = string | Uint8Array;

export interface Codec {
  readonly variant: Variant;
  /** Are frames of this variant binary WebSocket messages? */
  readonly binary: boolean;
  /** Fields whose value is `undefined` are left out. */
  encode(message: ClientMessage | ServerMessage): WireData;
  /**
   * Never throws: anything that is not one whole value of the encoding is `bad_frame`. Deflated
   * messages must be inflated first.
   */
  decode(data: WireData): Result<unknown>;
}

/**
 * First byte of a deflated server message in `msgpack.deflate`; raw deflate (RFC 1951) of one
 * MessagePack message follows. No plain message can start with it: every message is a map, whose
 * first byte is 0x80 or higher.
 */
export const DEFLATE_MARK = 0x01;

/** `skipValues` is an option of the library that its types do not name. */
const PLAIN_MSGPACK: Options & { skipValues: undefined[] } = {
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
  skipValues: [undefined],
  // What is decoded does not point into the bytes it came from.
  copyBuffers: true,
};

const packr = new Packr(PLAIN_MSGPACK);
const KNOWN_BYTES = 16 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * One value as plain MessagePack. The bytes are a view of a larger buffer: send the view, not its
 * `.buffer`.
 */
export function packValue(value: unknown): Uint8Array {
  return packr.encode(value);
}

/** The values that follow one another in `bytes`. Throws on bytes that are not MessagePack. */
export function unpackValues(bytes: Uint8Array): unknown[] {
  return bytes.length === 0 ? [] : packr.unpackMultiple(bytes);
}

const json: Codec = {
  variant: 'json',
  binary: false,
  encode: (message) => JSON.stringify(message),
  decode(data) {
    try {
      return { ok: true, value: JSON.parse(typeof data === 'string' ? data : utf8.decode(data)) };
    } catch {
      return fail('bad_frame', 'The frame is not one JSON value in UTF-8.');
    }
  },
};

/**
 * Messages are decoded from here: what the library prepares for bytes it has not seen before costs
 * more than copying a message.
 */
const known = new Uint8Array(KNOWN_BYTES);

function unpackKnown(data: Uint8Array): unknown {
  known.set(data);
  return packr.unpack(known, { start: 0, end: data.length });
}

function decodeMsgpack(data: WireData): Result<unknown> {
  if (typeof data === 'string') return fail('bad_frame', 'This variant takes binary frames; a text frame came.');
  try {
    const value: unknown = data.length > 0 && data.length <= KNOWN_BYTES ? unpackKnown(data) : packr.unpack(data);
    // The library reads the one byte that means nothing as a value of its own.
    if (value !== C1) return { ok: true, value };
  } catch {
    // Answered below.
  }
  return fail('bad_frame', 'The frame is not one MessagePack value.');
}

const msgpack: Codec = { variant: 'msgpack', binary: true, encode: packValue, decode: decodeMsgpack };
const msgpackDeflate: Codec = { variant: 'msgpack.deflate', binary: true, encode: packValue, decode: decodeMsgpack };

export const CODECS: Readonly<Record<Variant, Codec>> = Object.freeze({
  json,
  msgpack,
  'msgpack.deflate': msgpackDeflate,
});

export function isDeflated(data: Uint8Array): boolean {
  return data[0] === DEFLATE_MARK;
}

/**
 * The MessagePack message inside a deflated one, by the platform's own DecompressionStream
 * (browsers, Node 18 and later). Asynchronous: a client must keep the order in which frames came.
 * Rejects on bytes that are not raw deflate.
 */
export async function inflate(data: Uint8Array): Promise<Uint8Array> {
  const body = new Blob([data.slice(1)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(body).arrayBuffer());
}
