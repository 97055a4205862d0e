/** Writes bytes to a socket later and in order, as a slow network does. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How slow a network is towards one end. */
export interface Pace {
  readonly delayMs?: number;
  readonly bytesPerSecond?: number;
}

const SLICE_BYTES = 2_048;
/** More waits in the buffers of the sender. */
const QUEUED_BYTES_MAX = 64 * 1024;

export class SlowPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  #tail: Promise<void> = Promise.resolve();
  /** When the link has sent what was written so far. */
  #freeAtMs = 0;
  #queuedBytes = 0;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
  }

  get isEmpty(): boolean {
    return this.#queuedBytes === 0;
  }

  write(bytes: Buffer, { delayMs = 0, bytesPerSecond = Infinity }: Pace): void {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      const slice = bytes.subarray(at, at + SLICE_BYTES);
      this.#freeAtMs = Math.max(performance.now(), this.#freeAtMs) + (slice.length / bytesPerSecond) * 1000;
      const dueMs = this.#freeAtMs + delayMs;
      this.#queuedBytes += slice.length;
      this.#tail = this.#tail.then(() => this.#deliver(slice, dueMs));
    }
    if (bytesPerSecond < Infinity && this.#queuedBytes > QUEUED_BYTES_MAX) this.#from.pause();
  }

  async #deliver(slice: Buffer, dueMs: number): Promise<void> {
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    this.#queuedBytes -= slice.length;
    if (!this.#to.destroyed) this.#to.write(slice);
    if (this.#queuedBytes <= QUEUED_BYTES_MAX) this.#from.resume();
  }
}
