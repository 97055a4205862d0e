/** How each server talks to a subscriber, and how its frames are counted in messages cheaply. */
import { inflateRawSync } from 'node:zlib';
import { CODECS, isDeflated } from '../../src/protocol/codec.ts';
import type { Variant } from '../../src/protocol/messages.ts';
import { binaryFrame, textFrame } from '../generator/websocket.ts';
import { dueMicrosOf, MESSAGE_BYTES, numberOf } from './message.ts';

/** Plain data: it is sent to the receiver processes. */
export type DialectSpec =
  /** One message per frame. */
  | { readonly kind: 'plain' }
  /** Messages of a fixed size, several per frame. */
  | { readonly kind: 'packed'; readonly messageBytes: number }
  | { readonly kind: 'socketio' }
  | { readonly kind: 'nats'; readonly subject: string }
  | { readonly kind: 'stampede'; readonly variant: Variant };

export interface Listener {
  /** The subscription is active. */
  ready(): void;
  messages(count: number): void;
  /** Receives each message; null for subscribers that only count. */
  readonly message: ((number: number, dueMicros: number) => void) | null;
  write(frame: Buffer): void;
  fail(why: string): void;
}

export interface Dialect {
  onOpen(): void;
  /** `payload` is valid only during the call. */
  onFrame(payload: Buffer): void;
}

export function createDialect(spec: DialectSpec, listener: Listener): Dialect {
  if (spec.kind === 'socketio') return socketio(listener);
  if (spec.kind === 'nats') return nats(spec.subject, listener);
  if (spec.kind === 'stampede') return stampede(spec.variant, listener);
  return packed(spec.kind === 'packed' ? spec.messageBytes : MESSAGE_BYTES, listener);
}

const packed = (messageBytes: number, listener: Listener): Dialect => ({
  onOpen: () => listener.ready(),
  onFrame(payload) {
    listener.messages(payload.length / messageBytes);
    if (listener.message === null) return;
    for (let at = 0; at < payload.length; at += messageBytes)
      listener.message(numberOf(payload, at), dueMicrosOf(payload, at));
  },
});

const DIGIT_0 = 0x30;
const DIGIT_2 = 0x32;
const DIGIT_4 = 0x34;
const SOCKETIO_EVENT_HEAD = '42["m","'.length;

/** Engine.IO 4: `0` open, `2` ping, `4` message of Socket.IO 5 (`0` connected, `2` event). */
const socketio = (listener: Listener): Dialect => ({
  onOpen() {},
  onFrame(payload) {
    const [packet, type] = [payload[0], payload[1]];
    if (packet === DIGIT_4 && type === DIGIT_2) {
      listener.messages(1);
      listener.message?.(numberOf(payload, SOCKETIO_EVENT_HEAD), dueMicrosOf(payload, SOCKETIO_EVENT_HEAD));
    } else if (packet === DIGIT_4 && type === DIGIT_0) listener.ready();
    else if (packet === DIGIT_2) listener.write(textFrame('3'));
    else if (packet === DIGIT_0) listener.write(textFrame('40'));
  },
});

const LETTER_M = 0x4d;
const NEW_LINE = 0x0a;

/** The NATS protocol is a stream inside the frames: a message may span several frames. */
function nats(subject: string, listener: Listener): Dialect {
  const head = `MSG ${subject} 1 ${MESSAGE_BYTES}\r\n`.length;
  /** Bytes of a message: `MSG <subject> 1 60\r\n`, the text, `\r\n`. */
  const size = head + MESSAGE_BYTES + 2;
  /** An incomplete message; reused. */
  const partial = Buffer.alloc(size);
  let filled = 0;
  let line = '';
  const send = (text: string): void => listener.write(binaryFrame(Buffer.from(text, 'latin1')));
  const onMessage = (bytes: Buffer, at: number): void =>
    listener.message?.(numberOf(bytes, at + head), dueMicrosOf(bytes, at + head));
  /** Everything except messages is a line of text. */
  const onLineBytes = (bytes: Buffer, at: number): number => {
    const end = bytes.indexOf(NEW_LINE, at);
    const next = end < 0 ? bytes.length : end + 1;
    line += bytes.toString('latin1', at, next);
    if (end < 0) return next;
    if (line.startsWith('PING')) send('PONG\r\n');
    else if (line.startsWith('PONG')) listener.ready();
    else if (line.startsWith('-ERR')) listener.fail(line.trim());
    line = '';
    return next;
  };
  return {
    onOpen() {
      send('CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1,"echo":false}\r\n');
      send(`SUB ${subject} 1\r\nPING\r\n`);
    },
    onFrame(payload) {
      const to = payload.length;
      let at = 0;
      let count = 0;
      while (at < to) {
        if (filled > 0) {
          const copied = payload.copy(partial, filled, at, Math.min(to, at + size - filled));
          at += copied;
          filled += copied;
          if (filled < size) break;
          filled = 0;
          count++;
          onMessage(partial, 0);
        } else if (line === '' && payload[at] === LETTER_M) {
          if (at + size > to) {
            filled = payload.copy(partial, 0, at, to);
            break;
          }
          count++;
          onMessage(payload, at);
          at += size;
        } else at = onLineBytes(payload, at);
      }
      if (count > 0) listener.messages(count);
    },
  };
}

type KnownFrame = Readonly<{ bytes: number; isWelcome: boolean; numbers: Float64Array; dueMicros: Float64Array }>;

/**
 * All viewers receive the same bytes, so a process decodes a frame once. Its length and a hash of
 * its first bytes (time, ids, first author) identify it.
 */
const known = new Map<number, KnownFrame>();
const KNOWN_MAX = 512;
const SIGNED_BYTES = 72;

function signature(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  const to = Math.min(bytes.length, SIGNED_BYTES);
  for (let at = 0; at < to; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash;
}

const stampede = (variant: Variant, listener: Listener): Dialect => ({
  onOpen() {},
  onFrame(payload) {
    const key = signature(payload);
    let frame = known.get(key);
    if (frame === undefined || frame.bytes !== payload.length) {
      frame = decodeFrame(variant, payload);
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(key, frame);
    }
    if (frame.isWelcome) return listener.ready();
    const { numbers, dueMicros } = frame;
    if (numbers.length === 0) return;
    listener.messages(numbers.length);
    if (listener.message === null) return;
    for (let i = 0; i < numbers.length; i++) listener.message(numbers[i] as number, dueMicros[i] as number);
  },
});

function decodeFrame(variant: Variant, bytes: Buffer): KnownFrame {
  const decoded = CODECS[variant].decode(isDeflated(bytes) ? inflateRawSync(bytes.subarray(1)) : bytes);
  if (!decoded.ok) throw new Error(decoded.error.message);
  const message = decoded.value as {
    t?: string;
    chat?: ReadonlyArray<readonly [number, number, ReadonlyArray<readonly unknown[]>]>;
  };
  const groups = message.t === 'frame' ? (message.chat ?? []) : [];
  const texts = groups.flatMap(([, , items]) => items.map(([, , , text]) => Buffer.from(String(text), 'latin1')));
  const own = texts.filter((text) => text.length === MESSAGE_BYTES);
  return {
    bytes: bytes.length,
    isWelcome: message.t === 'welcome',
    numbers: Float64Array.from(own, (text) => numberOf(text, 0)),
    dueMicros: Float64Array.from(own, (text) => dueMicrosOf(text, 0)),
  };
}
