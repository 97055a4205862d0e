/** Renews the token of a live connection before it expires, with `refresh` (SPEC H-6.2). */
import type { Ok } from '../protocol/messages.ts';
import type { Outcome } from './outcome.ts';
import type { TokenSource } from './token-source.ts';

interface RefreshLoopOptions {
  readonly tokens: TokenSource;
  /** Milliseconds since the Unix epoch on the server's clock. */
  readonly now: () => number;
  readonly refresh: (token: string) => Promise<Outcome<Ok>>;
  readonly onRefreshed: (data: Ok['data']) => void;
}

/** A token is renewed this long before it expires, or after 80 % of the time that it has left. */
const MARGIN_MS = 60_000;
const SHARE = 0.8;
const RETRY_MS = 5_000;
/** Also if the server says that a new token has expired already. */
const PAUSE_MIN_MS = 500;
/** A longer time would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class RefreshLoop {
  readonly #options: RefreshLoopOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Identifies the loop of this connection. */
  #run = 0;

  constructor(options: RefreshLoopOptions) {
    this.#options = options;
  }

  /** `expiresAt`: of the current token, on the server's clock; null = never. */
  start(expiresAt: number | null): void {
    this.stop();
    if (typeof expiresAt !== 'number' || !this.#options.tokens.isRenewable) return;
    const leftMs = expiresAt - this.#options.now();
    this.#schedule(this.#run, Math.max(leftMs - MARGIN_MS, leftMs * SHARE), expiresAt);
  }

  stop(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
  }

  #schedule(run: number, pauseMs: number, expiresAt: number): void {
    this.#timer = setTimeout(
      () => {
        if (this.#options.now() < expiresAt - MARGIN_MS && pauseMs > TIMER_MS_MAX) return this.start(expiresAt);
        void this.#refresh().then((renewedUntil) => {
          if (run !== this.#run) return;
          // Otherwise the server closes with 4201, and the next connection fetches a token.
          if (renewedUntil === null) this.#schedule(run, RETRY_MS, expiresAt);
          else this.start(renewedUntil);
        });
      },
      Math.min(TIMER_MS_MAX, Math.max(PAUSE_MIN_MS, pauseMs)),
    );
  }

  /** Returns when the new token expires, or null if there is none. */
  async #refresh(): Promise<number | null> {
    const { tokens, refresh } = this.#options;
    const token = await tokens.fetch().catch(() => null);
    if (token === null) return null;
    const outcome = await refresh(token);
    // A refused token must not replace one that is valid.
    if (!outcome.ok) return null;
    tokens.keep(token);
    this.#options.onRefreshed(outcome.value.data);
    return (outcome.value.data?.expiresAt ?? null) as number | null;
  }
}
