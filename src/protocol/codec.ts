/**
 * The encodings of protocol v1, for clients and servers; runs in browsers. Code that only servers
 * need (compressing and splicing broadcasts) is in `src/fanout/`.
 */
import { C1, type Options, Packr } from 'msgpackr';
import { fail, type Result } from './codes.ts';
import { DEFLATE_MARK } from './limits.ts';
import type { ClientMessage, ServerMessage, Variant } from './messages.ts';

/** A text frame (string) or a binary frame (bytes). */
export type WireData = string | Uint8Array;

export interface Codec {
  readonly variant: Variant;
  /** Whether frames of this variant are binary WebSocket messages. */
  readonly binary: boolean;
  /** Omits fields whose value is `undefined`. */
  encode(message: ClientMessage | ServerMessage): WireData;
  /** Returns `bad_frame` for anything but one whole value. Never throws. Does not inflate. */
  decode(data: WireData): Result<unknown>;
}

/** The types of msgpackr do not list its option `skipValues`. */
const PLAIN_MSGPACK: Options & { skipValues: undefined[] } = {
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
  skipValues: [undefined],
  // Decoded values must not share memory with the received bytes.
  copyBuffers: true,
};

const packr = new Packr(PLAIN_MSGPACK);
const SCRATCH_BYTES = 16 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Encodes one value. Returns a view of a larger buffer: send the view, not its `.buffer`. */
export function packValue(value: unknown): Uint8Array {
  return packr.encode(value);
}

/** Decodes consecutive values. Throws if `bytes` is not MessagePack. */
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

/** msgpackr prepares every buffer that is new to it; that costs more than copying a message. */
const scratch = new Uint8Array(SCRATCH_BYTES);

function unpackFromScratch(data: Uint8Array): unknown {
  scratch.set(data);
  return packr.unpack(scratch, { start: 0, end: data.length });
}

function decodeMsgpack(data: WireData): Result<unknown> {
  if (typeof data === 'string') return fail('bad_frame', 'This variant takes binary frames, but a text frame arrived.');
  try {
    const fits = data.length > 0 && data.length <= SCRATCH_BYTES;
    const value: unknown = fits ? unpackFromScratch(data) : packr.unpack(data);
    // msgpackr decodes the unused byte 0xc1 as a special value.
    if (value !== C1) return { ok: true, value };
  } catch {
    // Not MessagePack: reported below.
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
 * Inflates a deflated message. Asynchronous: the caller must keep the order of its frames. Rejects
 * if `data` is not raw deflate.
 */
export async function inflate(data: Uint8Array): Promise<Uint8Array> {
  const body = new Blob([data.slice(1)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(body).arrayBuffer());
}
