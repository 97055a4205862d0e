/** Outgoing messages, encoded at most once per wire variant, and only in variants in use. */
import type { ChatPiece } from '../domain/chat-piece.ts';
import { MessagePackWriter } from '../domain/message-pack.ts';
import { LIMITS } from '../limits.ts';
import { CODECS, packValue } from '../protocol/codec.ts';
import type { ServerMessage, ShowEvent, StateView, Variant } from '../protocol/messages.ts';
import { deflateMessage } from './deflate.ts';

/** Encodings per variant. They must not grow with the number of viewers. */
export type EncodeCounts = Record<Variant, number>;

export interface FrameSource {
  json(): string;
  msgpack(): Uint8Array;
}

/** One message for many viewers. */
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

  /** Returns the bytes of a variant. The MessagePack variants share their plain bytes. */
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

/** Encodes one message for one viewer; text variants as a string. */
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
    // A copy: the library returns a view, which would keep its whole buffer of 8 KiB in the ring.
    this.bytes ??= new Uint8Array(packValue(this.event));
    return this.bytes;
  }
}

// Used only within one synchronous call each, so one writer serves all frames.
const writer = new MessagePackWriter();
const FRAME_HEAD_BYTES = packValue('t').length + packValue('frame').length + packValue('at').length + 9;

export interface FrameParts {
  readonly at: number;
  readonly epoch?: string;
  readonly events?: readonly EventEntry[];
  readonly state?: StateView;
  readonly snapshot?: FrameSource;
  readonly chat?: readonly ChatPiece[];
  readonly missed?: number;
}

/** Builds a frame around parts that are encoded already, without decoding them. */
export function splicedFrame(parts: FrameParts, counts: EncodeCounts): OutgoingFrame {
  return new OutgoingFrame({ json: () => frameJson(parts), msgpack: () => framePacked(parts) }, counts);
}

function frameJson({ at, epoch, events, state, snapshot, chat, missed }: FrameParts): string {
  let text = `{"t":"frame","at":${at}`;
  if (epoch !== undefined) text += `,"epoch":${JSON.stringify(epoch)}`;
  if (events !== undefined) text += `,"events":[${events.map((entry) => entry.json()).join(',')}]`;
  if (state !== undefined) text += `,"state":${JSON.stringify(state)}`;
  if (snapshot !== undefined) text += `,"snapshot":${snapshot.json()}`;
  if (chat !== undefined) text += `,"chat":${chatJson(chat)}`;
  if (missed !== undefined) text += `,"missed":${missed}`;
  return `${text}}`;
}

function framePacked({ at, epoch, events, state, snapshot, chat, missed }: FrameParts): Uint8Array {
  const fields = 2 + [epoch, events, state, snapshot, chat, missed].filter((part) => part !== undefined).length;
  // Before the first write: the source may use a writer, too.
  const packedSnapshot = snapshot?.msgpack();
  writer.mapHeader(fields).string('t').string('frame').string('at').number(at);
  if (epoch !== undefined) writer.string('epoch').string(epoch);
  if (events !== undefined) {
    writer.string('events').arrayHeader(events.length);
    for (const entry of events) writer.raw(entry.msgpack());
  }
  if (state !== undefined) writer.string('state').raw(packValue(state));
  if (packedSnapshot !== undefined) writer.string('snapshot').raw(packedSnapshot);
  if (chat !== undefined) writeChat(writer.string('chat'), chat);
  if (missed !== undefined) writer.string('missed').number(missed);
  return writer.take();
}

export function chatJson(pieces: readonly ChatPiece[]): string {
  return `[${pieces.map((piece) => `[${piece.firstId},${piece.at},[${piece.json()}]]`).join(',')}]`;
}

export function writeChat(out: MessagePackWriter, pieces: readonly ChatPiece[]): void {
  out.arrayHeader(pieces.length);
  for (const piece of pieces)
    out.arrayHeader(3).number(piece.firstId).number(piece.at).arrayHeader(piece.count).raw(piece.items);
}

export const GROUP_HEAD_BYTES_MAX = 1 + 5 + 9 + 3;
const MISSED_FIELD_BYTES = 7 + 9;
/** JSON is larger: with JSON in use, frames are cut at this share of the target. */
const JSON_SHARE = 0.7;

/** Returns the MessagePack bytes of chat that fit into one frame, group heads included. */
export const chatBytesMax = (isJsonUsed: boolean): number =>
  Math.floor(LIMITS.frameOutBytesTarget * (isJsonUsed ? JSON_SHARE : 1)) - FRAME_HEAD_BYTES - MISSED_FIELD_BYTES;

/** Puts chat into as few frames as fit. With `reportedId`, they count missing ids since then. */
export function chatFrames(
  pieces: readonly ChatPiece[],
  at: number,
  isJsonUsed: boolean,
  counts: EncodeCounts,
  reportedId?: number,
): OutgoingFrame[] {
  const bytesMax = chatBytesMax(isJsonUsed);
  const frames: OutgoingFrame[] = [];
  let chat: ChatPiece[] = [];
  let bytes = 0;
  let count = 0;
  let before = reportedId;
  const close = (): void => {
    const lastId = chat.at(-1)?.lastId ?? 0;
    const missed = before === undefined ? 0 : lastId - before - count;
    frames.push(splicedFrame(missed > 0 ? { at, chat, missed } : { at, chat }, counts));
    if (before !== undefined) before = lastId;
    chat = [];
    bytes = 0;
    count = 0;
  };
  for (const whole of pieces) {
    for (let left: ChatPiece | null = whole; left !== null; ) {
      const [piece, rest]: [ChatPiece, ChatPiece | null] = left.cut(bytesMax - bytes - GROUP_HEAD_BYTES_MAX);
      const size = piece.items.length + GROUP_HEAD_BYTES_MAX;
      if (bytes + size > bytesMax && chat.length > 0) close();
      chat.push(piece);
      bytes += size;
      count += piece.count;
      left = rest;
    }
  }
  if (chat.length > 0) close();
  return frames;
}
