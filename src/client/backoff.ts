/**
 * Exponential backoff with full jitter: a crowd that lost its server comes back spread out, not in
 * waves.
 */
export interface BackoffOptions {
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

  /**
   * How long to wait before the next try: uniform between nothing and a ceiling that doubles, never
   * below `leastMs`.
   */
  nextMs(leastMs = 0): number {
    const ceilingMs = Math.min(this.#options.maxMs, this.#options.firstMs * 2 ** Math.min(this.#attempts, 20));
    this.#attempts += 1;
    return Math.round(leastMs + this.#options.random() * ceilingMs);
  }

  /**
   * Call once a connection has proven stable, not when it opens: else a server that drops everybody
   * is hammered.
   */
  reset(): void {
    this.#attempts = 0;
  }
}
