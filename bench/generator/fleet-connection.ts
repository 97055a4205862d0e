/** Connects coordinator and worker. A message: its length (4 bytes, big-endian) and MessagePack. */
import type { Socket } from 'node:net';
import { Packr } from 'msgpackr';
import type { Sample, Shard } from './contract.ts';

/** Coordinator and workers must have the same version. */
export const FLEET_VERSION = 1;

export type ToWorker =
  | { t: 'hello'; version: number; nonce: string }
  | { t: 'refused'; reason: string }
  | { t: 'welcome'; index: number; sameClock: boolean; originMs: number }
  | { t: 'clock'; sentMs: number; repliedMs: number }
  | { t: 'prepare'; load: number; workload: string; params: unknown; shard: Shard; seed: number }
  | { t: 'start'; load: number; atMs: number }
  | { t: 'command'; load: number; body: unknown }
  | { t: 'stop'; load: number }
  | { t: 'bye' };

export type ToCoordinator =
  | { t: 'join'; version: number; proof: string; host: string; hostId: string; pid: number }
  | { t: 'clock'; sentMs: number }
  | { t: 'ready' }
  | { t: 'prepared'; load: number }
  | { t: 'report'; load: number; body: unknown }
  | { t: 'stopped'; load: number; value: unknown }
  | { t: 'sample'; sample: Omit<Sample, 'worker'>; clockErrorMs: number }
  | { t: 'failed'; reason: string };

const HEAD_BYTES = 4;
/** Parameters may contain a token for each user of a large run. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;
/** Limit of a message until the peer has proved that it knows the key. */
export const UNTRUSTED_BYTES_MAX = 4096;

// Without records, each message can be decoded alone.
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: false } as ConstructorParameters<typeof Packr>[0]);

export class FleetConnection<Out, In> {
  readonly socket: Socket;
  bytesMax = UNTRUSTED_BYTES_MAX;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #onMessage: (message: In) => void;

  /** Calls `onClose` once, with the reason. */
  constructor(socket: Socket, onMessage: (message: In) => void, onClose: (reason: string) => void) {
    this.socket = socket;
    this.#onMessage = onMessage;
    let reason = 'the connection was closed';
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => onClose(reason));
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
        socket.destroy();
      }
    });
  }

  trust(): void {
    this.bytesMax = MESSAGE_BYTES_MAX;
  }

  send(message: Out): void {
    const body = packr.pack(message);
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32BE(body.length);
    this.socket.cork();
    this.socket.write(head);
    this.socket.write(body);
    this.socket.uncork();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= HEAD_BYTES) {
      const length = this.#peek(HEAD_BYTES).readUInt32BE(0);
      if (length > this.bytesMax) throw new Error(`a message of ${length} bytes is larger than allowed`);
      if (this.#bytes < HEAD_BYTES + length) return;
      const whole = this.#peek(HEAD_BYTES + length);
      const rest = whole.subarray(HEAD_BYTES + length);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#bytes -= HEAD_BYTES + length;
      this.#onMessage(packr.unpack(whole.subarray(HEAD_BYTES, HEAD_BYTES + length)) as In);
    }
  }

  /** Returns a buffer of at least `bytes` bytes. The chunks of a large message are joined once. */
  #peek(bytes: number): Buffer {
    if ((this.#chunks[0]?.length ?? 0) < bytes) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }
}
