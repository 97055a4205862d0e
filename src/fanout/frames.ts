/**
 * Outgoing messages, encoded at most once per wire variant and only in the variants somebody uses.
 */

import type { ChatPiece } from '../domain/chat-piece.ts';
import { MessagePackWriter } from '../domain/message-pack.ts';
import { LIMITS } from '../limits.ts';
import { CODECS, packValue } from '../protocol/codec.ts';
import type { ServerMessage, ShowEvent, Snapshot, StateView, Variant } from '../protocol/messages.ts';
import { deflateMessage } from './deflate.ts';

/**
 * How often something was encoded, per variant: the proof that encoding does not grow with viewers.
 */
export type EncodeCounts = Record<Variant, number>;
export const newEncodeCounts = (): EncodeCounts => ({ json: 0, msgpack: 0, 'msgpack.deflate': 0 });

export interface FrameSource {
  json(): string;
  msgpack(): Uint8Array;
}

/** One message for many listeners. */
export class OutgoingFrame {
  private readonly source: FrameSource;
  private readonly counts: EncodeCounts;
  private json: Uint8Array | null = null;
  private packed: Uint8Array | null = null;
  private deflated: Uint8Array | null = null;

  constructor(source: FrameSource, counts: EncodeCounts) {
    this.source = source;
    this.counts = counts;
  }

  /**
   * The bytes of this message in a variant. The two MessagePack variants share their plain bytes.
   */
  in(variant: Variant): Uint8Array {
    switch (variant) {
      case 'json':
        if (this.json === null) {
          this.counts.json += 1;
          this.json = Buffer.from(this.source.json(), 'utf8');
        }
        return this.json;
      case 'msgpack':
        if (this.packed === null) {
          this.counts.msgpack += 1;
          this.packed = this.source.msgpack();
        }
        return this.packed;
      case 'msgpack.deflate':
        if (this.deflated === null) {
          const plain = this.in('msgpack');
          this.counts['msgpack.deflate'] += 1;
          this.deflated = deflateMessage(plain);
        }
        return this.deflated;
    }
  }
}

export function messageFrame(message: ServerMessage, counts: EncodeCounts): OutgoingFrame {
  return new OutgoingFrame({ json: () => JSON.stringify(message), msgpack: () => packValue(message) }, counts);
}

/** One message to one listener. Bytes for the socket; text variants as UTF-8. */
export function encodeFor(variant: Variant, message: ServerMessage): Uint8Array | string {
  return CODECS[variant].encode(message);
}

/** An event with its encodings, made when first needed and kept for resumes. */
export class EventEntry {
  readonly event: ShowEvent;
  private text: string | null = null;
  private bytes: Uint8Array | null = null;

  constructor(event: ShowEvent) {
    this.event = event;
  }

  json(): string {
    this.text ??= JSON.stringify(this.event);
    return this.text;
  }

  msgpack(): Uint8Array {
    // A copy of its own: what the library gives is a view that would keep its whole buffer of 8 KiB
    // for as long as the ring keeps the event.
    this.bytes ??= new Uint8Array(packValue(this.event));
    return this.bytes;
  }
}

// Single-threaded and used only within one call each, so one writer serves all frames.
const writer = new MessagePackWriter();
const FRAME_HEAD = packValue('t').length + packValue('frame').length + packValue('at').length + 9;

export interface FrameParts {
  readonly at: number;
  readonly epoch?: string;
  readonly events?: readonly EventEntry[];
  readonly state?: StateView;
  readonly snapshot?: Snapshot;
  readonly chat?: readonly ChatPiece[];
  readonly missed?: number;
}

/**
 * A `frame` message spliced from parts that were encoded before. Field order is that of SPEC.md and
 * means nothing.
 */
export function splicedFrame(parts: FrameParts, counts: EncodeCounts): OutgoingFrame {
  return new OutgoingFrame({ json: () => frameJson(parts), msgpack: () => framePacked(parts) }, counts);
}

function frameJson({ at, epoch, events, state, snapshot, chat, missed }: FrameParts): string {
  let text = `{"t":"frame","at":${at}`;
  if (epoch !== undefined) text += `,"epoch":${JSON.stringify(epoch)}`;
  if (events !== undefined) text += `,"events":[${events.map((entry) => entry.json()).join(',')}]`;
  if (state !== undefined) text += `,"state":${JSON.stringify(state)}`;
  if (snapshot !== undefined) text += `,"snapshot":${JSON.stringify(snapshot)}`;
  if (chat !== undefined) text += `,"chat":${chatJson(chat)}`;
  if (missed !== undefined) text += `,"missed":${missed}`;
  return `${text}}`;
}

function framePacked({ at, epoch, events, state, snapshot, chat, missed }: FrameParts): Uint8Array {
  const fields = 2 + [epoch, events, state, snapshot, chat, missed].filter((part) => part !== undefined).length;
  writer.mapHeader(fields).string('t').string('frame').string('at').number(at);
  if (epoch !== undefined) writer.string('epoch').string(epoch);
  if (events !== undefined) {
    writer.string('events').arrayHeader(events.length);
    for (const entry of events) writer.raw(entry.msgpack());
  }
  if (state !== undefined) writer.string('state').raw(packValue(state));
  if (snapshot !== undefined) writer.string('snapshot').raw(packValue(snapshot));
  if (chat !== undefined) writeChat(writer.string('chat'), chat);
  if (missed !== undefined) writer.string('missed').number(missed);
  return writer.take();
}

/** Chat groups as a JSON array. */
export function chatJson(pieces: readonly ChatPiece[]): string {
  return `[${pieces.map((piece) => `[${piece.firstId},${piece.at},[${piece.json()}]]`).join(',')}]`;
}

/**
 * Chat groups as a MessagePack array: a few header bytes each, the items as they came from Redis.
 */
export function writeChat(out: MessagePackWriter, pieces: readonly ChatPiece[]): void {
  out.arrayHeader(pieces.length);
  for (const piece of pieces)
    out.arrayHeader(3).number(piece.firstId).number(piece.at).arrayHeader(piece.count).raw(piece.items);
}

export const GROUP_HEAD_BYTES_MAX = 1 + 5 + 9 + 3;
const MISSED_FIELD = 7 + 9;
/**
 * JSON spells out what MessagePack packs; with it in use frames are cut earlier, so that both stay
 * below the target.
 */
const JSON_SHARE = 0.7;

/** Of chat in one frame, group heads included, as MessagePack. */
export const chatBytesMax = (jsonUsed: boolean): number =>
  Math.floor(LIMITS.frameOutBytesTarget * (jsonUsed ? JSON_SHARE : 1)) - FRAME_HEAD - MISSED_FIELD;

/**
 * Chat in as few frames as the byte target allows, in order. With `told`, the id up to which
 * everybody was sent or told everything, each frame says how many ids between that and its own last
 * message are not in it.
 */
export function chatFrames(
  pieces: readonly ChatPiece[],
  at: number,
  jsonUsed: boolean,
  counts: EncodeCounts,
  told?: number,
): OutgoingFrame[] {
  const bytesMax = chatBytesMax(jsonUsed);
  const frames: OutgoingFrame[] = [];
  let group: ChatPiece[] = [];
  let bytes = 0;
  let count = 0;
  let before = told;
  const close = (): void => {
    const lastId = group.at(-1)?.lastId ?? 0;
    const missed = before === undefined ? 0 : lastId - before - count;
    frames.push(splicedFrame(missed > 0 ? { at, chat: group, missed } : { at, chat: group }, counts));
    if (before !== undefined) before = lastId;
    group = [];
    bytes = 0;
    count = 0;
  };
  for (const whole of pieces) {
    for (let left: ChatPiece | null = whole; left !== null; ) {
      const [piece, rest]: [ChatPiece, ChatPiece | null] = left.cut(bytesMax - bytes - GROUP_HEAD_BYTES_MAX);
      const size = piece.items.length + GROUP_HEAD_BYTES_MAX;
      if (bytes + size > bytesMax && group.length > 0) close();
      group.push(piece);
      bytes += size;
      count += piece.count;
      left = rest;
    }
  }
  if (group.length > 0) close();
  return frames;
}
