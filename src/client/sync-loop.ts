/**
 * Exchanges clocks with the server for as long as a connection stands, which also finds out when
 * nobody answers any more.
 */
import type { Ok } from '../protocol/messages.ts';
import type { ServerClock } from './clock.ts';
import type { Outcome } from './failures.ts';

export interface SyncLoopOptions {
  readonly clock: ServerClock;
  /** Sends one `sync` that carries the local time. */
  readonly exchange: (at: number) => Promise<Outcome<Ok>>;
  /** The line is dead: an exchange stayed without an answer. */
  readonly onSilence: () => void;
  readonly random: () => number;
}

/** Several exchanges at first, for a short round trip among them. */
const FIRST_EXCHANGES = 4;
const FIRST_PAUSE_MS = 150;

export class SyncLoop {
  readonly #options: SyncLoopOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** An exchange that outlives its connection must not steer the next one's loop. */
  #run = 0;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
  }

  /**
   * Begins with a new connection; afterwards one exchange per heartbeat, not all clients in step.
   */
  start(heartbeatMs: number): void {
    this.stop();
    this.#next(this.#run, FIRST_EXCHANGES, 0, heartbeatMs);
  }

  stop(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
  }

  #next(run: number, left: number, pauseMs: number, heartbeatMs: number): void {
    this.#timer = setTimeout(() => {
      void this.#exchange().then((alive) => {
        if (run !== this.#run) return;
        if (!alive) this.#options.onSilence();
        else if (left > 1) this.#next(run, left - 1, FIRST_PAUSE_MS, heartbeatMs);
        else this.#next(run, 1, heartbeatMs * (0.75 + this.#options.random() / 4), heartbeatMs);
      });
    }, pauseMs);
  }

  async #exchange(): Promise<boolean> {
    const { clock, exchange } = this.#options;
    const sentAt = clock.localNow();
    const outcome = await exchange(sentAt);
    if (!outcome.ok) return outcome.error.code !== 'unknown_outcome';
    const { at, data } = outcome.value;
    clock.add(sentAt, Number(data?.received ?? at), Number(data?.sent ?? at), clock.localNow());
    return true;
  }
}
