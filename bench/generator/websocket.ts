/**
 * A WebSocket client as lean as it can be, so that thousands fit into one process and the generator
 * is not what is measured: one TCP socket, hand-made frames (RFC 6455), no compression, a zero
 * masking key (legal for a server to accept, and it saves the XOR), one read buffer for all
 * sockets.
 */
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, connect as tlsConnect } from 'node:tls';

const OPCODE_TEXT = 1;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;

export interface RawSocketHandlers {
  onOpen?(): void;
  /** `payload` is only valid during the call. */
  onMessage(payload: Buffer, binary: boolean): void;
  /**
   * Once. `code` of the close frame, 1006 when the line just broke, the HTTP status when the
   * upgrade was refused.
   */
  onClose?(code: number): void;
}

export interface RawSocketOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols: readonly string[];
  /**
   * Connect from this address of the machine: one has ports for about 28,000 connections to the
   * same server.
   */
  readonly localAddress?: string;
  /** Absent: in the clear. */
  readonly tls?: Trust;
}

/** Whom a TLS client believes. Plain data: it travels to workers. */
export interface Trust {
  /** What the certificate must be for: a name, or an address. */
  readonly name: string;
  /** PEM of the authorities; null: those Node knows. */
  readonly ca: string | null;
}

/** Reading authorities takes longer than a handshake: once for thousands of connections. */
const contexts = new Map<string | null, SecureContext>();

function contextOf({ ca }: Trust): SecureContext {
  const context = contexts.get(ca) ?? createSecureContext(ca === null ? {} : { ca });
  contexts.set(ca, context);
  return context;
}

/** Options of `node:tls` and `node:https` that make a client believe just that. */
export const trusting = (trust: Trust) => ({
  secureContext: contextOf(trust),
  ...(isIP(trust.name) === 0 ? { servername: trust.name } : {}),
});

/**
 * The system reads into it and the socket's callback has used it up before the next read, whichever
 * socket that is for.
 */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);
const HEAD_BYTES_MAX = 10;

export class RawSocket {
  private readonly socket: Socket;
  private readonly handlers: RawSocketHandlers;
  /** The beginning of a frame (or of the answer to the upgrade) whose rest has not come yet. */
  private held: Buffer | null = null;
  private upgraded = false;
  private closeCode = 1006;
  bytesIn = 0;

  constructor({ host, port, path, protocols, localAddress, tls }: RawSocketOptions, handlers: RawSocketHandlers) {
    this.handlers = handlers;
    const options = {
      host,
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      onread: {
        buffer: readBuffer,
        callback: (length: number, buffer: Uint8Array) => {
          this.onData((buffer as Buffer).subarray(0, length));
          return true;
        },
      },
    } satisfies NetConnectOpts;
    this.socket = tls === undefined ? connect(options) : tlsConnect({ ...options, ...trusting(tls) });
    this.socket.on(tls === undefined ? 'connect' : 'secureConnect', () => {
      this.socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${tls?.name ?? host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          'Sec-WebSocket-Key: c3RhbXBlZGUtYmVuY2gtMA==\r\nSec-WebSocket-Version: 13\r\n' +
          (protocols.length === 0 ? '\r\n' : `Sec-WebSocket-Protocol: ${protocols.join(', ')}\r\n\r\n`),
      );
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => handlers.onClose?.(this.closeCode));
  }

  sendText(text: string): void {
    this.socket.write(frame(OPCODE_TEXT, Buffer.from(text, 'utf8')));
  }

  sendBinary(bytes: Uint8Array): void {
    this.socket.write(frame(OPCODE_BINARY, bytes));
  }

  /** Frames made before by `textFrame` or `binaryFrame`, in one write. */
  sendFrames(frames: Buffer): void {
    this.socket.write(frames);
  }

  /** Stop reading: a phone in a tunnel. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Bytes written that the kernel has not accepted yet. */
  get waitingBytes(): number {
    return this.socket.writableLength;
  }

  destroy(): void {
    this.socket.destroy();
  }

  private onData(chunk: Buffer): void {
    this.bytesIn += chunk.length;
    if (!this.upgraded) {
      this.onUpgrade(this.held === null ? chunk : Buffer.concat([this.held, chunk]));
    } else if (this.held === null) {
      this.onFrames(chunk);
    } else if (this.held.length < HEAD_BYTES_MAX) {
      this.onFrames(Buffer.concat([this.held, chunk]));
    } else {
      // Only the cut frame is put together; what follows it is read where it lies.
      const missing = frameBytes(this.held) - this.held.length;
      const whole = Buffer.concat([this.held, chunk.subarray(0, missing)]);
      if (chunk.length < missing) {
        this.held = whole;
        return;
      }
      this.onFrames(whole);
      if (chunk.length > missing) this.onFrames(chunk.subarray(missing));
    }
  }

  private onUpgrade(data: Buffer): void {
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) {
      this.held = Buffer.from(data);
      return;
    }
    const status = Number(data.subarray(9, 12).toString());
    if (status !== 101) {
      this.closeCode = status;
      this.socket.destroy();
      return;
    }
    this.upgraded = true;
    this.handlers.onOpen?.();
    this.onFrames(data.subarray(end + 4));
  }

  private onFrames(data: Buffer): void {
    let at = 0;
    for (;;) {
      const left = data.length - at;
      const size = left < 2 ? Number.POSITIVE_INFINITY : frameBytes(data, at);
      if (size > left) break;
      const marker = (data[at + 1] as number) & 0x7f;
      const head = marker < 126 ? 2 : marker === 126 ? 4 : 10;
      this.onFrame((data[at] as number) & 0x0f, data.subarray(at + head, at + size));
      at += size;
    }
    this.held = at < data.length ? Buffer.from(data.subarray(at)) : null;
  }

  private onFrame(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE_TEXT || opcode === OPCODE_BINARY) this.handlers.onMessage(payload, opcode === OPCODE_BINARY);
    else if (opcode === OPCODE_PING) this.socket.write(frame(OPCODE_PONG, payload));
    else if (opcode === OPCODE_CLOSE) {
      this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.socket.end();
    }
  }
}

/**
 * Whole size of the frame that begins at `at`, its head included; infinite when even that is cut.
 */
function frameBytes(data: Buffer, at = 0): number {
  const marker = (data[at + 1] as number) & 0x7f;
  if (marker < 126) return 2 + marker;
  if (marker === 126) return data.length - at < 4 ? Number.POSITIVE_INFINITY : 4 + data.readUInt16BE(at + 2);
  return data.length - at < 10 ? Number.POSITIVE_INFINITY : 10 + Number(data.readBigUInt64BE(at + 2));
}

export const textFrame = (text: string): Buffer => frame(OPCODE_TEXT, Buffer.from(text, 'utf8'));

export const binaryFrame = (bytes: Uint8Array): Buffer => frame(OPCODE_BINARY, bytes);

function frame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = length < 126 ? 6 : length < 65_536 ? 8 : 14;
  const bytes = Buffer.allocUnsafe(head + length);
  bytes[0] = 0x80 | opcode;
  if (head === 6) {
    bytes[1] = 0x80 | length;
  } else if (head === 8) {
    bytes[1] = 0x80 | 126;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = 0x80 | 127;
    bytes.writeBigUInt64BE(BigInt(length), 2);
  }
  bytes.writeUInt32BE(0, head - 4);
  bytes.set(payload, head);
  return bytes;
}
