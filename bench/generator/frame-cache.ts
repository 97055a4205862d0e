/** Decodes messages of the server. Each worker decodes a broadcast once, and compares all bytes. */
import { inflateRawSync } from 'node:zlib';
import { CODECS, isDeflated } from '../../src/protocol/codec.ts';
import type { Frame, ServerMessage } from '../../src/protocol/messages.ts';
import { dueOf } from './stamp.ts';

export type MessageKind = ServerMessage['t'];

/** The parts of a broadcast frame that viewers use. */
export interface FrameFacts {
  readonly frame: Frame;
  /** Chat messages in it, and the ids of the first and the last (0 when there are none). */
  readonly chat: number;
  readonly firstChat: number;
  readonly lastChat: number;
  /** Due times of the chat messages that contain one, on the fleet's clock. */
  readonly dueTimesMs: Float64Array;
  /** Offsets of its first and last event; 0 when there are none. */
  readonly firstEvent: number;
  readonly lastEvent: number;
}

const ALL_KINDS = ['welcome', 'frame', 'ok', 'error', 'you', 'bye'] as const;
const KINDS: ReadonlyMap<number, MessageKind> = new Map(
  ALL_KINDS.map((kind) => [kind.charCodeAt(0) * 256 + kind.charCodeAt(1), kind]),
);

/** The kind of an uncompressed message, without decoding it; null when it must be decoded. */
export function kindOf(payload: Buffer, binary: boolean): MessageKind | null {
  // JSON: `{"t":"fr...`; MessagePack: a fixmap, fixstr "t", the header of a fixstr, `fr...`.
  const at = binary ? 4 : 6;
  const isPlain = binary
    ? ((payload[0] ?? 0) & 0xf0) === 0x80 && payload[1] === 0xa1 && payload[2] === 0x74
    : payload[0] === 0x7b && payload[2] === 0x74;
  return isPlain ? (KINDS.get((payload[at] ?? 0) * 256 + (payload[at + 1] ?? 0)) ?? null) : null;
}

/** Decodes a message in any variant. Throws if the message is invalid. */
export function decode(payload: Buffer, binary: boolean): ServerMessage {
  const plain = binary && isDeflated(payload) ? inflateRawSync(payload.subarray(1)) : payload;
  const decoded = binary ? CODECS.msgpack.decode(plain) : CODECS.json.decode(plain.toString('utf8'));
  if (!decoded.ok) throw new Error(`the server sent an invalid message: ${decoded.error.message}`);
  return decoded.value as ServerMessage;
}

/** About the frames of the last second. */
const FRAMES_MAX = 512;

export class FrameCache {
  /** Keys are hashes of `bytes`. */
  readonly #frames = new Map<number, { readonly bytes: Buffer; readonly facts: FrameFacts | null }>();
  decoded = 0;

  /** Returns the facts of a frame, null for other messages. Keeps no reference to `payload`. */
  facts(payload: Buffer, binary: boolean): FrameFacts | null {
    const hash = hashOf(payload);
    const known = this.#frames.get(hash);
    if (known?.bytes.equals(payload)) return known.facts;
    const message = decode(payload, binary);
    const facts = message.t === 'frame' ? factsOf(message) : null;
    this.decoded++;
    this.#frames.delete(hash);
    this.#frames.set(hash, { bytes: Buffer.from(payload), facts });
    if (this.#frames.size > FRAMES_MAX) this.#frames.delete(this.#frames.keys().next().value as number);
    return facts;
  }
}

/** Hashes the length, time stamp, first chat id, middle and end, which differ for most frames. */
function hashOf(payload: Buffer): number {
  const { length } = payload;
  if (length < 40) return length;
  const head = payload.readUInt32LE(12) ^ payload.readUInt32LE(28);
  const word = head ^ payload.readUInt32LE(length - 4) ^ payload.readUInt32LE(length >> 1);
  return (word >>> 0) * 65536 + (length & 0xffff);
}

function factsOf(frame: Frame): FrameFacts {
  let chat = 0;
  let firstChat = 0;
  let lastChat = 0;
  const dueTimesMs: number[] = [];
  for (const [firstId, , items] of frame.chat ?? []) {
    for (const [i, , , text] of items) {
      const dueMs = dueOf(text);
      if (!Number.isNaN(dueMs)) dueTimesMs.push(dueMs);
      lastChat = firstId + i;
      if (chat++ === 0) firstChat = lastChat;
    }
  }
  const events = frame.events ?? [];
  return {
    frame,
    chat,
    firstChat,
    lastChat,
    dueTimesMs: Float64Array.from(dueTimesMs),
    firstEvent: events[0]?.offset ?? 0,
    lastEvent: events.at(-1)?.offset ?? 0,
  };
}
