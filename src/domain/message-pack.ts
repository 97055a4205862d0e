/**
 * MessagePack written by hand: headers, numbers and chat items, where encoded bytes are copied into
 * a message. The library encodes all other values (`packValue`).
 */

const GROWTH_BYTES = 4096;
const UTF8_BYTES_A_CHAR_MAX = 3;
const STRING_HEAD_BYTES_MAX = 5;

export class MessagePackWriter {
  private buffer = Buffer.allocUnsafe(GROWTH_BYTES);
  private length = 0;

  get bytes(): number {
    return this.length;
  }

  mapHeader(count: number): this {
    return this.header(count, 0x80, 0xde);
  }

  arrayHeader(count: number): this {
    return this.header(count, 0x90, 0xdc);
  }

  /** A non-negative integer below 2^53; from 2^32 on as float 64, like the library. */
  number(value: number): this {
    this.room(9);
    if (value < 0x80) this.buffer[this.length++] = value;
    else if (value < 0x100) this.typed(0xcc, value, 1);
    else if (value < 0x10000) this.typed(0xcd, value, 2);
    else if (value < 0x1_0000_0000) this.typed(0xce, value, 4);
    else {
      this.buffer[this.length++] = 0xcb;
      this.length = this.buffer.writeDoubleBE(value, this.length);
    }
    return this;
  }

  string(text: string): this {
    this.room(UTF8_BYTES_A_CHAR_MAX * text.length + STRING_HEAD_BYTES_MAX);
    // Most texts are ASCII, so the size is known before they are written.
    let head = stringHeadBytes(text.length);
    const start = this.length;
    const size = this.buffer.write(text, start + head);
    if (stringHeadBytes(size) !== head) {
      head = stringHeadBytes(size);
      this.buffer.write(text, start + head);
    }
    if (head === 1) this.buffer[start] = 0xa0 | size;
    else this.typed(head === 2 ? 0xd9 : head === 3 ? 0xda : 0xdb, size, head - 1);
    this.length = start + head + size;
    return this;
  }

  /** Bytes that already are MessagePack. */
  raw(bytes: Uint8Array): this {
    this.room(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** Returns a copy of what was written, and empties the writer. */
  take(): Uint8Array {
    const taken = Buffer.from(this.buffer.subarray(0, this.length));
    this.length = 0;
    return taken;
  }

  private header(count: number, fix: number, wide: number): this {
    this.room(5);
    if (count < 16) this.buffer[this.length++] = fix | count;
    else if (count < 0x10000) this.typed(wide, count, 2);
    else this.typed(wide + 1, count, 4);
    return this;
  }

  /** Writes the byte of a type, and a number or length behind it. */
  private typed(type: number, value: number, bytes: number): void {
    this.buffer[this.length++] = type;
    for (let shift = 8 * (bytes - 1); shift >= 0; shift -= 8) this.buffer[this.length++] = value >>> shift;
  }

  private room(size: number): void {
    const needed = this.length + size;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}

const stringHeadBytes = (size: number): number =>
  size < 32 ? 1 : size < 0x100 ? 2 : size < 0x10000 ? 3 : STRING_HEAD_BYTES_MAX;

/** `[i, dt, name, text]`, with a fifth element only for marked authors. */
export function writeChatItem(
  out: MessagePackWriter,
  i: number,
  dt: number,
  name: string,
  text: string,
  mark: number,
): void {
  out
    .arrayHeader(mark === 0 ? 4 : 5)
    .number(i)
    .number(dt);
  out.string(name).string(text);
  if (mark !== 0) out.number(mark);
}

/** Returns `i` of the chat item that begins at `at`. */
export function chatItemIndex(bytes: Uint8Array, at: number): number {
  const type = bytes[at + 1] ?? 0;
  return type < 0x80 ? type : bigEndian(bytes, at + 2, type === 0xcc ? 1 : type === 0xcd ? 2 : 4);
}

/** Returns the end of each of `count` consecutive values. Throws a RangeError on other bytes. */
export function valueEnds(bytes: Uint8Array, count: number): Uint32Array {
  const ends = new Uint32Array(count);
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    at = skipValue(bytes, at);
    ends[i] = at;
  }
  return ends;
}

/** Sizes of numbers of the types 0xcb to 0xce (float 64, uint 8, 16, 32), header included. */
const NUMBER_SIZES = [9, 2, 3, 5];

function skipValue(bytes: Uint8Array, from: number): number {
  let at = from;
  for (let remaining = 1; remaining > 0; remaining -= 1) {
    const type = bytes[at] ?? 0;
    if (type >= 0x90 && type < 0xa0) remaining += type & 0x0f;
    at += valueSize(bytes, at, type);
    if (at > bytes.length) throw new RangeError('MessagePack value is cut short');
  }
  return at;
}

/** Returns the size of a value of a chat item; of an array, that of its header. */
function valueSize(bytes: Uint8Array, at: number, type: number): number {
  if (type < 0x80 || (type >= 0x90 && type < 0xa0)) return 1;
  if (type >= 0xa0 && type < 0xc0) return 1 + (type & 0x1f);
  const lengthBytes = type === 0xd9 ? 1 : type === 0xda ? 2 : type === 0xdb ? 4 : 0;
  const size = lengthBytes > 0 ? 1 + lengthBytes + bigEndian(bytes, at + 1, lengthBytes) : NUMBER_SIZES[type - 0xcb];
  if (size === undefined) throw new RangeError(`MessagePack type 0x${type.toString(16)} does not occur in chat`);
  return size;
}

function bigEndian(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i += 1) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}
