/** Collects hearts for a short time and sends them in one message. */
import { HEARTS_PER_MESSAGE_MAX } from '../protocol/limits.ts';

const FLUSH_MS = 300;

export class Hearts {
  readonly #send: (n: number) => void;
  #count = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (n: number) => void) {
    this.#send = send;
  }

  /** Hearts above the limit of one message are dropped. */
  add(count: number): void {
    if (typeof count !== 'number') return;
    this.#count = Math.min(HEARTS_PER_MESSAGE_MAX, this.#count + Math.max(0, Math.floor(count) || 0));
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const n = this.#count;
      this.#count = 0;
      if (n > 0) this.#send(n);
    }, FLUSH_MS);
  }
}
