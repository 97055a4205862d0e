/** Closes gaps in the numbered events of an open connection, by `resume`. */
import type { Ok } from '../protocol/messages.ts';
import { boundedMs, sleep } from './backoff.ts';
import type { Outcome } from './outcome.ts';

interface GapCloserOptions {
  readonly isOpen: () => boolean;
  readonly resume: () => Promise<Outcome<Ok>>;
  /** Resumes do not help: start again with a snapshot. */
  readonly onFailed: (code: string) => void;
}

/** After this many resumes that closed no gap, the client starts again with a snapshot. */
const RESUMES_IN_A_ROW_MAX = 3;

export class GapCloser {
  readonly #options: GapCloserOptions;
  isRunning = false;
  #inARow = 0;

  constructor(options: GapCloserOptions) {
    this.#options = options;
  }

  /** Events followed each other again. */
  closed(): void {
    this.#inARow = 0;
  }

  disconnected(): void {
    this.isRunning = false;
  }

  /** Returns false if a resume is under way. */
  close(): boolean {
    if (this.isRunning || !this.#options.isOpen()) return false;
    void this.#close();
    return true;
  }

  async #close(): Promise<void> {
    const { isOpen, resume, onFailed } = this.#options;
    this.isRunning = true;
    this.#inARow += 1;
    const outcome = this.#inARow > RESUMES_IN_A_ROW_MAX ? null : await resume();
    const isLimited = outcome?.ok === false && outcome.error.code === 'rate_limited';
    if (isLimited) await sleep(boundedMs(outcome.error.retryAfterMs, 1_000));
    this.isRunning = false;
    if (outcome?.ok === true || !isOpen()) return;
    if (isLimited) return this.#close();
    this.#inARow = 0;
    onFailed(outcome?.error.code ?? 'no resume helped');
  }
}
