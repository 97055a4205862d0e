/** A lean WebSocket client (RFC 6455), so that one process holds thousands: one read buffer. */
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, connect as tlsConnect } from 'node:tls';

const OPCODE = Object.freeze({ text: 1, binary: 2, close: 8, ping: 9, pong: 10 });

export interface RawSocketHandlers {
  onOpen?(): void;
  /** `payload` is only valid during the call. */
  onMessage(payload: Buffer, binary: boolean): void;
  /** Once: code of the close frame, 1006 without one, or the HTTP status of a refused upgrade. */
  onClose?(code: number): void;
}

export interface RawSocketOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols: readonly string[];
  /** One local address has ports for about 28,000 connections to the same server. */
  readonly localAddress?: string;
  /** Absent: without TLS. */
  readonly tls?: Trust;
}

/** What a TLS client accepts. Plain data: it travels to workers. */
export interface Trust {
  /** The name or address that the certificate must be for. */
  readonly name: string;
  /** PEM of the authorities; null: those of Node.js. */
  readonly ca: string | null;
}

/** Reading authorities takes longer than a handshake: done once for thousands of connections. */
const contexts = new Map<string | null, SecureContext>();

function contextOf({ ca }: Trust): SecureContext {
  const context = contexts.get(ca) ?? createSecureContext(ca === null ? {} : { ca });
  contexts.set(ca, context);
  return context;
}

/** Options of `node:tls` and `node:https` for this trust. */
export const trusting = (trust: Trust) => ({
  secureContext: contextOf(trust),
  ...(isIP(trust.name) === 0 ? { servername: trust.name } : {}),
});

/** A socket's callback has processed it before the next read, of any socket. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);
const HEAD_BYTES_MAX = 10;
/** No server sends larger frames: the stream would be out of step. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;

export class RawSocket {
  readonly #socket: Socket;
  readonly #handlers: RawSocketHandlers;
  /** The beginning of an incomplete frame, or of the response to the upgrade. */
  #held: Buffer | null = null;
  #isUpgraded = false;
  #closeCode = 1006;
  /** Received bytes, heads included. */
  bytesIn = 0;

  constructor({ host, port, path, protocols, localAddress, tls }: RawSocketOptions, handlers: RawSocketHandlers) {
    this.#handlers = handlers;
    const options = {
      host,
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      onread: {
        buffer: readBuffer,
        callback: (length: number, buffer: Uint8Array) => {
          this.#onData((buffer as Buffer).subarray(0, length));
          return true;
        },
      },
    } satisfies NetConnectOpts;
    this.#socket = tls === undefined ? connect(options) : tlsConnect({ ...options, ...trusting(tls) });
    this.#socket.on(tls === undefined ? 'connect' : 'secureConnect', () =>
      this.#socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${tls?.name ?? host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          'Sec-WebSocket-Key: c3RhbXBlZGUtYmVuY2gtMA==\r\nSec-WebSocket-Version: 13\r\n' +
          (protocols.length === 0 ? '\r\n' : `Sec-WebSocket-Protocol: ${protocols.join(', ')}\r\n\r\n`),
      ),
    );
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => handlers.onClose?.(this.#closeCode));
  }

  /** Writes frames of `textFrame` or `binaryFrame`, all at once. */
  sendFrames(frames: Buffer): void {
    this.#socket.write(frames);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Bytes written that the kernel has not accepted yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.bytesIn += chunk.length;
    const held = this.#held;
    if (!this.#isUpgraded) this.#onResponse(held === null ? chunk : Buffer.concat([held, chunk]));
    else if (held === null) this.#onFrames(chunk);
    else if (held.length < HEAD_BYTES_MAX) this.#onFrames(Buffer.concat([held, chunk]));
    else {
      // Only the incomplete frame is copied; the frames after it are read in place.
      const missing = frameBytes(held) - held.length;
      const whole = Buffer.concat([held, chunk.subarray(0, missing)]);
      if (chunk.length < missing) {
        this.#held = whole;
        return;
      }
      this.#onFrames(whole);
      if (chunk.length > missing) this.#onFrames(chunk.subarray(missing));
    }
  }

  #onResponse(data: Buffer): void {
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#held = Buffer.from(data);
      return;
    }
    const status = Number(data.subarray(9, 12).toString());
    if (status !== 101) {
      this.#closeCode = status;
      this.#socket.destroy();
      return;
    }
    this.#isUpgraded = true;
    this.#handlers.onOpen?.();
    this.#onFrames(data.subarray(end + 4));
  }

  #onFrames(data: Buffer): void {
    let at = 0;
    for (;;) {
      const left = data.length - at;
      const size = left < 2 ? Number.POSITIVE_INFINITY : frameBytes(data, at);
      if (size > FRAME_BYTES_MAX && size !== Number.POSITIVE_INFINITY) {
        this.#closeCode = 1009;
        this.#socket.destroy();
        return;
      }
      if (size > left) break;
      const marker = (data[at + 1] as number) & 0x7f;
      const head = marker < 126 ? 2 : marker === 126 ? 4 : 10;
      this.#onFrame((data[at] as number) & 0x0f, data.subarray(at + head, at + size));
      at += size;
    }
    this.#held = at < data.length ? Buffer.from(data.subarray(at)) : null;
  }

  #onFrame(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.text || opcode === OPCODE.binary) this.#handlers.onMessage(payload, opcode === OPCODE.binary);
    else if (opcode === OPCODE.ping) this.#socket.write(frame(OPCODE.pong, payload));
    else if (opcode === OPCODE.close) {
      this.#closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#socket.end();
    }
  }
}

/** Size of the frame at `at` with its head; infinite when even the head is incomplete. */
function frameBytes(data: Buffer, at = 0): number {
  const marker = (data[at + 1] as number) & 0x7f;
  if (marker < 126) return 2 + marker;
  if (marker === 126) return data.length - at < 4 ? Number.POSITIVE_INFINITY : 4 + data.readUInt16BE(at + 2);
  return data.length - at < 10 ? Number.POSITIVE_INFINITY : 10 + Number(data.readBigUInt64BE(at + 2));
}

export const textFrame = (text: string): Buffer => frame(OPCODE.text, Buffer.from(text, 'utf8'));
export const binaryFrame = (bytes: Uint8Array): Buffer => frame(OPCODE.binary, bytes);

/** A frame from a client. A masking key of zero is legal and saves the XOR. */
function frame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = length < 126 ? 6 : length < 65_536 ? 8 : 14;
  const bytes = Buffer.allocUnsafe(head + length);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (head === 6 ? length : head === 8 ? 126 : 127);
  if (head === 8) bytes.writeUInt16BE(length, 2);
  if (head === 14) bytes.writeBigUInt64BE(BigInt(length), 2);
  bytes.writeUInt32BE(0, head - 4);
  bytes.set(payload, head);
  return bytes;
}
