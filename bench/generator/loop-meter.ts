/** Measures how late the event loop runs timers. */
import { encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { newHistogram } from './recorder.ts';

const EVERY_MS = 5;
/** Timers have whole milliseconds. */
const GRAIN_MS = 1;

export class LoopMeter {
  readonly #histogram = newHistogram();
  #timer: NodeJS.Timeout | null = null;
  #lastMs = 0;

  start(): void {
    this.#lastMs = performance.now();
    this.#timer ??= setInterval(() => this.#tick(), EVERY_MS).unref();
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Delays since the last call, in microseconds, encoded. */
  take(): string {
    const encoded = encodeIntoCompressedBase64(this.#histogram);
    this.#histogram.reset();
    return encoded;
  }

  #tick(): void {
    const nowMs = performance.now();
    const delayMs = Math.max(0, nowMs - this.#lastMs - EVERY_MS - GRAIN_MS);
    this.#lastMs = nowMs;
    // A long stall replaces many ticks: each is recorded with the delay it would have had.
    this.#histogram.recordValueWithExpectedInterval(Math.max(1, Math.round(delayMs * 1000)), EVERY_MS * 1000);
  }
}
