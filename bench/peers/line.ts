/**
 * A client's WebSocket line to a peer, as lean as Node allows: all lines of a process read into one
 * buffer, and nothing is made per message.
 */
import { connect, type Socket } from 'node:net';
import {
  clientFrame,
  type FrameHandler,
  FrameReader,
  OPCODE,
  type UpgradeRequest,
  upgradeRequest,
} from './websocket-frames.ts';

const READ_BYTES = 64 * 1024;
/** What one read brought is dealt with before the next one begins, so all lines may share it. */
const shared = Buffer.allocUnsafeSlow(READ_BYTES);
const HEAD_END = '\r\n\r\n';

export interface LineHandlers {
  onOpen(): void;
  /** Frames that carry something; pings are answered here. */
  onFrame: FrameHandler;
  /** Once, however it ended; `why` is for a person. */
  onClose(why: string): void;
}

export class Line {
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #handlers: LineHandlers;
  /** Of the answer to the upgrade, until it is whole; null afterwards. */
  #head: string | null = '';
  #why = 'the line broke';
  bytesIn = 0;

  constructor(request: UpgradeRequest, handlers: LineHandlers) {
    this.#handlers = handlers;
    this.#reader = new FrameReader((opcode, bytes, from, to) => this.#onFrame(opcode, bytes, from, to));
    const { host, port } = request;
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length) => {
          this.#onRead(length);
          return true;
        },
      },
    });
    this.#socket.on('connect', () => this.#socket.write(upgradeRequest(request)));
    this.#socket.on('error', (error) => {
      this.#why = error.message;
    });
    this.#socket.on('close', () => handlers.onClose(this.#why));
  }

  write(frames: Uint8Array): void {
    this.#socket.write(frames);
  }

  /** Bytes written that the kernel has not taken yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  /** Stops reading. */
  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onRead(length: number): void {
    this.bytesIn += length;
    if (this.#head === null) this.#reader.push(shared, length);
    else this.#onHead(length);
  }

  #onHead(length: number): void {
    const before = (this.#head ?? '').length;
    const text = this.#head + shared.toString('latin1', 0, length);
    const end = text.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = text;
      return;
    }
    if (!text.startsWith('HTTP/1.1 101')) {
      this.#why = `refused: ${text.slice(0, text.indexOf('\r\n'))}`;
      this.#socket.destroy();
      return;
    }
    this.#head = null;
    this.#handlers.onOpen();
    const rest = end + HEAD_END.length - before;
    if (rest < length) this.#reader.push(shared.subarray(rest, length));
  }

  #onFrame(opcode: number, bytes: Buffer, from: number, to: number): void {
    if (opcode === OPCODE.ping) this.#socket.write(clientFrame(OPCODE.pong, bytes.subarray(from, to)));
    else if (opcode === OPCODE.close) {
      this.#why = `closed with ${to - from >= 2 ? bytes.readUInt16BE(from) : 1005}`;
      this.#socket.end();
    } else if (opcode !== OPCODE.pong) this.#handlers.onFrame(opcode, bytes, from, to);
  }
}
