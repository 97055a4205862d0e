/**
 * WebSocket frames (RFC 6455) without a library: what arrives from a server is read in place, what
 * goes there is made with a zero masking key.
 */

export const OPCODE = Object.freeze({ continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 });

/** `bytes` from `from` to `to` (excluded) is the payload; valid only during the call. */
export type FrameHandler = (opcode: number, bytes: Buffer, from: number, to: number) => void;

/** Larger ones are refused: no peer sends them, so the stream is out of step. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Cuts what a server sends into frames, wherever TCP has cut it. Never masked, and not fragmented
 * by any peer with messages this small.
 */
export class FrameReader {
  readonly #onFrame: FrameHandler;
  /** A frame that has begun; grown to its whole size at once, so that it is copied once. */
  #begun: Buffer | null = null;
  #filled = 0;

  constructor(onFrame: FrameHandler) {
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer, length = chunk.length): void {
    let at = 0;
    while (this.#begun !== null && at < length) at += this.#fill(chunk, at, length);
    while (at < length) {
      const end = frameEnd(chunk, at, length);
      if (end > length) {
        this.#begun = Buffer.allocUnsafe(end - at);
        this.#filled = chunk.copy(this.#begun, 0, at, length);
        return;
      }
      this.#emit(chunk, at, end);
      at = end;
    }
  }

  #fill(chunk: Buffer, at: number, length: number): number {
    let begun = this.#begun as Buffer;
    const took = chunk.copy(begun, this.#filled, at, Math.min(length, at + begun.length - this.#filled));
    this.#filled += took;
    if (this.#filled < begun.length) return took;
    const end = frameEnd(begun, 0, this.#filled);
    if (end > begun.length) {
      // Only the head was known to be missing; now the size is.
      begun = Buffer.concat([begun], end);
      this.#begun = begun;
      return took;
    }
    this.#begun = null;
    this.#emit(begun, 0, end);
    return took;
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    const length = (bytes[at + 1] as number) & 0x7f;
    this.#onFrame((bytes[at] as number) & 0x0f, bytes, at + (length < 126 ? 2 : length === 126 ? 4 : 10), end);
  }
}

/** Where the frame that begins at `at` ends; with its head cut off, where the head ends. */
function frameEnd(bytes: Buffer, at: number, length: number): number {
  if (length - at < 2) return at + 2;
  const short = (bytes[at + 1] as number) & 0x7f;
  if (short < 126) return at + 2 + short;
  if (short === 126) return length - at < 4 ? at + 4 : at + 4 + bytes.readUInt16BE(at + 2);
  if (length - at < 10) return at + 10;
  const long = bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
  if (long > FRAME_BYTES_MAX) throw new Error(`a frame of ${long} bytes: out of step with the server`);
  return at + 10 + long;
}

/** A frame from a client; the key is zero, which is legal and saves the XOR. */
export function clientFrame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = length < 126 ? 6 : length < 65_536 ? 8 : 14;
  const bytes = Buffer.alloc(head + length);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (head === 6 ? length : head === 8 ? 126 : 127);
  if (head === 8) bytes.writeUInt16BE(length, 2);
  if (head === 14) bytes.writeBigUInt64BE(BigInt(length), 2);
  bytes.set(payload, head);
  return bytes;
}

export const clientText = (text: string): Buffer => clientFrame(OPCODE.text, Buffer.from(text, 'utf8'));

export interface UpgradeRequest {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols?: readonly string[];
}

export function upgradeRequest({ host, port, path, protocols = [] }: UpgradeRequest): string {
  const offered = protocols.length === 0 ? '' : `Sec-WebSocket-Protocol: ${protocols.join(', ')}\r\n`;
  return `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: c3RhbXBlZGUtYmVuY2gtMA==\r\nSec-WebSocket-Version: 13\r\n${offered}\r\n`;
}
