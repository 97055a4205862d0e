/** Exponential backoff with full jitter, so that disconnected clients do not return together. */
const FIRST_MS = 500;
const MAX_MS = 30_000;

export class Backoff {
  readonly #random: () => number;
  /** Reset it when a connection is stable, not when it opens: the server may close it at once. */
  attempts = 0;

  /** `random`: uniform in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Returns `minMs` plus a random wait below a limit that doubles with each call. */
  nextMs(minMs = 0): number {
    const limitMs = Math.min(MAX_MS, FIRST_MS * 2 ** this.attempts);
    this.attempts += 1;
    return Math.round(minMs + this.#random() * limitMs);
  }
}

/** A longer wait, which a broken server may ask for, is not worth it. */
export const WAIT_MAX_MS = 600_000;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Returns a wait that a server asked for, within bounds, or `otherwise` if it is not one. */
export const boundedMs = (asked: unknown, otherwise: number): number =>
  (asked as number) > 0 ? Math.min(asked as number, WAIT_MAX_MS) : otherwise;
