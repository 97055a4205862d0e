/** Asks for the products and sales that did not fit into a snapshot, one page at a time. */
import type { Ok } from '../protocol/messages.ts';
import { boundedMs, sleep } from './backoff.ts';
import type { Outcome } from './outcome.ts';

interface PageLoopOptions {
  readonly request: (after: string) => Promise<Outcome<Ok>>;
  /** A page has arrived. */
  readonly onPage: (isLast: boolean) => void;
}

/** A refused page is asked for again after this, if the server gives no time. */
const RETRY_MS = 5_000;

export class PageLoop {
  readonly #options: PageLoopOptions;
  #more: string | null = null;
  isRunning = false;

  constructor(options: PageLoopOptions) {
    this.#options = options;
  }

  /** Begins again after a snapshot. `more`: its field, absent if the snapshot is complete. */
  restart(more: string | undefined): void {
    this.#more = more ?? null;
    this.continue();
  }

  /** Continues on a new connection. */
  continue(): void {
    if (!this.isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.isRunning = true;
    while (this.#more !== null) {
      const after: string = this.#more;
      const outcome = await this.#options.request(after);
      if (!outcome.ok) {
        const { code, retryAfterMs } = outcome.error;
        if (code === 'disconnected' || code === 'closed') break;
        if (code !== 'unknown_outcome') await sleep(boundedMs(retryAfterMs, RETRY_MS));
      } else if (this.#more === after) {
        // Otherwise a snapshot has arrived meanwhile, and the pages begin again.
        const { more } = outcome.value.data ?? {};
        this.#more = typeof more === 'string' ? more : null;
        this.#options.onPage(this.#more === null);
      }
    }
    this.isRunning = false;
  }
}
