/**
 * A WebSocket client as lean as it can be, so that thousands fit into one process and the generator is not what is measured: one TCP socket, hand-made
 * frames (RFC 6455), no compression, a zero masking key (legal for a server to accept, and it saves the XOR).
 */
import { connect, type Socket } from 'node:net';

const OPCODE_TEXT = 1;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;

export interface RawSocketHandlers {
  onOpen?(): void;
  /** `payload` is only valid during the call. */
  onMessage(payload: Buffer, binary: boolean): void;
  /** Once. `code` of the close frame, 1006 when the line just broke, the HTTP status when the upgrade was refused. */
  onClose?(code: number): void;
}

export interface RawSocketOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols: readonly string[];
}

export class RawSocket {
  private readonly socket: Socket;
  private readonly handlers: RawSocketHandlers;
  private pending: Buffer | null = null;
  private upgraded = false;
  private closeCode = 1006;
  bytesIn = 0;

  constructor({ host, port, path, protocols }: RawSocketOptions, handlers: RawSocketHandlers) {
    this.handlers = handlers;
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on('connect', () => {
      this.socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: c3RhbXBlZGUtYmVuY2gtMDA=\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${protocols.join(', ')}\r\n\r\n`,
      );
    });
    this.socket.on('data', (chunk: Buffer) => this.onData(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => handlers.onClose?.(this.closeCode));
  }

  sendText(text: string): void {
    this.socket.write(frame(OPCODE_TEXT, Buffer.from(text, 'utf8')));
  }

  sendBinary(bytes: Uint8Array): void {
    this.socket.write(frame(OPCODE_BINARY, bytes));
  }

  /** Frames made before by `textFrame`, in one write. */
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

  destroy(): void {
    this.socket.destroy();
  }

  private onData(chunk: Buffer): void {
    this.bytesIn += chunk.length;
    let data = this.pending ? Buffer.concat([this.pending, chunk]) : chunk;
    this.pending = null;
    if (!this.upgraded) {
      const end = data.indexOf('\r\n\r\n');
      if (end < 0) {
        this.pending = data;
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
      data = data.subarray(end + 4);
    }
    this.onFrames(data);
  }

  private onFrames(data: Buffer): void {
    let at = 0;
    while (data.length - at >= 2) {
      const opcode = (data[at] as number) & 0x0f;
      let length = (data[at + 1] as number) & 0x7f;
      let head = 2;
      if (length === 126) {
        if (data.length - at < 4) break;
        length = data.readUInt16BE(at + 2);
        head = 4;
      } else if (length === 127) {
        if (data.length - at < 10) break;
        length = Number(data.readBigUInt64BE(at + 2));
        head = 10;
      }
      if (data.length - at < head + length) break;
      this.onFrame(opcode, data.subarray(at + head, at + head + length));
      at += head + length;
    }
    if (at < data.length) this.pending = at === 0 ? data : Buffer.from(data.subarray(at));
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

export const textFrame = (text: string): Buffer => frame(OPCODE_TEXT, Buffer.from(text, 'utf8'));

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
