/**
 * How each server speaks to a subscriber: what must be said to be one, and how its frames are
 * counted in messages with as little work as possible.
 */
import { inflateRawSync } from 'node:zlib';
import { CODECS, isDeflated } from '../../src/protocol/codec.ts';
import type { Variant } from '../../src/protocol/messages.ts';
import { dueMicrosOf, MESSAGE_BYTES, numberOf } from './message.ts';
import { clientFrame, clientText, OPCODE } from './websocket-frames.ts';

/** Plain data: it travels to the processes that receive. */
export type DialectSpec =
  /** A frame is a message. */
  | { readonly kind: 'plain' }
  /** Messages of a fixed size, one behind the other, several a frame. */
  | { readonly kind: 'packed'; readonly messageBytes: number }
  | { readonly kind: 'socketio' }
  | { readonly kind: 'nats'; readonly subject: string }
  | { readonly kind: 'stampede'; readonly variant: Variant };

export interface Listener {
  /** The subscription stands. */
  ready(): void;
  messages(count: number): void;
  /** Each message, for those who look at them; null for those who only count. */
  readonly message: ((number: number, dueMicros: number) => void) | null;
  write(bytes: Uint8Array): void;
  fail(why: string): void;
}

export interface Dialect {
  onOpen(): void;
  onFrame(opcode: number, bytes: Buffer, from: number, to: number): void;
}

export function createDialect(spec: DialectSpec, listener: Listener): Dialect {
  switch (spec.kind) {
    case 'plain':
      return packed(MESSAGE_BYTES, listener);
    case 'packed':
      return packed(spec.messageBytes, listener);
    case 'socketio':
      return socketio(listener);
    case 'nats':
      return new NatsDialect(spec.subject, listener);
    case 'stampede':
      return stampede(spec.variant, listener);
  }
}

function packed(messageBytes: number, listener: Listener): Dialect {
  return {
    onOpen: () => listener.ready(),
    onFrame(_opcode, bytes, from, to) {
      listener.messages((to - from) / messageBytes);
      if (listener.message === null) return;
      for (let at = from; at < to; at += messageBytes) listener.message(numberOf(bytes, at), dueMicrosOf(bytes, at));
    },
  };
}

const DIGIT_0 = 0x30;
const DIGIT_2 = 0x32;
const DIGIT_4 = 0x34;
const SOCKETIO_EVENT_HEAD = '42["m","'.length;

/**
 * Engine.IO 4 packets, one a frame: `0` open, `2` ping, `4` message; in it Socket.IO 5: `0`
 * connected, `2` event.
 */
function socketio(listener: Listener): Dialect {
  return {
    onOpen() {},
    onFrame(_opcode, bytes, from) {
      const packet = bytes[from];
      if (packet === DIGIT_4 && bytes[from + 1] === DIGIT_2) {
        listener.messages(1);
        listener.message?.(numberOf(bytes, from + SOCKETIO_EVENT_HEAD), dueMicrosOf(bytes, from + SOCKETIO_EVENT_HEAD));
      } else if (packet === DIGIT_4 && bytes[from + 1] === DIGIT_0) listener.ready();
      else if (packet === DIGIT_2) listener.write(clientText('3'));
      else if (packet === DIGIT_0) listener.write(clientText('40'));
    },
  };
}

const LETTER_M = 0x4d;
const NEW_LINE = 0x0a;

/**
 * The NATS client protocol is a stream of its own inside the frames: a message may begin in one and
 * end in another.
 */
class NatsDialect implements Dialect {
  readonly #subject: string;
  readonly #listener: Listener;
  readonly #head: number;
  /** Bytes of a message: `MSG <subject> 1 60\r\n`, the text, `\r\n`. */
  readonly #size: number;
  /** A message that has begun; used over and over. */
  readonly #begun: Buffer;
  #filled = 0;
  #line = '';

  constructor(subject: string, listener: Listener) {
    this.#subject = subject;
    this.#listener = listener;
    this.#head = `MSG ${subject} 1 ${MESSAGE_BYTES}\r\n`.length;
    this.#size = this.#head + MESSAGE_BYTES + 2;
    this.#begun = Buffer.alloc(this.#size);
  }

  onOpen(): void {
    this.#send('CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1,"echo":false}\r\n');
    this.#send(`SUB ${this.#subject} 1\r\nPING\r\n`);
  }

  onFrame(_opcode: number, bytes: Buffer, from: number, to: number): void {
    let at = from;
    let count = 0;
    while (at < to) {
      if (this.#filled > 0) {
        const took = bytes.copy(this.#begun, this.#filled, at, Math.min(to, at + this.#size - this.#filled));
        at += took;
        this.#filled += took;
        if (this.#filled < this.#size) break;
        this.#filled = 0;
        count++;
        this.#look(this.#begun, 0);
      } else if (this.#line === '' && bytes[at] === LETTER_M) {
        if (at + this.#size > to) {
          this.#filled = bytes.copy(this.#begun, 0, at, to);
          break;
        }
        count++;
        this.#look(bytes, at);
        at += this.#size;
      } else at = this.#onLineBytes(bytes, at, to);
    }
    if (count > 0) this.#listener.messages(count);
  }

  #look(bytes: Buffer, at: number): void {
    this.#listener.message?.(numberOf(bytes, at + this.#head), dueMicrosOf(bytes, at + this.#head));
  }

  /** Everything but messages is a line of text. */
  #onLineBytes(bytes: Buffer, at: number, to: number): number {
    const end = bytes.subarray(at, to).indexOf(NEW_LINE);
    const next = end < 0 ? to : at + end + 1;
    this.#line += bytes.toString('latin1', at, next);
    if (end >= 0) {
      if (this.#line.startsWith('PING')) this.#send('PONG\r\n');
      else if (this.#line.startsWith('PONG')) this.#listener.ready();
      else if (this.#line.startsWith('-ERR')) this.#listener.fail(this.#line.trim());
      this.#line = '';
    }
    return next;
  }

  #send(text: string): void {
    this.#listener.write(clientFrame(OPCODE.binary, Buffer.from(text, 'latin1')));
  }
}

interface KnownFrame {
  readonly bytes: number;
  readonly isWelcome: boolean;
  readonly numbers: Float64Array;
  readonly dueMicros: Float64Array;
}

/**
 * Everybody gets the same bytes, so a process decodes a frame once: its length and a hash of its
 * first bytes (time, ids, first author) tell it from all others.
 */
const known = new Map<number, KnownFrame>();
const KNOWN_MAX = 512;
const SIGNED_BYTES = 72;

/** FNV-1a, 32 bits. */
function signature(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash;
}

function stampede(variant: Variant, listener: Listener): Dialect {
  return {
    onOpen() {},
    onFrame(_opcode, bytes, from, to) {
      const key = signature(bytes, from, Math.min(to, from + SIGNED_BYTES));
      let frame = known.get(key);
      if (frame === undefined || frame.bytes !== to - from) {
        frame = decodeFrame(variant, bytes.subarray(from, to));
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
  };
}

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
