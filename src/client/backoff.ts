/** Exponential backoff with full jitter, so that disconnected clients do not return together. */
interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Returns `minMs` plus a random wait below a limit that doubles with each call. */
  nextMs(minMs = 0): number {
    const limitMs = Math.min(this.#options.maxMs, this.#options.firstMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return Math.round(minMs + this.#options.random() * limitMs);
  }

  /** Call it when a connection is stable, not when it opens: the server may close it at once. */
  reset(): void {
    this.#attempts = 0;
  }
}
